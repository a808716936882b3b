// StorageManager: the namespaces of a store, and their snapshots on disk.
#ifndef RKVS_MANAGER_H_
#define RKVS_MANAGER_H_

#include <rkvs/autosave.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rkvs {

namespace internal {
class ManagerImpl;
struct AsyncAccess;
}  // namespace internal

// A store: named namespaces, and a directory for their snapshots if one was given.
//
//   rkvs::StorageManager manager({.directory = "data"});
//   if (!manager.initialize("store.rkvs").ok()) return;
//   auto users = manager.create_namespace("users");
//   if (!users.ok() || !users->set("alice", "admin").ok()) return;
//   rkvs::Status saved = manager.save_all("store.rkvs");
//
// Every function may be called by any number of threads at the same time, the destructor and moves
// aside. Before initialize() has succeeded, every function but those that say so is
// NotInitialized. Destroying the manager closes it, see close(); it must not be destroyed by its
// own log hook. Values stay valid.
//
// A store does not survive fork(), which copies neither threads nor the end of what they were at:
// in the child every function here is Forked, and destroying the manager does nothing, so that a
// child that exits never saves old data over its parent's. Its namespaces are not to be used there;
// where a lock was held at the fork, operations end as Timeout.
//
// File names are single path components inside the manager's directory: no '/', no leading dot,
// at most 200 bytes; others are InvalidName. Namespace names are 1 to 128 bytes of UTF-8 without
// control characters; others are InvalidName.
class StorageManager {
 public:
  // Without persistence, with default options. Building a manager may throw std::bad_alloc; nothing
  // else in this interface throws.
  StorageManager();
  explicit StorageManager(StorageOptions options);
  ~StorageManager();
  StorageManager(StorageManager&& other) noexcept;
  StorageManager& operator=(StorageManager&& other) noexcept;

  // --- Life ------------------------------------------------------------------------------------

  // Makes the manager ready, empty. A second call, of either form, is Ok and changes nothing.
  Status initialize();
  // Makes the manager ready with what `file` holds, or empty when there is no such file. When the
  // file is damaged, the newest older generation of it that is whole is loaded instead (see
  // load_report(); the log says so too); when there is none, it is SnapshotCorrupt. On any error
  // the manager stays uninitialised, and files are never changed. NoPersistence, InvalidName,
  // SnapshotVersion, Io, TooManyNamespaces, MemoryLimit, NoMemory, Cancelled; WouldDeadlock when
  // called by its own progress hook.
  Status initialize(std::string_view file, const OperationOptions& options = {});
  // What initialize() found.
  Result<LoadReport> load_report() const;
  // Works before initialize().
  bool is_initialized() const noexcept;
  // Works before initialize().
  bool has_persistence() const noexcept;
  // Ends autosave, with a last save for each task that asks for it, and closes the namespaces:
  // their handles, and every other function here, answer Closed. Waits for a save that is on.
  // Returns the first error of the last saves, and the same when it is called again. What others
  // write while it runs may be in those saves or not. Asynchronous operations that have not begun
  // complete as Closed, the others as Cancelled where they can be, before it returns. WouldDeadlock
  // when called by the log hook on the autosave thread, or on a worker thread by an operation's
  // hook or completion; then nothing is changed. Works before initialize().
  Status close();

  // --- Namespaces ------------------------------------------------------------------------------

  // InvalidName, InvalidArgument, NamespaceExists, TooManyNamespaces.
  Result<Namespace> create_namespace(std::string_view name, const NamespaceConfig& config = {});
  // NamespaceNotFound if there is none of this name.
  Result<Namespace> get_namespace(std::string_view name) const;
  // Removes the namespace and its data. Operations of other threads on it either finish before or
  // answer NamespaceDeleted. NamespaceNotFound.
  Status delete_namespace(std::string_view name);
  // Adds a namespace with the configuration and the content of another, of one instant; both go
  // their own ways from there. Values are shared until either changes, so that a copy costs a table
  // and no data. NamespaceNotFound; otherwise like create_namespace. Timeout, Cancelled.
  Result<Namespace> clone_namespace(std::string_view name, std::string_view new_name,
                                    const OperationOptions& options = {});
  // The names, sorted.
  Result<std::vector<std::string>> list_namespaces() const;
  // See Namespace::update_config. NamespaceNotFound.
  Status update_namespace_config(std::string_view name, const NamespaceConfig& config);

  // --- Configuration and figures ---------------------------------------------------------------

  // What is in force. Works before initialize().
  StorageConfig get_config() const;
  // Fields that are unset become their defaults. LimitBelowUse when there are more namespaces than
  // max_namespaces already; then nothing changes.
  Status update_config(const StorageConfig& config);

  // NamespaceNotFound.
  Result<NamespaceStats> namespace_stats(std::string_view name) const;
  // Sorted by name. Each namespace's figures are of one instant.
  Result<std::vector<NamespaceStats>> all_namespace_stats() const;
  // All figures as text in Prometheus' exposition format; with detailed_metrics (see
  // StorageOptions) histograms of durations as well. Counters grow while the manager lives.
  Result<std::string> metrics_text() const;
  Result<std::size_t> namespace_count() const;
  // Of all namespaces.
  Result<uint64_t> total_key_count() const;

  // --- Snapshots -------------------------------------------------------------------------------
  // A save is one instant of all it holds, and writers go on. It is Ok only when the file is
  // complete, synced and under its name; whatever fails, the file that was there before is still
  // there whole. The two files before it stay as FILE.1 and FILE.2. Saves to one name may overlap:
  // the last to finish wins whole. One process at a time saves into a directory: its managers share
  // a lock, from the first save of one of them to the end of the last. All: NoPersistence,
  // InvalidName, DirectoryLocked, Io, NoMemory, Timeout, Cancelled.

  Status save_all(std::string_view file, const OperationOptions& options = {});
  // NamespaceNotFound.
  Status save_namespace(std::string_view name, std::string_view file,
                        const OperationOptions& options = {});

  // Adds the one namespace that `file` holds, under its own name or as `new_name`, with its own
  // limits. Returns the name. SnapshotNotFound, SnapshotCorrupt, SnapshotVersion, NamespaceExists,
  // TooManyNamespaces, MemoryLimit, Cancelled; InvalidArgument when the file holds none or several.
  // Works while another process saves into the directory.
  Result<std::string> load_namespace(std::string_view file, const OperationOptions& options = {});
  Result<std::string> load_namespace_as(std::string_view file, std::string_view new_name,
                                        const OperationOptions& options = {});
  // The same for the namespace `from` of a file with any number of them. NamespaceNotFound.
  Result<std::string> load_namespace_as(std::string_view file, std::string_view new_name,
                                        std::string_view from,
                                        const OperationOptions& options = {});

  // --- Autosave --------------------------------------------------------------------------------
  // Tasks that save by themselves: the manager's saves all namespaces, the others one each. They
  // come from the options, from add_namespace_autosave_task(), and, stopped, from files that were
  // loaded: a file alone starts nothing. They run from initialize() on, one save at a time, on one
  // thread that there is while a task runs; the first save comes one interval after the start.
  // Failures go to the log hook and into the task's status, and the next tick tries again. A task
  // that is in the options begins anew with each namespace of its name.
  //
  // Deleting a namespace ends its task, once a save of it that is on has ended; so does stopping.
  // Both are fine on other threads at any time. From the log hook on the autosave thread stopping
  // is WouldDeadlock, and deleting does not wait.

  // Starts to save the namespace and keeps the configuration, which also goes into its files.
  // Replaces one that is not running. AutosaveExists, NamespaceNotFound, NoPersistence; for the
  // configuration InvalidName and InvalidArgument, the latter too when a running task writes the
  // same files.
  Status add_namespace_autosave_task(std::string_view name, const AutosaveConfig& config);
  // Starts what was stopped or came from a file. AutosaveNotConfigured, AutosaveExists,
  // NamespaceNotFound, InvalidArgument as above.
  Status start_namespace_autosave_task(std::string_view name);
  // Starts every task that is stopped and has something to save, the manager's too. Returns how
  // many; when one cannot start the others do, and the error is returned instead.
  Result<std::size_t> start_missing_autosave_tasks();
  // The manager's first, the others by name. Tasks of the options that wait for their namespace
  // are among them, as stopped.
  Result<std::vector<AutosaveStatus>> list_autosave_tasks() const;
  // The configuration stays. No final save. AutosaveNotRunning, WouldDeadlock.
  Status stop_namespace_autosave(std::string_view name);
  Status stop_manager_autosave();

 private:
  friend struct internal::AsyncAccess;
  explicit StorageManager(std::shared_ptr<internal::ManagerImpl> impl) : impl_(std::move(impl)) {}

  // The owner's closes the manager in the end; asynchronous operations have others.
  std::shared_ptr<internal::ManagerImpl> impl_;
};

// Builds a StorageManager step by step.
//
//   auto manager = rkvs::StorageManagerBuilder().with_persistence("data").build();
class StorageManagerBuilder {
 public:
  StorageManagerBuilder& with_config(StorageConfig config) {
    options_.config = std::move(config);
    return *this;
  }
  StorageManagerBuilder& with_persistence(std::filesystem::path directory) {
    options_.directory = std::move(directory);
    return *this;
  }
  StorageManagerBuilder& with_manager_autosave(AutosaveConfig config) {
    options_.manager_autosave = std::move(config);
    return *this;
  }
  // For one namespace; may be called for several.
  StorageManagerBuilder& with_namespace_autosave(std::string name, AutosaveConfig config) {
    options_.namespace_autosave.insert_or_assign(std::move(name), std::move(config));
    return *this;
  }
  // See StorageOptions.
  StorageManagerBuilder& with_worker_threads(uint32_t worker_threads) {
    options_.worker_threads = worker_threads;
    return *this;
  }
  StorageManagerBuilder& with_executor(PostHook post) {
    options_.post = std::move(post);
    return *this;
  }
  StorageManagerBuilder& with_log_hook(LogHook log) {
    options_.log = std::move(log);
    return *this;
  }
  // May be called again for a second manager with the same options.
  StorageManager build() const { return StorageManager(options_); }

 private:
  StorageOptions options_;
};

}  // namespace rkvs

#endif  // RKVS_MANAGER_H_
