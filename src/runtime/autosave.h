// Autosave: the tasks of one manager, and the thread that runs them.
#ifndef RKVS_RUNTIME_AUTOSAVE_H_
#define RKVS_RUNTIME_AUTOSAVE_H_

#include <rkvs/autosave.h>
#include <rkvs/options.h>
#include <rkvs/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/condition.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "runtime/autosave_schedule.h"

namespace rkvs::internal {

// What time it is, and waiting for it. Tests have one of their own.
class AutosaveClock {
 public:
  virtual ~AutosaveClock() = default;
  // The real one. Lives for ever.
  static AutosaveClock& real();

  virtual std::chrono::steady_clock::time_point now() = 0;
  virtual std::chrono::system_clock::time_point wall_time() = 0;
  // As Condition::wait_until: may return early, for no reason at all.
  virtual void wait_until(Condition& condition, Mutex& mutex,
                          std::chrono::steady_clock::time_point until) RKVS_REQUIRES(mutex) = 0;
};

// Runs tasks that save something again and again, one save at a time, on one thread that lives as
// long as there are tasks to run. What is saved, and how, it does not know: each task is a name and
// two functions.
//
// A task is running, or it is a record that is kept for when it is started. Whoever stops one waits
// for the save that it is in. All functions are safe for concurrent use, the destructor aside. The
// functions of tasks and the log hook are called on the thread, and with no lock held: they may
// call everything here, but what would have to wait for the thread is WouldDeadlock on it.
class Autosave {
 public:
  struct Job {
    // Saves under the name `file`, which `pattern` gave.
    std::function<Status(const AutosavePattern& pattern, const std::string& file)> save;
    // Says how far what it saves has changed. Also called by those who start the task.
    std::function<AutosaveChanges()> changes;
  };

  struct Record {
    // Namespace names are never empty: "" is the manager's.
    std::string name;
    // Whose task it is, among all that had the name: greater for those that came later.
    uint64_t owner = 0;
    AutosaveConfig config;
    AutosavePattern pattern;
  };

  // `log` hears of failures. `clock` must outlive this.
  explicit Autosave(LogHook log, AutosaveClock& clock = AutosaveClock::real());
  // close(), if nobody has called it.
  ~Autosave();
  Autosave(const Autosave&) = delete;
  Autosave& operator=(const Autosave&) = delete;

  // Keeps a record, stopped, unless there is one of this name. False: there was. NoMemory, Closed.
  Result<bool> keep(Record record);
  // Keeps a record and starts it; a stopped one of this name is replaced, and so is one of an
  // earlier owner, running or not. AutosaveExists; InvalidArgument when a running task has the same
  // files; NamespaceNotFound when there is one of a later owner; NoMemory, Closed.
  Status add(Record record, Job job);
  // Starts what was kept. AutosaveNotConfigured, and the errors of add().
  Status start(std::string_view name, uint64_t owner, Job job);
  // The record stays. AutosaveNotRunning, WouldDeadlock.
  Status stop(std::string_view name);
  // Ends and removes what has this name and no later owner. On the task's own thread it does not
  // wait: there, the save that is on goes on.
  void forget(std::string_view name, uint64_t owner);
  // Notes why a task could not be started, where it is not running.
  void note_error(std::string_view name, const Status& error);

  // Running or not. Nothing if there is none of this name.
  std::optional<AutosaveConfig> config_of(std::string_view name) const;
  // Sorted by name, the manager's first. NoMemory.
  Result<std::vector<AutosaveStatus>> list() const;
  // Whose autosave it is, for messages: the manager's or a namespace's.
  static std::string subject(std::string_view name);
  // Whether the caller is on the thread of the tasks.
  bool on_own_thread() const;

  // Stops everything; tasks that ask for it save for the last time. Returns the first error of
  // those saves, and the same to everybody who calls it again. WouldDeadlock, then nothing is
  // changed.
  Status close();

 private:
  // The members that change are guarded by mutex_.
  struct Task {
    explicit Task(Record from) : record(std::move(from)) {}

    const Record record;
    std::shared_ptr<const Job> job;  // while it is running
    std::optional<AutosaveSchedule> schedule;
    bool running = false;
    bool failing = false;
    AutosaveStatus figures;  // but namespace_name, is_manager, config and state
  };
  using TaskPtr = std::shared_ptr<Task>;
  // Out of the map, to be destroyed when mutex_ is not held any more: jobs keep namespaces alive.
  struct Leaving {
    TaskPtr task;
    std::shared_ptr<const Job> job;
  };

  Status check_startable(std::string_view name, uint64_t owner) const RKVS_REQUIRES(mutex_);
  // Puts `task` into its place and runs it.
  Status launch(TaskPtr task, Leaving& leaving) RKVS_REQUIRES(mutex_);
  Status ensure_thread() RKVS_REQUIRES(mutex_);
  bool is_own_thread() const RKVS_REQUIRES(mutex_);
  // Not running any more from here on; where it is saving, that goes on.
  static void end(Task& task, Leaving& leaving);
  void begin_save(const Task& task) RKVS_REQUIRES(mutex_);
  bool is_saving(std::string_view name) const RKVS_REQUIRES(mutex_);
  void await_save(std::string_view name) RKVS_REQUIRES(mutex_);

  // --- On the thread ---
  void run() noexcept;
  enum class Next { kVisit, kNothing, kClose };
  // Waits for a task that has to be looked at, and puts it in the place of the one before. With
  // kNothing the thread is nobody's any more.
  Next await_due(TaskPtr& task);
  void visit(Task& task);
  Status save(Task& task, const Job& job, const AutosaveChanges& before);
  void record_outcome(Task& task, const AutosaveChanges& before, const Status& status,
                      std::string file, std::chrono::steady_clock::duration took)
      RKVS_REQUIRES(mutex_);
  // When everything is closed: ends the tasks, one after the other. False when there is none left.
  bool take_for_the_end(TaskPtr& task, std::shared_ptr<const Job>& job);
  void save_for_the_end(Task& task, const Job& job);
  template <typename... Parts>
  void tell(LogLevel level, const Task& task, const Parts&... parts) const noexcept;

  const LogHook log_;
  AutosaveClock& clock_;

  mutable Mutex mutex_;
  // Tasks come, go and end; saves end; the whole is closed.
  Condition changed_;
  std::map<std::string, TaskPtr, std::less<>> tasks_ RKVS_GUARDED_BY(mutex_);
  std::thread thread_ RKVS_GUARDED_BY(mutex_);
  std::thread::id thread_id_ RKVS_GUARDED_BY(mutex_);     // no thread's where none is at work
  const Task* saving_ RKVS_GUARDED_BY(mutex_) = nullptr;  // stopped by now, maybe
  uint64_t save_number_ RKVS_GUARDED_BY(mutex_) = 0;
  bool closing_ RKVS_GUARDED_BY(mutex_) = false;
  bool closed_ RKVS_GUARDED_BY(mutex_) = false;
  Status close_status_ RKVS_GUARDED_BY(mutex_);
};

}  // namespace rkvs::internal

#endif  // RKVS_RUNTIME_AUTOSAVE_H_
