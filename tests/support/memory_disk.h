// A file system in memory that remembers what was done to it, for replaying what a power loss may
// leave of that: see power_loss.h.
#ifndef RKVS_TESTS_SUPPORT_MEMORY_DISK_H_
#define RKVS_TESTS_SUPPORT_MEMORY_DISK_H_

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace rkvs::testing {

using internal::FileInfo;
using internal::FileSystem;

// What is on a disk at one moment: the directory, if there is one, and its files. Contents are
// shared between images.
struct DiskImage {
  bool directory = true;
  std::map<std::string, std::shared_ptr<const std::string>> files;
};

// One change to the disk, or a word of the test in between. Inodes are numbers of files.
struct DiskOperation {
  enum class Kind {
    kMakeDirectory,  // in the directory's parent
    kSyncParent,
    kEnter,   // `name` is `inode` from now on: a file that is created, or linked
    kRename,  // the same, and `from` is nothing
    kRemove,  // `name` is nothing
    kSyncDirectory,
    kWrite,  // `bytes` at `offset` of `inode`
    kSyncFile,
    kMark,  // `offset` is the test's
  };
  Kind kind;
  uint32_t inode = 0;
  uint64_t offset = 0;
  std::string name{};
  std::string from{};
  std::string bytes{};
};

// One directory of files, and its parent. Stands for the directory `path`, which must exist: its
// device and inode are what the process's registry of locked directories goes by. Safe for
// concurrent use.
class MemoryDisk : public FileSystem {
 public:
  using Kind = DiskOperation::Kind;

  MemoryDisk(std::string path, const DiskImage& image)
      : path_(std::move(path)), exists_(image.directory) {
    for (const auto& [name, bytes] : image.files) {
      names_[name] = static_cast<uint32_t>(files_.size());
      files_.push_back(*bytes);
    }
  }

  // As on file systems without them.
  void have_no_hard_links() { links_ = false; }
  // Puts a word into the log.
  void mark(uint64_t what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    log_.push_back({.kind = Kind::kMark, .offset = what});
  }
  const std::vector<DiskOperation>& log() const { return log_; }
  // What a program sees.
  std::string contents(const std::string& name) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return files_.at(names_.at(name));
  }

  int make_directory(const char*) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (exists_) return -EEXIST;
    exists_ = true;
    log_.push_back({.kind = Kind::kMakeDirectory});
    return 0;
  }
  int open_directory(const char* path) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool parent = std::string_view(path).ends_with("/..");
    if (!exists_) return -ENOENT;
    return add_fd({.directory = !parent, .parent = parent});
  }
  int open(int, const char* name, OpenMode mode) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = names_.find(name);
    if (mode != OpenMode::kCreateExclusive) {
      return found == names_.end() ? -ENOENT : add_fd({.inode = found->second});
    }
    if (found != names_.end()) return -EEXIST;
    const auto inode = static_cast<uint32_t>(files_.size());
    files_.emplace_back();
    enter(name, inode);
    return add_fd({.inode = inode});
  }
  int close(int fd) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = fds_.find(fd);
    if (found->second.locks) locked_.erase(found->second.inode);
    fds_.erase(found);
    return 0;
  }
  int64_t write(int fd, const char* data, size_t size) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint32_t inode = fds_.at(fd).inode;
    std::string& file = files_[inode];
    log_.push_back({.kind = Kind::kWrite,
                    .inode = inode,
                    .offset = file.size(),
                    .bytes = std::string(data, size)});
    file.append(data, size);
    return static_cast<int64_t>(size);
  }
  int64_t read_at(int fd, char* data, size_t size, uint64_t offset) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string& file = files_[fds_.at(fd).inode];
    const auto left = std::string_view(file).substr(std::min<uint64_t>(offset, file.size()), size);
    if (!left.empty()) std::memcpy(data, left.data(), left.size());
    return static_cast<int64_t>(left.size());
  }
  int start_writeback(int, uint64_t, uint64_t) override { return 0; }  // no promise
  int sync(int fd) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Open& open = fds_.at(fd);
    log_.push_back({.kind = open.parent      ? Kind::kSyncParent
                            : open.directory ? Kind::kSyncDirectory
                                             : Kind::kSyncFile,
                    .inode = open.inode});
    return 0;
  }
  int stat(int fd, FileInfo* info) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Open& open = fds_.at(fd);
    *info = {};
    if (!open.directory) {
      describe(open.inode, info);
      return 0;
    }
    struct ::stat real {};
    if (::stat(path_.c_str(), &real) != 0) return -errno;
    info->device = real.st_dev;
    info->inode = real.st_ino;
    return 0;
  }
  int stat_at(int, const char* name, FileInfo* info) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = names_.find(name);
    if (found == names_.end()) return -ENOENT;
    describe(found->second, info);
    return 0;
  }
  int rename(int, const char* from, const char* to) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = names_.find(from);
    if (found == names_.end()) return -ENOENT;
    const uint32_t inode = found->second;
    names_.erase(found);
    names_[to] = inode;
    log_.push_back({.kind = Kind::kRename, .inode = inode, .name = to, .from = from});
    return 0;
  }
  int link(int, const char* from, const char* to) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!links_) return -EPERM;
    const auto found = names_.find(from);
    if (found == names_.end()) return -ENOENT;
    if (names_.count(to) != 0) return -EEXIST;
    enter(to, found->second);
    return 0;
  }
  int unlink(int, const char* name) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (names_.erase(name) == 0) return -ENOENT;
    log_.push_back({.kind = Kind::kRemove, .name = name});
    return 0;
  }
  int list(int, std::vector<std::string>* names) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [name, inode] : names_) names->push_back(name);
    return 0;
  }
  int lock(int fd) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    Open& open = fds_.at(fd);
    if (open.directory) return 0;
    if (!locked_.insert(open.inode).second) return -EWOULDBLOCK;
    open.locks = true;
    return 0;
  }

 private:
  struct Open {
    uint32_t inode = 0;
    bool directory = false;
    bool parent = false;
    bool locks = false;
  };

  int add_fd(const Open& open) {
    fds_[next_fd_] = open;
    return next_fd_++;
  }
  void enter(const std::string& name, uint32_t inode) {
    names_[name] = inode;
    log_.push_back({.kind = Kind::kEnter, .inode = inode, .name = name});
  }
  void describe(uint32_t inode, FileInfo* info) const {
    *info = {};
    info->device = 1;
    info->inode = inode;
    info->size = files_[inode].size();
    info->regular = true;
    for (const auto& [name, of] : names_) info->links += of == inode ? 1 : 0;
  }

  const std::string path_;
  mutable std::mutex mutex_;
  bool exists_;
  bool links_ = true;
  std::vector<std::string> files_;
  std::map<std::string, uint32_t> names_;
  std::map<int, Open> fds_;
  std::set<uint32_t> locked_;
  int next_fd_ = 1000;
  std::vector<DiskOperation> log_;
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_MEMORY_DISK_H_
