#include "base/file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/file_error.h"

namespace rkvs::internal {
namespace {

bool is_digits(std::string_view s) {
  return !s.empty() && s.find_first_not_of("0123456789") == std::string_view::npos;
}

// Splits "stem.digits"; false where the name does not end so.
bool cut_number(std::string_view& name, size_t max_digits) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view number = name.substr(dot + 1);
  if (number.size() > max_digits || !is_digits(number)) return false;
  name = name.substr(0, dot);
  return true;
}

bool is_temporary_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".tmp";
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  // The save's number, and before it the process's.
  if (!cut_number(name, 20)) return false;
  return cut_number(name, 20) && name.size() > 1 && name.front() == '.';
}

// For messages: names come from anywhere.
std::string quoted(std::string_view name) {
  constexpr size_t kShown = 256;
  std::string text = "\"";
  for (const char c : name.substr(0, kShown)) {
    const bool printable = static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    text.push_back(printable ? c : '?');
  }
  return text.append(name.size() > kShown ? "...\"" : "\"");
}

Status invalid_name(std::string_view name, std::string_view why) {
  return make_error(StatusCode::kInvalidName, "file name ", quoted(name), why);
}

}  // namespace

// --- Names ---------------------------------------------------------------------------------------

Status validate_file_name(std::string_view name) {
  if (name.empty()) return invalid_name(name, " is empty");
  // The older generations of a file have longer names than the file itself.
  std::string_view base = name;
  cut_number(base, 3);
  if (base.size() > kMaxFileNameSize) {
    return make_error(StatusCode::kInvalidName, "file name ", quoted(name), " has ", name.size(),
                      " bytes; the limit is ", kMaxFileNameSize);
  }
  if (name.front() == '.') return invalid_name(name, " begins with a dot");
  if (name.find('/') != std::string_view::npos) return invalid_name(name, " contains a slash");
  if (name.find('\0') != std::string_view::npos) return invalid_name(name, " contains a NUL");
  return {};
}

Status validate_target_name(std::string_view name, uint32_t generations) {
  if (Status s = validate_file_name(name); !s.ok()) return s;
  if (generations < 1 || generations > kMaxGenerations) {
    return make_error(StatusCode::kInvalidArgument, generations,
                      " generations; the limits are 1 and ", kMaxGenerations);
  }
  std::string_view stem = name;
  if (generations > 1 && cut_number(stem, 3)) {
    return invalid_name(name, " ends like an older generation of " + quoted(stem));
  }
  return {};
}

std::string generation_name(std::string_view name, uint32_t age) {
  std::string result(name);
  if (age > 0) result.append(".").append(std::to_string(age));
  return result;
}

// --- FileHandle ----------------------------------------------------------------------------------

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(fs_, other.fs_);
  std::swap(fd_, other.fd_);
  return *this;
}

void FileHandle::reset() noexcept {
  // Linux has closed the descriptor even where close() reports an error, and whatever matters has
  // been synced before: there is nothing to do about one.
  if (fd_ >= 0) fs_->close(std::exchange(fd_, -1));
}

// --- Directory -----------------------------------------------------------------------------------

Result<Directory> Directory::open(const std::string& path, FileSystem& fs) try {
  if (path.find('\0') != std::string::npos) return io_error("open directory", path, EINVAL);
  const int fd = retry_interrupted([&] { return fs.open_directory(path.c_str()); });
  if (fd < 0) return io_error("open directory", path, -fd);
  return Directory(path, FileHandle(fs, fd));
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<Directory> Directory::open_or_create(const std::string& path, FileSystem& fs) try {
  if (path.find('\0') != std::string::npos) return io_error("make directory", path, EINVAL);
  const int made = retry_interrupted([&] { return fs.make_directory(path.c_str()); });
  if (made < 0 && made != -EEXIST) return io_error("make directory", path, -made);
  if (made == 0) {
    // Else a crash could take the directory away, and every snapshot in it.
    const Result<Directory> parent = open(path + "/..", fs);
    if (!parent.ok()) return parent.status();
    if (Status s = parent->sync(); !s.ok()) return s;
  }
  return open(path, fs);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::unique_ptr<ReadableFile>> Directory::open_file(std::string_view name) const try {
  if (Status s = validate_file_name(name); !s.ok()) return s;
  return ReadableFile::open_at(fs(), fd(), std::string(name), FileSystem::OpenMode::kReadNoFollow,
                               path_ + "/" + std::string(name));
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::vector<std::string>> Directory::list() const try {
  std::vector<std::string> names;
  const int result = fs().list(fd(), &names);
  if (result < 0) return io_error("list", path_, -result);
  std::erase_if(names, [](const std::string& name) { return !validate_file_name(name).ok(); });
  std::sort(names.begin(), names.end());
  return names;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Directory::remove(std::string_view name) const try {
  if (Status s = validate_file_name(name); !s.ok()) return s;
  const std::string text(name);
  const int result = retry_interrupted([&] { return fs().unlink(fd(), text.c_str()); });
  return result == 0 || result == -ENOENT ? Status() : io_error("unlink", text, -result);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Directory::sync() const {
  const int result = fs().sync(fd());
  // EINVAL: a file system that does not offer this, and has nothing to offer.
  return result == 0 || result == -EINVAL ? Status() : io_error("sync directory", path_, -result);
}

Result<FileInfo> Directory::info() const {
  FileInfo info;
  const int result = fs().stat(fd(), &info);
  if (result < 0) return io_error("stat", path_, -result);
  return info;
}

Status Directory::lock() const {
  const int result = retry_interrupted([&] { return fs().lock(fd()); });
  if (result == -EWOULDBLOCK) {
    return make_error(StatusCode::kDirectoryLocked, "directory \"", path_,
                      "\" is locked by another process or store");
  }
  return result == 0 ? Status() : io_error("lock directory", path_, -result);
}

Result<size_t> Directory::remove_stale_temporaries() const try {
  std::vector<std::string> names;
  const int result = fs().list(fd(), &names);
  if (result < 0) return io_error("list", path_, -result);
  size_t removed = 0;
  for (const std::string& name : names) {
    if (!is_temporary_name(name)) continue;
    const FileHandle file(fs(), fs().open(fd(), name.c_str(), FileSystem::OpenMode::kReadNoFollow));
    // A save holds the lock of its temporary as long as it lives.
    if (file.fd() < 0 || fs().lock(file.fd()) != 0) continue;
    if (fs().unlink(fd(), name.c_str()) == 0) ++removed;
  }
  return removed;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

// --- ReadableFile --------------------------------------------------------------------------------

Result<std::unique_ptr<ReadableFile>> ReadableFile::open(const std::string& path,
                                                         FileSystem& fs) try {
  if (path.find('\0') != std::string::npos) return io_error("open", path, EINVAL);
  return open_at(fs, AT_FDCWD, path, FileSystem::OpenMode::kRead, path);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::unique_ptr<ReadableFile>> ReadableFile::open_at(FileSystem& fs, int directory,
                                                            const std::string& name,
                                                            FileSystem::OpenMode mode,
                                                            std::string shown_name) {
  const int fd = retry_interrupted([&] { return fs.open(directory, name.c_str(), mode); });
  if (fd == -ENOENT) {
    return make_error(StatusCode::kSnapshotNotFound, "no file \"", shown_name, "\"");
  }
  if (fd < 0) return io_error("open", shown_name, -fd);
  FileHandle handle(fs, fd);
  FileInfo info;
  const int result = fs.stat(fd, &info);
  if (result < 0) return io_error("stat", shown_name, -result);
  if (!info.regular) {
    return make_error(StatusCode::kIo, "open \"", shown_name, "\": not a regular file");
  }
  return std::unique_ptr<ReadableFile>(
      new ReadableFile(std::move(shown_name), std::move(handle), info));
}

Result<size_t> ReadableFile::read_at(uint64_t offset, char* to, size_t size) const {
  size_t done = 0;
  while (done < size) {
    const int64_t n = retry_interrupted(
        [&] { return handle_.fs().read_at(handle_.fd(), to + done, size - done, offset + done); });
    if (n < 0) return io_error("read", name_, static_cast<int>(-n));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace rkvs::internal
