#include "manager/manager_impl.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"

namespace rkvs::internal {

void ManagerImpl::end_ownership() noexcept {
  if (process_.is_forked()) {
    kept_in_child_ = shared_from_this();
  } else {
    (void)close();
  }
}

Status ManagerImpl::close() {
  if (process_.is_forked()) return ProcessMark::error();
  if (is_called_back()) return check_initialized();
  if (autosave_.on_own_thread()) {
    return make_error(StatusCode::kWouldDeadlock,
                      "close() called on the autosave thread, which it would have to wait for");
  }
  if (executor_->on_worker_thread()) {
    return make_error(StatusCode::kWouldDeadlock,
                      "close() called on a worker thread, which it would have to wait for");
  }
  closed_.store(true, std::memory_order_release);
  executor_->close();
  Status status = autosave_.close();
  ticker_->stop();
  NamespaceMap namespaces;
  {
    // Both in one: another close(), which finds none left, is not to return before they have ended.
    const MutexLock members(members_mutex_);
    {
      const WriterLock lock(mutex_);
      namespaces.swap(namespaces_);
    }
    for (auto& [name, impl] : namespaces) impl->end(StatusCode::kClosed);
  }
  for (auto& [name, impl] : namespaces) impl->free_data();
  // Other processes may save from here on, or from the end of the last save that is on.
  const MutexLock lock(directory_mutex_);
  directory_lock_.reset();
  return status;
}

Status ManagerImpl::check_initialized() const {
  if (process_.is_forked()) return ProcessMark::error();
  if (is_called_back()) {
    return make_error(StatusCode::kWouldDeadlock,
                      "called by the function of a transform, which holds a lock");
  }
  if (is_initialized()) [[likely]]
    return Status();
  if (is_closed()) return make_error(StatusCode::kClosed, "the StorageManager is closed");
  return make_error(StatusCode::kNotInitialized, "call StorageManager::initialize() first");
}

Status ManagerImpl::initialize(std::optional<std::string_view> file,
                               const OperationOptions& options) {
  if (process_.is_forked() || is_called_back()) return check_initialized();
  if (initializing_thread_.load() == std::this_thread::get_id()) {
    return make_error(StatusCode::kWouldDeadlock, "initialize() called by its own progress hook");
  }
  if (options_.worker_threads > kMaxWorkerThreads) {
    return make_error(StatusCode::kInvalidArgument, "worker_threads ", options_.worker_threads,
                      " is above ", kMaxWorkerThreads);
  }
  OperationMonitor monitor(options);
  LoadedSnapshot loaded;
  {
    const MutexLock once(initialize_mutex_);
    if (is_closed()) return check_initialized();
    if (is_initialized()) return Status();
    initializing_thread_.store(std::this_thread::get_id());
    Status status = initialize_once(file, monitor, loaded);
    initializing_thread_.store(std::thread::id());
    if (!status.ok()) return status;
  }
  log_load_report();
  begin_all_autosave(loaded);
  return Status();
}

void ManagerImpl::log_load_report() const noexcept try {
  const auto report = load_report();
  if (!report.ok() || report->skipped.empty()) return;
  for (const auto& skipped : report->skipped) {
    log(LogLevel::kWarning, "skipped \"", skipped.file, "\": ", skipped.reason.message());
  }
  log(LogLevel::kWarning, "loaded the older generation \"", report->file, "\"");
} catch (const std::bad_alloc&) {
  // The report itself is there, for whoever asks later.
}

Status ManagerImpl::initialize_once(std::optional<std::string_view> file, OperationMonitor& monitor,
                                    LoadedSnapshot& loaded) try {
  if (Status status = validate_autosave_options(); !status.ok()) return status;
  LoadReport report;
  if (file.has_value()) {
    auto read = read_newest(*file, report, monitor);
    if (!read.ok()) return read.status();
    loaded = *std::move(read);
  }
  StorageConfig config = options_.config;
  if (!config.max_namespaces.has_value()) {
    config.max_namespaces = loaded.config.max_namespaces.value_or(0);
  }
  if (!config.max_bytes.has_value()) config.max_bytes = loaded.config.max_bytes.value_or(0);
  bytes_->set(*config.max_bytes, 0);
  // What was saved within the limit loads: tables may be larger here than they were there, so that
  // entries alone are held to it.
  uint64_t entry_bytes = 0;
  for (const auto& [impl, autosave] : loaded.namespaces) entry_bytes += impl->entry_bytes();
  if (bytes_->limit() != 0 && entry_bytes > bytes_->limit()) {
    return make_error(StatusCode::kMemoryLimit, "the entries of \"", report.file, "\" take ",
                      entry_bytes, " bytes; max_bytes is ", bytes_->limit());
  }
  NamespaceMap namespaces;
  for (const auto& [impl, autosave] : loaded.namespaces) {
    const auto stats = impl->stats();
    if (!stats.ok()) return stats.status();
    report.keys += stats->key_count;
    if (Status status = adopt(*impl, Charge::kAlways); !status.ok()) return status;
    namespaces.emplace(impl->name(), impl);
  }
  report.namespaces = namespaces.size();
  {
    const WriterLock lock(mutex_);
    if (is_closed()) return check_initialized();
    namespaces_.swap(namespaces);
    config_ = config;
    load_report_ = std::move(report);
  }
  initialized_.store(true, std::memory_order_release);
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<LoadReport> ManagerImpl::load_report() const try {
  if (Status status = check_initialized(); !status.ok()) return status;
  const ReaderLock lock(mutex_);
  return load_report_;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status ManagerImpl::check_room(std::string_view name) const {
  if (namespaces_.find(name) != namespaces_.end()) {
    return make_error(StatusCode::kNamespaceExists, "there is a namespace \"", name, "\" already");
  }
  const uint64_t limit = config_.max_namespaces.value_or(0);
  if (limit != 0 && namespaces_.size() >= limit) {
    return make_error(StatusCode::kTooManyNamespaces, "namespace \"", name,
                      "\" would be one more than max_namespaces = ", limit);
  }
  return Status();
}

Result<NamespacePtr> ManagerImpl::create(std::string_view name, const NamespaceConfig& config) {
  if (Status status = check_initialized(); !status.ok()) return status;
  if (Status status = validate_namespace_name(name); !status.ok()) return status;
  if (Status status = validate_config(config); !status.ok()) return status;
  {
    // The usual refusals before anything is built; add() asks again.
    const ReaderLock lock(mutex_);
    if (Status status = check_room(name); !status.ok()) return status;
  }
  auto created =
      NamespaceImpl::create(name, config, /*expected_keys*/ 0, KeyHash::of_process(), time_);
  if (!created.ok()) return created.status();
  if (Status status = add(*created); !status.ok()) return status;
  return created;
}

Status ManagerImpl::add(const NamespacePtr& added) {
  try {
    std::string name = added->name();
    const MutexLock members(members_mutex_);
    const WriterLock lock(mutex_);
    if (is_closed()) return check_initialized();
    if (Status status = check_room(name); !status.ok()) return status;
    if (Status status = adopt(*added); !status.ok()) return status;
    namespaces_.emplace(std::move(name), added);
    ++revision_;
    ++retired_changes_;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
  begin_autosave(added);
  return Status();
}

Status ManagerImpl::adopt(NamespaceImpl& impl, Charge charge) {
  if (!impl.share_budget(bytes_, charge == Charge::kAlways)) {
    return make_error(StatusCode::kMemoryLimit, "namespace \"", impl.name(),
                      "\" does not fit into the manager's max_bytes = ", bytes_->limit());
  }
  if (options_.detailed_metrics) impl.enable_metrics();
  impl.set_executor(executor_);
  impl.set_hooks([ticker = ticker_] { return ticker->start(); },
                 [ticker = ticker_](Deadline& limit) { ticker->tick_now(limit); });
  if (impl.has_expiries()) ticker_->start();
  return Status();
}

Status ManagerImpl::set_max_bytes(uint64_t max_bytes, std::vector<NamespacePtr> all) {
  if (max_bytes == bytes_->limit()) return Status();
  // With every shard of every namespace locked, so that the account is right from its first moment.
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->id() < b->id(); });
  std::chrono::milliseconds longest{0};
  for (const auto& impl : all) longest = std::max(longest, impl->get_config().lock_timeout);
  Deadline limit(longest);
  uint64_t used = 0;
  std::vector<std::unique_ptr<AllLock<Access::kWrite>>> locks;
  locks.reserve(all.size());
  for (const NamespacePtr& impl : all) {
    locks.push_back(std::make_unique<AllLock<Access::kWrite>>(impl->shards(), limit));
    if (!locks.back()->held()) return impl->error(locks.back()->code());
    used += impl->sum(*locks.back()).memory_bytes;
  }
  if (max_bytes != 0 && max_bytes < used) {
    return make_error(StatusCode::kLimitBelowUse, "max_bytes ", max_bytes, " is below the ", used,
                      " bytes that all namespaces take");
  }
  bytes_->set(max_bytes, used);
  for (const NamespacePtr& impl : all) impl->usage().note_counting();
  return Status();
}

Result<std::string> ManagerImpl::metrics_text() const try {
  auto all = this->all();
  if (!all.ok()) return all.status();
  std::vector<NamespaceFigures> figures;
  for (const NamespacePtr& impl : *all) {
    auto stats = impl->stats();
    if (stats.code() == StatusCode::kNamespaceDeleted) continue;
    if (!stats.ok()) return stats.status();
    figures.push_back({*std::move(stats), impl->metrics()});
  }
  return internal::metrics_text(figures, save_metrics_);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

void ManagerImpl::reclaim_expired() const noexcept try {
  const auto all = this->all();
  if (!all.ok()) return;
  for (const NamespacePtr& impl : *all) {
    OperationTime time(time_);
    Deadline limit = impl->deadline();
    impl->reclaim_expired(time, limit);
  }
} catch (const std::bad_alloc&) {
  // The next time.
}

Result<NamespacePtr> ManagerImpl::find(std::string_view name) const {
  if (Status status = check_initialized(); !status.ok()) return status;
  const ReaderLock lock(mutex_);
  const auto it = namespaces_.find(name);
  if (it == namespaces_.end()) {
    if (is_closed()) return check_initialized();  // that is why
    return make_error(StatusCode::kNamespaceNotFound, "there is no namespace \"",
                      name.substr(0, kMaxNamespaceNameSize), "\"");
  }
  return it->second;
}

Status ManagerImpl::remove(std::string_view name) {
  if (Status status = check_initialized(); !status.ok()) return status;
  NamespacePtr removed;
  {
    const MutexLock members(members_mutex_);
    {
      const WriterLock lock(mutex_);
      const auto it = namespaces_.find(name);
      if (it == namespaces_.end()) {
        if (is_closed()) return check_initialized();
        return make_error(StatusCode::kNamespaceNotFound, "there is no namespace \"",
                          name.substr(0, kMaxNamespaceNameSize), "\"");
      }
      removed = std::move(it->second);
      namespaces_.erase(it);
      ++revision_;
      retired_changes_ += removed->changes() + 1;
    }
    removed->end(StatusCode::kNamespaceDeleted);
  }
  removed->free_data();
  end_autosave(removed);
  return Status();
}

Result<std::vector<NamespacePtr>> ManagerImpl::all() const {
  if (Status status = check_initialized(); !status.ok()) return status;
  std::vector<NamespacePtr> all;
  try {
    all = present_namespaces();
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
  // Whoever closes says so before they are gone from the map.
  if (is_closed()) return check_initialized();
  std::sort(all.begin(), all.end(),
            [](const NamespacePtr& a, const NamespacePtr& b) { return a->name() < b->name(); });
  return all;
}

std::vector<NamespacePtr> ManagerImpl::present_namespaces() const {
  std::vector<NamespacePtr> all;
  const ReaderLock lock(mutex_);
  all.reserve(namespaces_.size());
  for (const auto& [name, impl] : namespaces_) all.push_back(impl);
  return all;
}

Result<size_t> ManagerImpl::count() const {
  if (Status status = check_initialized(); !status.ok()) return status;
  const ReaderLock lock(mutex_);
  if (is_closed()) return check_initialized();
  return namespaces_.size();
}

StorageConfig ManagerImpl::get_config() const {
  // After the end too: the last saves ask for it.
  if (!initialized_.load(std::memory_order_acquire)) return options_.config;
  const ReaderLock lock(mutex_);
  return config_;
}

Status ManagerImpl::update_config(const StorageConfig& config) try {
  if (Status status = check_initialized(); !status.ok()) return status;
  const uint64_t limit = config.max_namespaces.value_or(0);
  // Keeps the namespaces as they are, but not from those who look one up: it may wait for shards.
  const MutexLock members(members_mutex_);
  std::vector<NamespacePtr> all = present_namespaces();
  if (limit != 0 && all.size() > limit) {
    return make_error(StatusCode::kLimitBelowUse, "max_namespaces ", limit, " is below the ",
                      all.size(), " namespaces that there are");
  }
  Status status = set_max_bytes(config.max_bytes.value_or(0), std::move(all));
  if (!status.ok()) return status;
  const WriterLock lock(mutex_);
  config_ = config;
  config_.max_namespaces = limit;
  config_.max_bytes = config.max_bytes.value_or(0);
  ++revision_;
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

}  // namespace rkvs::internal
