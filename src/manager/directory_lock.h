// DirectoryLock: one process at a time saves into a directory.
#ifndef RKVS_MANAGER_DIRECTORY_LOCK_H_
#define RKVS_MANAGER_DIRECTORY_LOCK_H_

#include <rkvs/status.h>

#include <cstdint>
#include <utility>

#include "base/file.h"

namespace rkvs::internal {

// A share in this process's lock on a directory. The first share takes a file lock, which other
// processes are refused; the last one to go gives it back, and so does the end of the process,
// however it ends.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  DirectoryLock(DirectoryLock&& other) noexcept { *this = std::move(other); }
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    std::swap(held_, other.held_);
    return *this;
  }
  ~DirectoryLock();

  // Another share in the same lock.
  DirectoryLock share() const;
  // DirectoryLocked when another process has it; Io, NoMemory. Safe for concurrent use.
  static Result<DirectoryLock> acquire(const Directory& directory);

 private:
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  bool held_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_MANAGER_DIRECTORY_LOCK_H_
