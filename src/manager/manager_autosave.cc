// Autosave as the manager sees it: which namespace has which task, and what a task does.
//
// Autosave knows names and owners; whether a namespace is still the one of its name is known here
// alone. So whoever starts a task asks afterwards, and whoever deletes a namespace ends its task
// afterwards: one of the two comes last and cleans up, and no lock is held over both.
#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/key_hash.h"
#include "manager/manager_impl.h"

namespace rkvs::internal {
namespace {

// Under this name Autosave keeps the manager's own task: no namespace has it.
constexpr std::string_view kManagerTask;
constexpr uint64_t kNoOwner = 0;

// Every configuration that is in a file has another number, as far as 64 bits tell.
uint64_t revision_of(const NamespaceImpl& impl) {
  const NamespaceConfig config = impl.get_config();
  const std::array<uint64_t, 7> fields = {impl.id(),
                                          config.max_keys,
                                          config.max_value_size,
                                          config.max_bytes,
                                          config.max_key_size,
                                          config.shard_count,
                                          static_cast<uint64_t>(config.lock_timeout.count())};
  return KeyHash::of_process()({reinterpret_cast<const char*>(fields.data()), sizeof fields}).hash;
}

AutosaveChanges changes_of(const NamespaceImpl& impl) {
  return {.revision = revision_of(impl), .count = impl.changes()};
}

// Nothing to tell anybody: somebody else was faster to start, delete or close it.
bool is_settled(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
    case StatusCode::kAutosaveExists:
    case StatusCode::kAutosaveNotConfigured:
    case StatusCode::kNamespaceNotFound:
    case StatusCode::kClosed: return true;
    default: return false;
  }
}

Result<Autosave::Record> make_record(const NamespaceImpl& impl, const AutosaveConfig& config) {
  if (Status status = validate_autosave_times(config); !status.ok()) return status;
  auto pattern = AutosavePattern::parse(config.file, impl.name());
  if (!pattern.ok()) return pattern.status();
  return Autosave::Record{impl.name(), impl.id(), config, *std::move(pattern)};
}

}  // namespace

// --- What tasks do -------------------------------------------------------------------------------

Autosave::Job ManagerImpl::manager_job() {
  return {.save =
              [this](const AutosavePattern& pattern, const std::string& file) {
                return autosave(present_namespaces(), pattern, file, 0);
              },
          .changes = [this] { return changes_of_all(); }};
}

Autosave::Job ManagerImpl::namespace_job(const NamespacePtr& impl) {
  return {
      .save = [this, impl](const AutosavePattern& pattern,
                           const std::string& file) { return autosave({impl}, pattern, file, 1); },
      .changes = [impl] { return changes_of(*impl); }};
}

Status ManagerImpl::autosave(const std::vector<NamespacePtr>& namespaces,
                             const AutosavePattern& pattern, const std::string& file,
                             size_t at_least) {
  const uint32_t generations = pattern.timestamped() ? 1 : kDefaultGenerations;
  Status status = save(namespaces, file, {}, at_least, generations);
  if (status.ok() && pattern.timestamped()) remove_old_files(pattern, file);
  return status;
}

// A failure costs room on the disk and is no failure of the save, which is safe by now.
void ManagerImpl::remove_old_files(const AutosavePattern& pattern, const std::string& latest) try {
  const auto directory = this->directory();
  if (!directory.ok()) return;
  const auto names = (*directory)->list();
  Status failure = names.status();
  if (names.ok()) {
    for (const std::string& old : pattern.surplus(*names, latest, kDefaultGenerations)) {
      Status removed = (*directory)->remove(old);
      if (failure.ok()) failure = std::move(removed);
    }
  }
  if (!failure.ok()) {
    log(LogLevel::kWarning, "autosave to \"", latest,
        "\" could not remove older files: ", failure.message());
  }
} catch (const std::bad_alloc&) {
  // The next save removes them.
}

AutosaveChanges ManagerImpl::changes_of_all() const {
  AutosaveChanges total;
  std::vector<NamespacePtr> all;
  {
    const ReaderLock lock(mutex_);
    total = {.revision = revision_, .count = retired_changes_};
    all.reserve(namespaces_.size());
    for (const auto& [name, impl] : namespaces_) all.push_back(impl);
  }
  // Each namespace's number is as good as random, so that sums differ where the parts do.
  for (const NamespacePtr& impl : all) {
    const AutosaveChanges changes = changes_of(*impl);
    total.revision += changes.revision;
    total.count += changes.count;
  }
  return total;
}

// --- Beginning and end ---------------------------------------------------------------------------

Status ManagerImpl::validate_autosave_options() const try {
  std::vector<std::pair<std::string_view, AutosavePattern>> patterns;
  const auto check = [&](std::string_view name, const AutosaveConfig& config) -> Status {
    if (!has_persistence()) {
      return make_error(StatusCode::kNoPersistence,
                        "autosave needs a directory, and the StorageManager was built without one");
    }
    if (Status status = validate_autosave_times(config); !status.ok()) return status;
    auto pattern = AutosavePattern::parse(
        config.file, name == kManagerTask ? std::nullopt : std::optional(name));
    if (!pattern.ok()) return pattern.status();
    for (const auto& [other, theirs] : patterns) {
      if (!pattern->collides_with(theirs)) continue;
      return make_error(StatusCode::kInvalidArgument, "autosave of ", Autosave::subject(name),
                        " to \"", config.file, "\" would write the files of the autosave of ",
                        Autosave::subject(other));
    }
    patterns.emplace_back(name, *std::move(pattern));
    return Status();
  };
  if (options_.manager_autosave.has_value()) {
    if (Status status = check(kManagerTask, *options_.manager_autosave); !status.ok()) {
      return status;
    }
  }
  for (const auto& [name, config] : options_.namespace_autosave) {
    if (Status status = validate_namespace_name(name); !status.ok()) return status;
    if (Status status = check(name, config); !status.ok()) return status;
  }
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

void ManagerImpl::begin_all_autosave(const LoadedSnapshot& loaded) noexcept {
  if (options_.manager_autosave.has_value()) {
    const AutosaveConfig& config = *options_.manager_autosave;
    Status status;
    try {
      auto pattern = AutosavePattern::parse(config.file, std::nullopt);
      status = pattern.ok() ? autosave_.add({std::string(kManagerTask), kNoOwner, config, *pattern},
                                            manager_job())
                            : pattern.status();
    } catch (const std::bad_alloc&) {
      status = StatusCode::kNoMemory;
    }
    if (!is_settled(status)) tell_not_started(kManagerTask, status);
  }
  for (const auto& [name, config] : options_.namespace_autosave) keep_configured(name);
  for (const auto& [impl, autosave] : loaded.namespaces) {
    if (autosave.has_value()) adopt_autosave(impl, *autosave);
    begin_autosave(impl);
  }
}

void ManagerImpl::begin_autosave(const NamespacePtr& impl) noexcept {
  const auto it = options_.namespace_autosave.find(impl->name());
  if (it == options_.namespace_autosave.end()) return;
  const Status status = add_autosave(impl, it->second);
  if (!is_settled(status)) tell_not_started(impl->name(), status);
}

void ManagerImpl::tell_not_started(std::string_view name, const Status& status) noexcept try {
  autosave_.note_error(name, status);
  log(LogLevel::kError, "autosave of ", Autosave::subject(name),
      " could not start: ", status_code_name(status.code()), ": ", status.message());
} catch (const std::bad_alloc&) {
  // The list of tasks has it.
}

void ManagerImpl::keep_configured(const std::string& name) noexcept try {
  const auto it = options_.namespace_autosave.find(name);
  if (it == options_.namespace_autosave.end()) return;
  auto pattern = AutosavePattern::parse(it->second.file, name);
  if (!pattern.ok()) return;  // Out of memory: initialize() has looked at it.
  (void)autosave_.keep({name, kNoOwner, it->second, *std::move(pattern)});
} catch (const std::bad_alloc&) {
  // It is not listed, and starts with its namespace all the same.
}

// A file is data: what it says about autosave is kept for those who ask for it, and starts nothing.
void ManagerImpl::adopt_autosave(const NamespacePtr& impl, const SnapshotAutosave& saved) noexcept
    try {
  AutosaveConfig config;
  constexpr auto kLongest = static_cast<uint64_t>(kMaxAutosaveInterval.count());
  // One more than is allowed stands for all that is.
  config.interval = std::chrono::milliseconds(std::min(saved.interval_ms, kLongest + 1));
  config.changes = saved.changes;
  config.file = saved.pattern;
  auto record = make_record(*impl, config);
  if (!record.ok()) {
    log(LogLevel::kWarning, "the autosave configuration of namespace \"", impl->name(),
        "\" in its file is not usable and was left out: ", record.status().message());
    return;
  }
  (void)autosave_.keep(*std::move(record));
  forget_if_gone(impl);
} catch (const std::bad_alloc&) {
  // As if the file had none.
}

void ManagerImpl::end_autosave(const NamespacePtr& removed) noexcept {
  autosave_.forget(removed->name(), removed->id());
  // For the next one of this name.
  keep_configured(removed->name());
}

void ManagerImpl::forget_if_gone(const NamespacePtr& impl) {
  {
    const ReaderLock lock(mutex_);
    const auto it = namespaces_.find(impl->name());
    if (it != namespaces_.end() && it->second == impl) return;
  }
  end_autosave(impl);
}

std::optional<SnapshotAutosave> ManagerImpl::recorded_autosave(std::string_view name) const {
  const auto config = autosave_.config_of(name);
  if (!config.has_value()) return std::nullopt;
  return SnapshotAutosave{static_cast<uint64_t>(config->interval.count()), config->changes,
                          config->file};
}

// --- What programs ask for -----------------------------------------------------------------------

Status ManagerImpl::add_autosave(const NamespacePtr& impl, const AutosaveConfig& config) try {
  auto record = make_record(*impl, config);
  if (!record.ok()) return record.status();
  if (Status status = autosave_.add(*std::move(record), namespace_job(impl)); !status.ok()) {
    return status;
  }
  {
    // Files of the whole store have it in them.
    const WriterLock lock(mutex_);
    ++revision_;
  }
  forget_if_gone(impl);
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status ManagerImpl::add_namespace_autosave(std::string_view name, const AutosaveConfig& config) {
  const auto found = find(name);
  if (!found.ok()) return found.status();
  if (!has_persistence()) {
    return make_error(StatusCode::kNoPersistence,
                      "the StorageManager was built without a directory");
  }
  return add_autosave(*found, config);
}

Status ManagerImpl::start_namespace_autosave(std::string_view name) try {
  if (Status status = check_initialized(); !status.ok()) return status;
  if (name == kManagerTask || !autosave_.config_of(name).has_value()) {
    return make_error(StatusCode::kAutosaveNotConfigured, "there is no autosave of namespace \"",
                      name.substr(0, kMaxNamespaceNameSize), "\"");
  }
  const auto found = find(name);
  if (!found.ok()) return found.status();
  Status status = autosave_.start(name, (*found)->id(), namespace_job(*found));
  if (status.ok()) forget_if_gone(*found);
  return status;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<size_t> ManagerImpl::start_missing_autosave() try {
  if (Status status = check_initialized(); !status.ok()) return status;
  const auto tasks = autosave_.list();
  if (!tasks.ok()) return tasks.status();
  size_t started = 0;
  Status failure;
  for (const AutosaveStatus& task : *tasks) {
    if (task.state != AutosaveState::kStopped) continue;
    const Status status = task.is_manager ? autosave_.start(kManagerTask, kNoOwner, manager_job())
                                          : start_namespace_autosave(task.namespace_name);
    if (status.ok()) {
      ++started;
    } else if (!is_settled(status)) {
      autosave_.note_error(task.namespace_name, status);
      if (failure.ok()) failure = status;
    }
  }
  if (!failure.ok()) return failure;
  return started;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::vector<AutosaveStatus>> ManagerImpl::list_autosave() const {
  if (Status status = check_initialized(); !status.ok()) return status;
  return autosave_.list();
}

Status ManagerImpl::stop_namespace_autosave(std::string_view name) {
  if (Status status = check_initialized(); !status.ok()) return status;
  if (name == kManagerTask) {
    return make_error(StatusCode::kAutosaveNotRunning, "no namespace has an empty name");
  }
  return autosave_.stop(name);
}

Status ManagerImpl::stop_manager_autosave() {
  if (Status status = check_initialized(); !status.ok()) return status;
  return autosave_.stop(kManagerTask);
}

}  // namespace rkvs::internal
