// FileSystem::posix(): one system call for each function.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "base/file.h"

namespace rkvs::internal {
namespace {

// POSIX says -1 and errno.
template <typename T>
T result_of(T result) {
  return result < 0 ? static_cast<T>(-errno) : result;
}

int take_info(int result, const struct stat& from, FileInfo* to) {
  if (result < 0) return -errno;
  to->device = from.st_dev;
  to->inode = from.st_ino;
  to->size = static_cast<uint64_t>(from.st_size);
  to->links = from.st_nlink;
  to->regular = S_ISREG(from.st_mode);
  return 0;
}

class PosixFileSystem final : public FileSystem {
 public:
  int make_directory(const char* path) override { return result_of(::mkdir(path, 0700)); }

  int open_directory(const char* path) override {
    return result_of(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  int open(int directory, const char* name, OpenMode mode) override {
    int flags = O_CLOEXEC | O_NOCTTY;
    switch (mode) {
      case OpenMode::kRead: flags |= O_RDONLY | O_NONBLOCK; break;
      case OpenMode::kReadNoFollow: flags |= O_RDONLY | O_NONBLOCK | O_NOFOLLOW; break;
      case OpenMode::kCreateExclusive: flags |= O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW; break;
    }
    return result_of(::openat(directory, name, flags, 0600));
  }

  int close(int fd) override { return result_of(::close(fd)); }

  int64_t write(int fd, const char* data, size_t size) override {
    return result_of<int64_t>(::write(fd, data, size));
  }

  int64_t read_at(int fd, char* data, size_t size, uint64_t offset) override {
    return result_of<int64_t>(::pread(fd, data, size, static_cast<off_t>(offset)));
  }

  int start_writeback([[maybe_unused]] int fd, [[maybe_unused]] uint64_t offset,
                      [[maybe_unused]] uint64_t size) override {
#ifdef SYNC_FILE_RANGE_WRITE
    return result_of(::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(size),
                                       SYNC_FILE_RANGE_WRITE));
#else
    return 0;
#endif
  }

  int sync(int fd) override { return result_of(::fsync(fd)); }

  int stat(int fd, FileInfo* info) override {
    struct stat from;
    return take_info(::fstat(fd, &from), from, info);
  }

  int stat_at(int directory, const char* name, FileInfo* info) override {
    struct stat from;
    return take_info(::fstatat(directory, name, &from, AT_SYMLINK_NOFOLLOW), from, info);
  }

  int rename(int directory, const char* from, const char* to) override {
    return result_of(::renameat(directory, from, directory, to));
  }

  int link(int directory, const char* from, const char* to) override {
    return result_of(::linkat(directory, from, directory, to, 0));
  }

  int unlink(int directory, const char* name) override {
    return result_of(::unlinkat(directory, name, 0));
  }

  int list(int directory, std::vector<std::string>* names) override {
    // A descriptor of its own: the position in a directory belongs to the open file.
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    DIR* const stream = ::fdopendir(fd);
    if (stream == nullptr) {
      const int error = errno;
      ::close(fd);
      return -error;
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, &::closedir);
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(stream);
      if (entry == nullptr) return -errno;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names->emplace_back(name);
    }
  }

  int lock(int fd) override { return result_of(::flock(fd, LOCK_EX | LOCK_NB)); }
};

}  // namespace

FileSystem& FileSystem::posix() {
  static PosixFileSystem* const instance = new PosixFileSystem;  // never destroyed
  return *instance;
}

}  // namespace rkvs::internal
