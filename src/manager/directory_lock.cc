#include "manager/directory_lock.h"

#include <map>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal {
namespace {

// The directories that this process has locked. A second lock on one would be refused by the
// system, as it belongs to the open file and not to the process.
class Registry {
 public:
  static Registry& of_process() {
    // Never destroyed: managers may be static objects.
    static auto* const registry = new Registry;
    return *registry;
  }

  Status add(const Directory& directory, uint64_t device, uint64_t inode) {
    const MutexLock lock(mutex_);
    if (const auto found = locked_.find({device, inode}); found != locked_.end()) {
      ++found->second.shares;
      return Status();
    }
    // An open file of its own, so that the lock goes when the last share goes.
    auto opened = Directory::open(directory.path());
    if (!opened.ok()) return opened.status();
    const auto info = opened->info();
    if (!info.ok()) return info.status();
    if (info->device != device || info->inode != inode) {
      return make_error(StatusCode::kIo, "directory \"", directory.path(),
                        "\" was replaced by another one since it was opened");
    }
    if (Status status = opened->lock(); !status.ok()) return status;
    locked_.emplace(std::pair(device, inode), Locked{*std::move(opened), 1});
    return Status();
  }

  void add_share(uint64_t device, uint64_t inode) {
    const MutexLock lock(mutex_);
    ++locked_.find({device, inode})->second.shares;
  }

  void remove(uint64_t device, uint64_t inode) {
    const MutexLock lock(mutex_);
    const auto found = locked_.find({device, inode});
    if (--found->second.shares == 0) locked_.erase(found);
  }

 private:
  struct Locked {
    Directory directory;
    uint64_t shares;
  };
  Mutex mutex_;
  std::map<std::pair<uint64_t, uint64_t>, Locked> locked_ RKVS_GUARDED_BY(mutex_);
};

}  // namespace

Result<DirectoryLock> DirectoryLock::acquire(const Directory& directory) try {
  const auto info = directory.info();
  if (!info.ok()) return info.status();
  if (Status status = Registry::of_process().add(directory, info->device, info->inode);
      !status.ok()) {
    return status;
  }
  DirectoryLock lock;
  lock.device_ = info->device;
  lock.inode_ = info->inode;
  lock.held_ = true;
  return lock;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

DirectoryLock DirectoryLock::share() const {
  DirectoryLock other;
  if (held_) Registry::of_process().add_share(device_, inode_);
  other.device_ = device_;
  other.inode_ = inode_;
  other.held_ = held_;
  return other;
}

DirectoryLock::~DirectoryLock() {
  if (held_) Registry::of_process().remove(device_, inode_);
}

}  // namespace rkvs::internal
