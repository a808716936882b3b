#include "capi/options.h"

#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rkvs::capi {

namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

Status check_flags(uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return Status();
  return internal::make_error(StatusCode::kUnsupported, "flags ", flags & ~known,
                              ", which this library does not know");
}

system_clock::time_point to_time(int64_t unix_ms) {
  using Clock = system_clock;
  const auto first = std::chrono::floor<milliseconds>(Clock::time_point::min().time_since_epoch());
  const auto last = std::chrono::floor<milliseconds>(Clock::time_point::max().time_since_epoch());
  return Clock::time_point(std::clamp(milliseconds(unix_ms), first + milliseconds(1), last));
}

int64_t to_unix_ms(const std::optional<system_clock::time_point>& time) {
  if (!time.has_value()) return 0;
  return std::chrono::floor<milliseconds>(time->time_since_epoch()).count();
}

Status no_config() {
  return internal::make_error(StatusCode::kInvalidArgument, "`config` is NULL");
}

void log_to(rkvs_log_callback callback, void* user, LogLevel level, std::string_view message) {
  // A NUL follows the message.
  const std::string text(message);
  const CallbackGuard guard;
  callback(user, static_cast<rkvs_log_level>(level), text.c_str(), text.size());
}

}  // namespace

milliseconds to_milliseconds(uint64_t ms) noexcept {
  constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return milliseconds(static_cast<int64_t>(std::min(ms, kLargest)));
}

Status to_write_options(const rkvs_write_options* from, WriteOptions& to) {
  if (from == nullptr) return Status();
  rkvs_write_options options;
  if (Status status = read_struct(from, options); !status.ok()) return status;
  if (Status status = check_flags(options.flags, RKVS_KEEP_TTL); !status.ok()) return status;
  if (options.expire_after_ms != 0) to.expire_after = milliseconds(options.expire_after_ms);
  if (options.expire_at_unix_ms != 0) to.expire_at = to_time(options.expire_at_unix_ms);
  to.keep_ttl = (options.flags & RKVS_KEEP_TTL) != 0;
  return Status();
}

Status to_counter_options(const rkvs_counter_options* from, CounterOptions& to) {
  if (from == nullptr) return Status();
  rkvs_counter_options options;
  if (Status status = read_struct(from, options); !status.ok()) return status;
  if (Status status = check_flags(options.flags, 0); !status.ok()) return status;
  to.initial = options.initial;
  if (options.expire_after_ms != 0) to.expire_after = milliseconds(options.expire_after_ms);
  return Status();
}

Status to_namespace_config(const rkvs_namespace_config* from, NamespaceConfig& to) {
  if (from == nullptr) return Status();
  rkvs_namespace_config config;
  if (Status status = read_struct(from, config); !status.ok()) return status;
  to.shard_count = config.shard_count;
  to.max_keys = config.max_keys;
  to.max_value_size = config.max_value_size;
  if (config.max_key_size != 0) to.max_key_size = config.max_key_size;
  to.max_bytes = config.max_bytes;
  if (config.lock_timeout_ms != 0) to.lock_timeout = to_milliseconds(config.lock_timeout_ms);
  return Status();
}

Status to_storage_config(const rkvs_manager_config* from, StorageConfig& to) {
  if (from == nullptr) return Status();
  rkvs_manager_config config;
  if (Status status = read_struct(from, config); !status.ok()) return status;
  constexpr uint32_t kKnown = RKVS_SET_MAX_NAMESPACES | RKVS_SET_MAX_BYTES;
  if (Status status = check_flags(config.flags, kKnown); !status.ok()) return status;
  if (config.max_namespaces != 0 || (config.flags & RKVS_SET_MAX_NAMESPACES) != 0) {
    to.max_namespaces = config.max_namespaces;
  }
  if (config.max_bytes != 0 || (config.flags & RKVS_SET_MAX_BYTES) != 0) {
    to.max_bytes = config.max_bytes;
  }
  return Status();
}

Status to_given_config(const rkvs_namespace_config* from, NamespaceConfig& to) {
  return from == nullptr ? no_config() : to_namespace_config(from, to);
}

Status to_given_config(const rkvs_manager_config* from, StorageConfig& to) {
  return from == nullptr ? no_config() : to_storage_config(from, to);
}

Status to_autosave_config(const rkvs_autosave_config* from, AutosaveConfig& to) {
  if (from == nullptr)
    return internal::make_error(StatusCode::kInvalidArgument, "no autosave task");
  rkvs_autosave_config config;
  if (Status status = read_struct(from, config); !status.ok()) return status;
  if (Status status = check_flags(config.flags, RKVS_AUTOSAVE_FINAL_SAVE); !status.ok()) {
    return status;
  }
  to.interval = to_milliseconds(config.interval_ms);
  to.changes = config.changes;
  if (config.file != nullptr) to.file = config.file;
  to.final_save = (config.flags & RKVS_AUTOSAVE_FINAL_SAVE) != 0;
  return Status();
}

Status to_storage_options(const rkvs_manager_options* from, StorageOptions& to) {
  if (from == nullptr) return Status();
  rkvs_manager_options options;
  if (Status status = read_struct(from, options); !status.ok()) return status;
  constexpr uint32_t kKnown = RKVS_SET_MAX_NAMESPACES | RKVS_SET_MAX_BYTES | RKVS_DETAILED_METRICS;
  if (Status status = check_flags(options.flags, kKnown); !status.ok()) return status;
  if (options.reserved != 0) return StatusCode::kUnsupported;
  if (options.worker_threads > kMaxWorkerThreads) {
    return internal::make_error(StatusCode::kInvalidArgument, "worker_threads ",
                                options.worker_threads, " is above ", kMaxWorkerThreads);
  }
  const rkvs_manager_config config = {
      .struct_size = sizeof config,
      .flags = options.flags & (RKVS_SET_MAX_NAMESPACES | RKVS_SET_MAX_BYTES),
      .max_namespaces = options.max_namespaces,
      .max_bytes = options.max_bytes};
  if (Status status = to_storage_config(&config, to.config); !status.ok()) return status;
  to.max_load_bytes = options.max_load_bytes;
  to.worker_threads = options.worker_threads;
  to.detailed_metrics = (options.flags & RKVS_DETAILED_METRICS) != 0;
  if (options.directory != nullptr) to.directory = options.directory;
  if (options.log != nullptr) {
    to.log = [log = options.log, user = options.log_user](LogLevel level, std::string_view text) {
      log_to(log, user, level, text);
    };
  }
  if (options.manager_autosave != nullptr) {
    Status status = to_autosave_config(options.manager_autosave, to.manager_autosave.emplace());
    if (!status.ok()) return status;
  }
  if (options.namespace_autosave == nullptr && options.namespace_autosave_count != 0) {
    return internal::make_error(StatusCode::kInvalidArgument, "no array of autosave tasks");
  }
  for (std::size_t i = 0; i < options.namespace_autosave_count; ++i) {
    const rkvs_namespace_autosave& task = options.namespace_autosave[i];
    if (task.name == nullptr) {
      return internal::make_error(StatusCode::kInvalidArgument, "autosave task ", i,
                                  " has no namespace");
    }
    AutosaveConfig autosave;
    if (Status status = to_autosave_config(task.config, autosave); !status.ok()) return status;
    to.namespace_autosave.insert_or_assign(task.name, std::move(autosave));
  }
  return Status();
}

ProgressHook progress_hook(rkvs_progress_callback callback, void* user, const CancelToken& token) {
  if (callback == nullptr) return {};
  return [callback, user, token](const Progress& progress) {
    const rkvs_progress figures = {.entries_done = progress.entries_done,
                                   .entries_total = progress.entries_total,
                                   .bytes_done = progress.bytes_done,
                                   .bytes_total = progress.bytes_total};
    const CallbackGuard guard;
    if (callback(user, &figures) != 0) token.cancel();
  };
}

Status to_operation_options(const rkvs_operation_options* from, OperationOptions& to) {
  if (from == nullptr) return Status();
  rkvs_operation_options options;
  if (Status status = read_struct(from, options); !status.ok()) return status;
  if (Status status = check_flags(options.flags, 0); !status.ok()) return status;
  if (options.progress == nullptr) return Status();
  to.cancel = CancelToken::create();
  to.progress = progress_hook(options.progress, options.progress_user, to.cancel);
  return Status();
}

rkvs_namespace_config from_namespace_config(const NamespaceConfig& from) {
  return {.struct_size = sizeof(rkvs_namespace_config),
          .shard_count = from.shard_count,
          .max_keys = from.max_keys,
          .max_value_size = from.max_value_size,
          .max_key_size = from.max_key_size,
          .max_bytes = from.max_bytes,
          .lock_timeout_ms = static_cast<uint64_t>(from.lock_timeout.count())};
}

rkvs_manager_config from_storage_config(const StorageConfig& from) {
  return {.struct_size = sizeof(rkvs_manager_config),
          .flags = (from.max_namespaces.has_value() ? uint32_t{RKVS_SET_MAX_NAMESPACES} : 0) |
                   (from.max_bytes.has_value() ? uint32_t{RKVS_SET_MAX_BYTES} : 0),
          .max_namespaces = from.max_namespaces.value_or(0),
          .max_bytes = from.max_bytes.value_or(0)};
}

rkvs_namespace_stats from_stats(const NamespaceStats& from) {
  return {.struct_size = sizeof(rkvs_namespace_stats),
          .shard_count = from.shard_count,
          .key_count = from.key_count,
          .total_size = from.total_size,
          .memory_bytes = from.memory_bytes,
          .hits = from.hits,
          .misses = from.misses,
          .sets = from.sets,
          .deletes = from.deletes,
          .expired = from.expired,
          .rejected = from.rejected,
          .timeouts = from.timeouts,
          .lock_waits = from.lock_waits};
}

rkvs_shard_stats from_shard_stats(const ShardStats& from) {
  return {.key_count = from.key_count,
          .total_size = from.total_size,
          .memory_bytes = from.memory_bytes,
          .hits = from.hits,
          .misses = from.misses,
          .sets = from.sets,
          .deletes = from.deletes,
          .expired = from.expired,
          .rejected = from.rejected,
          .timeouts = from.timeouts,
          .lock_waits = from.lock_waits};
}

rkvs_autosave_status from_autosave_status(const AutosaveStatus& from) {
  // A Status keeps its message in a std::string: a NUL follows it.
  const std::string_view message = from.last_error.message();
  return {.struct_size = sizeof(rkvs_autosave_status),
          .is_manager = from.is_manager ? 1 : 0,
          .state = static_cast<rkvs_autosave_state>(from.state),
          .flags = from.config.final_save ? uint32_t{RKVS_AUTOSAVE_FINAL_SAVE} : 0,
          .interval_ms = static_cast<uint64_t>(from.config.interval.count()),
          .changes = from.config.changes,
          .file = from.config.file.c_str(),
          .saves = from.saves,
          .failures = from.failures,
          .skipped_ticks = from.skipped_ticks,
          .unchanged_ticks = from.unchanged_ticks,
          .last_file = from.last_file.c_str(),
          .last_success_unix_ms = to_unix_ms(from.last_success),
          .last_failure_unix_ms = to_unix_ms(from.last_failure),
          .last_error_message = message.data() == nullptr ? "" : message.data(),
          .last_error = code_of(from.last_error.code()),
          .reserved = 0,
          .last_duration_ms = static_cast<uint64_t>(from.last_duration.count())};
}

Status to_mode(rkvs_batch_mode from, BatchMode& to) {
  switch (from) {
    case RKVS_ALL_OR_NOTHING: to = BatchMode::kAllOrNothing; return Status();
    case RKVS_BEST_EFFORT: to = BatchMode::kBestEffort; return Status();
    default:
      return internal::make_error(StatusCode::kInvalidArgument, "there is no batch mode ", from);
  }
}

static_assert(RKVS_LOG_DEBUG == static_cast<int>(LogLevel::kDebug) &&
              RKVS_LOG_INFO == static_cast<int>(LogLevel::kInfo) &&
              RKVS_LOG_WARNING == static_cast<int>(LogLevel::kWarning) &&
              RKVS_LOG_ERROR == static_cast<int>(LogLevel::kError));
static_assert(RKVS_AUTOSAVE_WAITING == static_cast<int>(AutosaveState::kWaiting) &&
              RKVS_AUTOSAVE_SAVING == static_cast<int>(AutosaveState::kSaving) &&
              RKVS_AUTOSAVE_STOPPED == static_cast<int>(AutosaveState::kStopped));

}  // namespace rkvs::capi

using rkvs::capi::init_struct;

rkvs_status rkvs_namespace_config_init(rkvs_namespace_config* config, size_t size) {
  return init_struct(config, size);
}
rkvs_status rkvs_manager_config_init(rkvs_manager_config* config, size_t size) {
  return init_struct(config, size);
}
rkvs_status rkvs_autosave_config_init(rkvs_autosave_config* config, size_t size) {
  return init_struct(config, size);
}
rkvs_status rkvs_manager_options_init(rkvs_manager_options* options, size_t size) {
  return init_struct(options, size);
}
rkvs_status rkvs_write_options_init(rkvs_write_options* options, size_t size) {
  return init_struct(options, size);
}
rkvs_status rkvs_counter_options_init(rkvs_counter_options* options, size_t size) {
  return init_struct(options, size);
}
rkvs_status rkvs_scan_options_init(rkvs_scan_options* options, size_t size) {
  return init_struct(options, size);
}
rkvs_status rkvs_operation_options_init(rkvs_operation_options* options, size_t size) {
  return init_struct(options, size);
}
rkvs_status rkvs_namespace_stats_init(rkvs_namespace_stats* stats, size_t size) {
  return init_struct(stats, size);
}
rkvs_status rkvs_autosave_status_init(rkvs_autosave_status* status, size_t size) {
  return init_struct(status, size);
}
rkvs_status rkvs_batch_item_init(rkvs_batch_item* item, size_t size) {
  return init_struct(item, size);
}
rkvs_status rkvs_batch_view_init(rkvs_batch_view* view, size_t size) {
  return init_struct(view, size);
}
rkvs_status rkvs_async_init(rkvs_async* how, size_t size) { return init_struct(how, size); }
