#include "runtime/autosave.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/signals_blocked.h"

namespace rkvs::internal {
namespace {

class RealClock final : public AutosaveClock {
 public:
  std::chrono::steady_clock::time_point now() override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wall_time() override {
    return std::chrono::system_clock::now();
  }
  void wait_until(Condition& condition, Mutex& mutex,
                  std::chrono::steady_clock::time_point until) override RKVS_REQUIRES(mutex) {
    condition.wait_until(mutex, until);
  }
};

// Without memory for the reading, everything counts as changed.
AutosaveChanges read_changes(const Autosave::Job& job) {
  try {
    return job.changes();
  } catch (const std::bad_alloc&) {
    return {.revision = UINT64_MAX, .count = UINT64_MAX};
  }
}

Status closed() { return make_error(StatusCode::kClosed, "autosave is closed"); }

Status would_deadlock() {
  return make_error(StatusCode::kWouldDeadlock,
                    "called on the autosave thread, which this would have to wait for");
}

}  // namespace

AutosaveClock& AutosaveClock::real() {
  static RealClock clock;
  return clock;
}

Autosave::Autosave(LogHook log, AutosaveClock& clock) : log_(std::move(log)), clock_(clock) {}

Autosave::~Autosave() { (void)close(); }

std::string Autosave::subject(std::string_view name) {
  return name.empty() ? std::string("the manager") : concat("namespace \"", name, "\"");
}

template <typename... Parts>
void Autosave::tell(LogLevel level, const Task& task, const Parts&... parts) const noexcept {
  if (!log_) return;
  try {
    log_(level, concat("autosave of ", subject(task.record.name), " to \"", task.record.config.file,
                       "\" ", parts...));
  } catch (...) {
    // No memory for the text, or a hook that throws against its contract: nobody left to tell.
  }
}

// --- Tasks come and go ---------------------------------------------------------------------------

Result<bool> Autosave::keep(Record record) try {
  const auto task = std::make_shared<Task>(std::move(record));
  const MutexLock lock(mutex_);
  if (closing_) return closed();
  return tasks_.try_emplace(task->record.name, task).second;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Autosave::add(Record record, Job job) try {
  const auto task = std::make_shared<Task>(std::move(record));
  task->job = std::make_shared<const Job>(std::move(job));
  const AutosaveChanges changes = read_changes(*task->job);
  task->schedule.emplace(task->record.config, clock_.now(), changes);
  Leaving leaving;
  const MutexLock lock(mutex_);
  if (Status status = check_startable(task->record.name, task->record.owner); !status.ok()) {
    return status;
  }
  return launch(task, leaving);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Autosave::start(std::string_view name, uint64_t owner, Job job) try {
  const auto shared = std::make_shared<const Job>(std::move(job));
  const AutosaveChanges changes = read_changes(*shared);
  Leaving leaving;
  TaskPtr task;
  const MutexLock lock(mutex_);
  const auto it = tasks_.find(name);
  if (it == tasks_.end()) {
    return make_error(StatusCode::kAutosaveNotConfigured, "there is no autosave of ",
                      subject(name));
  }
  if (Status status = check_startable(name, owner); !status.ok()) return status;
  // Another object: the old one may still be in the save that it was stopped in.
  Record record = it->second->record;
  record.owner = owner;
  task = std::make_shared<Task>(std::move(record));
  task->figures = it->second->figures;
  task->failing = it->second->failing;
  task->job = shared;
  task->schedule.emplace(task->record.config, clock_.now(), changes);
  return launch(task, leaving);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Autosave::check_startable(std::string_view name, uint64_t owner) const {
  if (closing_) return closed();
  const auto it = tasks_.find(name);
  if (it == tasks_.end()) return Status();
  const Task& present = *it->second;
  if (present.record.owner > owner) {
    return make_error(StatusCode::kNamespaceNotFound, subject(name), " was deleted");
  }
  if (present.running && present.record.owner == owner) {
    return make_error(StatusCode::kAutosaveExists, "autosave of ", subject(name),
                      " is running already");
  }
  return Status();
}

Status Autosave::launch(TaskPtr task, Leaving& leaving) {
  const std::string& name = task->record.name;
  for (const auto& [other_name, other] : tasks_) {
    if (other_name == name || !other->running) continue;
    if (!other->record.pattern.collides_with(task->record.pattern)) continue;
    return make_error(StatusCode::kInvalidArgument, "autosave of ", subject(name), " to \"",
                      task->record.config.file, "\" would write the files of the autosave of ",
                      subject(other_name), " to \"", other->record.config.file, "\"");
  }
  if (Status status = ensure_thread(); !status.ok()) return status;
  TaskPtr& place = tasks_[name];
  if (place) end(*place, leaving);
  leaving.task = std::exchange(place, std::move(task));
  place->running = true;
  changed_.notify_all();
  return Status();
}

Status Autosave::ensure_thread() {
  if (thread_id_ != std::thread::id()) return Status();
  // One that has found nothing more to do; it needs no lock any more.
  if (thread_.joinable()) thread_.join();
  const SignalsBlocked signals;
  try {
    thread_ = std::thread([this] { run(); });
    thread_id_ = thread_.get_id();
    return Status();
  } catch (const std::system_error& error) {
    return make_error(StatusCode::kNoMemory, "no thread for autosave: ", error.what());
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

bool Autosave::is_own_thread() const { return thread_id_ == std::this_thread::get_id(); }

bool Autosave::on_own_thread() const {
  const MutexLock lock(mutex_);
  return is_own_thread();
}

void Autosave::end(Task& task, Leaving& leaving) {
  task.running = false;
  leaving.job = std::move(task.job);
}

Status Autosave::stop(std::string_view name) try {
  Leaving leaving;
  const MutexLock lock(mutex_);
  if (is_own_thread()) return would_deadlock();
  const auto it = tasks_.find(name);
  if (it == tasks_.end() || !it->second->running) {
    return make_error(StatusCode::kAutosaveNotRunning, "no autosave of ",
                      subject(name.substr(0, kMaxNamespaceNameSize)), " is running");
  }
  leaving.task = it->second;
  end(*leaving.task, leaving);
  changed_.notify_all();
  await_save(leaving.task->record.name);
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

void Autosave::forget(std::string_view name, uint64_t owner) {
  Leaving leaving;
  const MutexLock lock(mutex_);
  const auto it = tasks_.find(name);
  if (it == tasks_.end() || it->second->record.owner > owner) return;
  leaving.task = std::move(it->second);
  tasks_.erase(it);
  end(*leaving.task, leaving);
  changed_.notify_all();
  if (!is_own_thread()) await_save(leaving.task->record.name);
}

// By name: what is being saved may have been stopped and started again since. This save alone: if
// somebody starts the task anew, that is not the caller's.
void Autosave::await_save(std::string_view name) {
  const uint64_t number = save_number_;
  while (is_saving(name) && save_number_ == number) changed_.wait(mutex_);
}

void Autosave::begin_save(const Task& task) {
  saving_ = &task;
  ++save_number_;
}

bool Autosave::is_saving(std::string_view name) const {
  return saving_ != nullptr && saving_->record.name == name;
}

void Autosave::note_error(std::string_view name, const Status& error) {
  const MutexLock lock(mutex_);
  const auto it = tasks_.find(name);
  if (it != tasks_.end() && !it->second->running) it->second->figures.last_error = error;
}

std::optional<AutosaveConfig> Autosave::config_of(std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto it = tasks_.find(name);
  if (it == tasks_.end()) return std::nullopt;
  return it->second->record.config;
}

Result<std::vector<AutosaveStatus>> Autosave::list() const try {
  std::vector<AutosaveStatus> list;
  const MutexLock lock(mutex_);
  list.reserve(tasks_.size());
  for (const auto& [name, task] : tasks_) {
    AutosaveStatus& status = list.emplace_back(task->figures);
    status.namespace_name = name;
    status.is_manager = name.empty();
    status.config = task->record.config;
    status.state = is_saving(name) ? AutosaveState::kSaving
                   : task->running ? AutosaveState::kWaiting
                                   : AutosaveState::kStopped;
  }
  return list;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status Autosave::close() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    if (is_own_thread()) return would_deadlock();
    if (closing_) {
      while (!closed_) changed_.wait(mutex_);
      return close_status_;
    }
    closing_ = true;
    changed_.notify_all();
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
  const MutexLock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  return close_status_;
}

// --- The thread ----------------------------------------------------------------------------------

void Autosave::run() noexcept {
  ::pthread_setname_np(::pthread_self(), "rkvs-autosave");
  TaskPtr task;
  Next next;
  while ((next = await_due(task)) == Next::kVisit) visit(*task);
  if (next == Next::kNothing) return;
  for (std::shared_ptr<const Job> job; take_for_the_end(task, job);) save_for_the_end(*task, *job);
}

// Tasks take turns: the search goes on behind the one that had the last.
Autosave::Next Autosave::await_due(TaskPtr& task) {
  const TaskPtr previous = std::move(task);
  const MutexLock lock(mutex_);
  while (!closing_) {
    const auto now = clock_.now();
    auto next = std::chrono::steady_clock::time_point::max();
    bool any = false;
    auto it = previous ? tasks_.upper_bound(previous->record.name) : tasks_.begin();
    for (size_t left = tasks_.size(); left > 0; --left, ++it) {
      if (it == tasks_.end()) it = tasks_.begin();
      if (!it->second->running) continue;
      any = true;
      const auto when = it->second->schedule->next_look();
      if (when <= now) {
        task = it->second;
        return Next::kVisit;
      }
      next = std::min(next, when);
    }
    if (!any) {
      thread_id_ = std::thread::id();
      return Next::kNothing;
    }
    clock_.wait_until(changed_, mutex_, next);
  }
  return Next::kClose;
}

void Autosave::visit(Task& task) {
  std::shared_ptr<const Job> job;
  {
    const MutexLock lock(mutex_);
    job = task.job;
  }
  if (!job) return;  // ended meanwhile
  const AutosaveChanges changes = read_changes(*job);
  {
    const MutexLock lock(mutex_);
    if (!task.running || closing_) return;
    const AutosaveSchedule::Look look = task.schedule->look(clock_.now(), changes);
    task.figures.skipped_ticks += look.skipped;
    task.figures.unchanged_ticks += look.unchanged ? 1 : 0;
    if (!look.save) return;
    begin_save(task);
  }
  (void)save(task, *job, changes);
}

// The changes are asked for before the save, so that one that comes in between is saved twice
// rather than not at all.
Status Autosave::save(Task& task, const Job& job, const AutosaveChanges& before) {
  std::string file;
  Status status;
  const auto began = clock_.now();
  try {
    file = task.record.pattern.file_at(clock_.wall_time());
    status = job.save(task.record.pattern, file);
  } catch (const std::bad_alloc&) {
    status = StatusCode::kNoMemory;
  }
  const auto took = clock_.now() - began;
  // The namespace was deleted, and its task is about to end or has ended: no failure, and no news
  // to who has deleted it.
  const bool is_gone = status.code() == StatusCode::kNamespaceNotFound;
  bool was_failing = false;
  {
    const MutexLock lock(mutex_);
    was_failing = std::exchange(task.failing, !status.ok() && !is_gone);
    record_outcome(task, before, status, std::move(file), took);
    saving_ = nullptr;
    changed_.notify_all();
  }
  if (status.ok()) {
    if (was_failing) tell(LogLevel::kInfo, task, "succeeds again");
  } else if (!is_gone) {
    tell(LogLevel::kError, task, "failed: ", status_code_name(status.code()), ": ",
         status.message());
  }
  return status;
}

void Autosave::record_outcome(Task& task, const AutosaveChanges& before, const Status& status,
                              std::string file, std::chrono::steady_clock::duration took) {
  AutosaveStatus& figures = task.figures;
  figures.last_duration = std::chrono::duration_cast<std::chrono::milliseconds>(took);
  const auto now = clock_.now();
  if (status.ok()) {
    ++figures.saves;
    figures.last_file = std::move(file);
    figures.last_success = clock_.wall_time();
    figures.skipped_ticks += task.schedule->saved(now, before);
  } else {
    if (status.code() != StatusCode::kNamespaceNotFound) {
      ++figures.failures;
      figures.last_failure = clock_.wall_time();
      figures.last_error = status;
    }
    figures.skipped_ticks += task.schedule->failed(now);
  }
}

bool Autosave::take_for_the_end(TaskPtr& task, std::shared_ptr<const Job>& job) {
  // What these hold is let go without the lock.
  const TaskPtr previous = std::move(task);
  const std::shared_ptr<const Job> previous_job = std::move(job);
  const MutexLock lock(mutex_);
  for (const auto& [name, candidate] : tasks_) {
    if (!candidate->running) continue;
    task = candidate;
    job = std::move(task->job);
    task->running = false;
    return true;
  }
  thread_id_ = std::thread::id();
  return false;
}

void Autosave::save_for_the_end(Task& task, const Job& job) {
  if (!task.record.config.final_save) return;
  const AutosaveChanges changes = read_changes(job);
  {
    const MutexLock lock(mutex_);
    if (!task.schedule->has_unsaved(changes)) return;
    begin_save(task);
  }
  const Status status = save(task, job, changes);
  const MutexLock lock(mutex_);
  if (close_status_.ok()) close_status_ = status;
}

}  // namespace rkvs::internal
