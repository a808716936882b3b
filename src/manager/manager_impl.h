// What a StorageManager owns.
#ifndef RKVS_MANAGER_MANAGER_IMPL_H_
#define RKVS_MANAGER_MANAGER_IMPL_H_

#include <rkvs/manager.h>
#include <rkvs/options.h>
#include <rkvs/status.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/key_hash.h"
#include "base/mutex.h"
#include "base/operation_monitor.h"
#include "base/thread_annotations.h"
#include "manager/directory_lock.h"
#include "manager/metrics_text.h"
#include "manager/snapshot_loader.h"
#include "runtime/ticker.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

using NamespacePtr = std::shared_ptr<NamespaceImpl>;

struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const {
    return static_cast<size_t>(KeyHash::of_process()(name).hash);
  }
};
// Looked up when a handle is made, not by operations on keys. The standard's map, because it stays
// whole when an insertion finds no memory.
using NamespaceMap = std::unordered_map<std::string, NamespacePtr, NameHash, std::equal_to<>>;

class ManagerImpl {
 public:
  // `fs` is where the directory is; it must outlive the manager.
  explicit ManagerImpl(StorageOptions options, FileSystem& fs = FileSystem::posix(),
                       const TimeSource& time = TimeSource::real())
      : options_(std::move(options)), fs_(fs), time_(time) {}
  // Closes every namespace.
  ~ManagerImpl();

  bool is_initialized() const { return initialized_.load(std::memory_order_acquire); }
  bool has_persistence() const { return !options_.directory.empty(); }
  // `file`: empty for none.
  Status initialize(std::optional<std::string_view> file, const OperationOptions& options = {});
  Result<LoadReport> load_report() const;

  Result<NamespacePtr> create(std::string_view name, const NamespaceConfig& config);
  Result<NamespacePtr> find(std::string_view name) const;
  Status remove(std::string_view name);
  Result<NamespacePtr> clone(std::string_view name, std::string_view new_name,
                             const OperationOptions& options = {});
  // All of them, sorted by name.
  Result<std::vector<NamespacePtr>> all() const;
  // Without making a list.
  Result<size_t> count() const;

  // See internal::metrics_text().
  Result<std::string> metrics_text() const;

  StorageConfig get_config() const;
  Status update_config(const StorageConfig& config);

  // Ok, or NotInitialized.
  Status check_initialized() const;

  // --- manager_persistence.cc -------------------------------------------------------------------
  // Leaves out what was deleted meanwhile; NamespaceNotFound if fewer than `at_least` are left.
  Status save(const std::vector<NamespacePtr>& namespaces, std::string_view file,
              const OperationOptions& options = {}, size_t at_least = 0);
  Status save_namespace(std::string_view name, std::string_view file,
                        const OperationOptions& options = {});
  // Reads `file` and adds the namespace `from`, or the only one of the file, as `new_name`, or
  // under its own name.
  Result<std::string> load(std::string_view file, std::optional<std::string_view> new_name,
                           std::optional<std::string_view> from,
                           const OperationOptions& options = {});

 private:
  // Adds a namespace that is complete. NamespaceExists, TooManyNamespaces, NoMemory.
  Status add(NamespacePtr added);
  Status check_room(std::string_view name) const RKVS_REQUIRES_SHARED(mutex_);
  // Makes a namespace that nobody has yet one of this manager's. MemoryLimit.
  Status adopt(NamespaceImpl& impl);
  // Sets the limit of all namespaces together. LimitBelowUse, Timeout.
  Status set_max_bytes(uint64_t max_bytes) RKVS_REQUIRES(mutex_);
  void reclaim_expired() const noexcept;

  // NoPersistence, Io.
  Result<const Directory*> directory();
  // The same, once it is this process that saves into it. DirectoryLocked.
  Result<const Directory*> directory_to_save();
  Result<LoadedSnapshot> read_file(std::string_view file, const SnapshotSelection& selection,
                                   OperationMonitor& monitor);
  // All of `file`, or of the newest of its generations that is whole; `report` says which, and
  // which were not. Empty if there is no such file.
  Result<LoadedSnapshot> read_newest(std::string_view file, LoadReport& report,
                                     OperationMonitor& monitor);
  Status initialize_once(std::optional<std::string_view> file, OperationMonitor& monitor)
      RKVS_REQUIRES(initialize_mutex_);
  void log_load_report() const noexcept;

  // Tells the log hook, if there is one. Not while a lock is held.
  template <typename... Parts>
  void log(LogLevel level, const Parts&... parts) const noexcept {
    if (!options_.log) return;
    try {
      options_.log(level, concat(parts...));
    } catch (...) {
      // No memory for the text, or a hook that throws against its contract: nobody left to tell.
    }
  }

  StorageOptions options_;
  FileSystem& fs_;
  const TimeSource& time_;
  std::atomic<bool> initialized_{false};
  SaveMetrics save_metrics_;
  // Of the bytes of all namespaces.
  const std::shared_ptr<Budget> bytes_ = std::make_shared<Budget>();
  // Reclaims what has expired; begins with the first entry that expires. Namespaces may outlive the
  // manager, and so has this to.
  static constexpr std::chrono::milliseconds kReclaimInterval{100};
  const std::shared_ptr<Ticker> ticker_ =
      std::make_shared<Ticker>(kReclaimInterval, [this] { reclaim_expired(); });

  // One initialize() at a time; before mutex_.
  Mutex initialize_mutex_;
  // Whose it is: a progress hook must not call it again.
  std::atomic<std::thread::id> initializing_thread_{};

  // Guards the map and the configuration; before the locks of namespaces. Held for look-ups and
  // changes alone, never during I/O.
  mutable SharedMutex mutex_;
  NamespaceMap namespaces_ RKVS_GUARDED_BY(mutex_);
  StorageConfig config_ RKVS_GUARDED_BY(mutex_);
  LoadReport load_report_ RKVS_GUARDED_BY(mutex_);

  // Opened when first needed.
  Mutex directory_mutex_;
  std::optional<Directory> directory_ RKVS_GUARDED_BY(directory_mutex_);
  std::optional<DirectoryLock> directory_lock_ RKVS_GUARDED_BY(directory_mutex_);
};

}  // namespace rkvs::internal

#endif  // RKVS_MANAGER_MANAGER_IMPL_H_
