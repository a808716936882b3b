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
#include "base/process_mark.h"
#include "base/thread_annotations.h"
#include "manager/directory_lock.h"
#include "manager/metrics_text.h"
#include "manager/snapshot_loader.h"
#include "runtime/autosave.h"
#include "runtime/executor.h"
#include "runtime/ticker.h"
#include "snapshot/format.h"
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

class ManagerImpl : public std::enable_shared_from_this<ManagerImpl> {
 public:
  // `fs` is where the directory is, `clock` what autosave goes by and `time` what expiries go by;
  // all must outlive the manager.
  explicit ManagerImpl(StorageOptions options, FileSystem& fs = FileSystem::posix(),
                       AutosaveClock& clock = AutosaveClock::real(),
                       const TimeSource& time = TimeSource::real())
      : options_(std::move(options)),
        fs_(fs),
        time_(time),
        executor_(std::make_shared<Executor>(options_.worker_threads, options_.post)),
        autosave_([this](LogLevel level, std::string_view text) { log(level, text); }, clock) {}
  ~ManagerImpl() { (void)close(); }

  bool is_initialized() const {
    return initialized_.load(std::memory_order_acquire) && !is_closed();
  }
  bool is_closed() const { return closed_.load(std::memory_order_acquire); }
  // The end of its owner's handle: closes it. In the child of a fork, whose copies of the locks and
  // threads are of no use and whose data are old, it stays as it is to the end of the process.
  void end_ownership() noexcept;
  bool has_persistence() const { return !options_.directory.empty(); }
  // `file`: empty for none.
  Status initialize(std::optional<std::string_view> file, const OperationOptions& options = {});
  Result<LoadReport> load_report() const;
  // The first error of the last saves. WouldDeadlock, Forked.
  Status close();

  Result<NamespacePtr> create(std::string_view name, const NamespaceConfig& config);
  Result<NamespacePtr> find(std::string_view name) const;
  Status remove(std::string_view name);
  Result<NamespacePtr> clone(std::string_view name, std::string_view new_name,
                             const OperationOptions& options = {});
  // All of them, sorted by name.
  Result<std::vector<NamespacePtr>> all() const;
  // Without making a list.
  Result<size_t> count() const;

  const std::shared_ptr<Executor>& executor() const { return executor_; }

  // See internal::metrics_text().
  Result<std::string> metrics_text() const;

  StorageConfig get_config() const;
  Status update_config(const StorageConfig& config);

  // Ok, NotInitialized or Closed.
  Status check_initialized() const;

  // --- manager_persistence.cc -------------------------------------------------------------------
  // Leaves out what was deleted meanwhile; NamespaceNotFound if fewer than `at_least` are left.
  Status save(const std::vector<NamespacePtr>& namespaces, std::string_view file,
              const OperationOptions& options = {}, size_t at_least = 0,
              uint32_t generations = kDefaultGenerations);
  Status save_namespace(std::string_view name, std::string_view file,
                        const OperationOptions& options = {});
  // Reads `file` and adds the namespace `from`, or the only one of the file, as `new_name`, or
  // under its own name.
  Result<std::string> load(std::string_view file, std::optional<std::string_view> new_name,
                           std::optional<std::string_view> from,
                           const OperationOptions& options = {});

  // --- manager_autosave.cc ----------------------------------------------------------------------
  Status add_namespace_autosave(std::string_view name, const AutosaveConfig& config);
  Status start_namespace_autosave(std::string_view name);
  Result<size_t> start_missing_autosave();
  Result<std::vector<AutosaveStatus>> list_autosave() const;
  Status stop_namespace_autosave(std::string_view name);
  Status stop_manager_autosave();
  // What goes into the namespace's file.
  std::optional<SnapshotAutosave> recorded_autosave(std::string_view name) const;

 private:
  // Adds a namespace that is complete. NamespaceExists, TooManyNamespaces, NoMemory, Closed.
  Status add(const NamespacePtr& added);
  Status check_room(std::string_view name) const RKVS_REQUIRES_SHARED(mutex_);
  // Makes a namespace that nobody has yet one of this manager's. MemoryLimit.
  enum class Charge { kIfItFits, kAlways };
  Status adopt(NamespaceImpl& impl, Charge charge = Charge::kIfItFits);
  // Sets the limit of all namespaces together; `all` are those that there are. LimitBelowUse,
  // Timeout. Throws std::bad_alloc.
  Status set_max_bytes(uint64_t max_bytes, std::vector<NamespacePtr> all)
      RKVS_REQUIRES(members_mutex_);
  void reclaim_expired() const noexcept;

  // NoPersistence, Io.
  Result<const Directory*> directory();
  // The same, once it is this process that saves into it. DirectoryLocked.
  struct SavePlace {
    const Directory* directory = nullptr;
    DirectoryLock lock{};  // for as long as the save lasts, whatever happens to the manager's own
  };
  Result<SavePlace> directory_to_save();
  Result<LoadedSnapshot> read_file(std::string_view file, const SnapshotSelection& selection,
                                   OperationMonitor& monitor);
  // All of `file`, or of the newest of its generations that is whole; `report` says which, and
  // which were not. Empty if there is no such file.
  Result<LoadedSnapshot> read_newest(std::string_view file, LoadReport& report,
                                     OperationMonitor& monitor);
  // `loaded` becomes what the file held.
  Status initialize_once(std::optional<std::string_view> file, OperationMonitor& monitor,
                         LoadedSnapshot& loaded) RKVS_REQUIRES(initialize_mutex_);
  void log_load_report() const noexcept;

  // All of them, in no order, closed or not. Throws std::bad_alloc.
  std::vector<NamespacePtr> present_namespaces() const;

  // --- manager_autosave.cc ----------------------------------------------------------------------
  Autosave::Job manager_job();
  Autosave::Job namespace_job(const NamespacePtr& impl);
  Status autosave(const std::vector<NamespacePtr>& namespaces, const AutosavePattern& pattern,
                  const std::string& file, size_t at_least);
  void remove_old_files(const AutosavePattern& pattern, const std::string& latest);
  AutosaveChanges changes_of_all() const;

  // InvalidArgument, InvalidName, NoPersistence.
  Status validate_autosave_options() const;
  // Starts what the options ask for, and keeps what the file says. What cannot start is told to the
  // log. Not while a lock is held, and so are the next ones.
  void begin_all_autosave(const LoadedSnapshot& loaded) noexcept;
  // The same for one namespace that has come, or has gone.
  void begin_autosave(const NamespacePtr& impl) noexcept;
  void adopt_autosave(const NamespacePtr& impl, const SnapshotAutosave& saved) noexcept;
  void end_autosave(const NamespacePtr& removed) noexcept;
  // Keeps what the options say about this name, if there is nothing else.
  void keep_configured(const std::string& name) noexcept;
  void tell_not_started(std::string_view name, const Status& status) noexcept;
  Status add_autosave(const NamespacePtr& impl, const AutosaveConfig& config);
  // Whoever has started a task of this namespace asks whether it is still there.
  void forget_if_gone(const NamespacePtr& impl);

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
  const std::shared_ptr<Executor> executor_;
  std::atomic<bool> initialized_{false};
  SaveMetrics save_metrics_;
  // Of the bytes of all namespaces.
  const std::shared_ptr<Budget> bytes_ = std::make_shared<Budget>(Usage::kBytesInAdvance);
  // Reclaims what has expired; begins with the first entry that expires. Namespaces may outlive the
  // manager, and so has this to.
  static constexpr std::chrono::milliseconds kReclaimInterval{100};
  const std::shared_ptr<Ticker> ticker_ =
      std::make_shared<Ticker>(kReclaimInterval, [this] { reclaim_expired(); });
  std::atomic<bool> closed_{false};
  const ProcessMark process_;
  std::shared_ptr<ManagerImpl> kept_in_child_;

  // One initialize() at a time; before mutex_.
  Mutex initialize_mutex_;
  // Whose it is: a progress hook must not call it again.
  std::atomic<std::thread::id> initializing_thread_{};

  // One namespace at a time comes or leaves, or all of them; before mutex_. Whoever sums up what
  // namespaces take holds it: then none is on the account and not in the map, or the reverse.
  Mutex members_mutex_;

  // Guards the map and the configuration; before the locks of namespaces. Held for look-ups and
  // changes alone, never during I/O.
  mutable SharedMutex mutex_;
  NamespaceMap namespaces_ RKVS_GUARDED_BY(mutex_);
  StorageConfig config_ RKVS_GUARDED_BY(mutex_);
  LoadReport load_report_ RKVS_GUARDED_BY(mutex_);
  // What autosave of the manager goes by: another number for other namespaces or configurations,
  // and the changes of namespaces that are gone, coming and going counted as one each.
  uint64_t revision_ RKVS_GUARDED_BY(mutex_) = 0;
  uint64_t retired_changes_ RKVS_GUARDED_BY(mutex_) = 0;

  // Opened when first needed.
  Mutex directory_mutex_;
  std::optional<Directory> directory_ RKVS_GUARDED_BY(directory_mutex_);
  std::optional<DirectoryLock> directory_lock_ RKVS_GUARDED_BY(directory_mutex_);

  // Last, so that its thread ends before what it uses.
  Autosave autosave_;
};

}  // namespace rkvs::internal

#endif  // RKVS_MANAGER_MANAGER_IMPL_H_
