#include "manager/snapshot_loader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "snapshot/reader.h"
#include "store/namespace_restore.h"

namespace rkvs::internal {
namespace {

// A shard takes more memory than a namespace takes in a file, so that a small file could ask for
// gigabytes of them. This many (128 MiB) go unquestioned, and one more for each sizeof(Shard)
// bytes.
constexpr uint64_t kFreeShards = uint64_t{1} << 20;

// Half of what the format allows: there must be versions left for what comes.
constexpr uint64_t kGreatestVersion = kMaxSnapshotVersion / 2;

// Reading and checking takes about as long as filling tables, so that many threads would only wait
// for their turn at the file. Each should have some chunks to work on.
constexpr unsigned kMostThreads = 4;
constexpr uint64_t kBytesPerThread = uint64_t{8} << 20;

NamespaceConfig config_of(const SnapshotNamespace& info) {
  NamespaceConfig config;
  config.max_keys = info.max_keys;
  config.max_value_size = info.max_value_size;
  config.max_bytes = info.max_bytes;
  config.max_key_size = info.max_key_size;
  config.shard_count = info.shard_count;
  config.lock_timeout = std::chrono::milliseconds(info.lock_timeout_ms);
  return config;
}

class Loader {
 public:
  Loader(std::string_view file, const SnapshotSelection& selection, const SnapshotLimits& limits,
         const TimeSource& time, OperationMonitor& monitor, SnapshotReader& reader)
      : file_(file),
        selection_(selection),
        limits_(limits),
        monitor_(monitor),
        time_(time),
        steady_ms_(time.steady_ms()),
        unix_ms_(time.unix_ms()),
        file_size_(reader.file_size()),
        reader_(reader) {}

  Result<LoadedSnapshot> run() {
    if (Status status = take_header(); !status.ok()) return status;
    const uint64_t useful = std::min<uint64_t>(
        {kMostThreads, std::thread::hardware_concurrency(), 1 + file_size_ / kBytesPerThread});
    std::vector<std::thread> helpers;
    try {
      helpers.reserve(kMostThreads);
      while (helpers.size() + 1 < useful) helpers.emplace_back([this] { work(false); });
    } catch (const std::system_error&) {
      // No more threads to be had: those that there are do it.
    } catch (const std::bad_alloc&) {
    }
    work(true);
    for (std::thread& helper : helpers) helper.join();
    const MutexLock lock(mutex_);
    if (!status_.ok()) return status_;
    monitor_.report_end(progress());
    return std::move(loaded_);
  }

 private:
  Status take_header() {
    const MutexLock lock(mutex_);
    const SnapshotHeader& header = reader_.header();
    const uint64_t count = header.namespace_count;
    if (selection_.single && count != 1) {
      return make_error(StatusCode::kInvalidArgument, "\"", file_, "\" holds ", count,
                        " namespaces; name the one to load, or load a file that holds one");
    }
    loaded_.config.max_namespaces = header.max_namespaces;
    loaded_.config.max_bytes = header.max_bytes;
    const uint64_t limit = limits_.max_namespaces.value_or(header.max_namespaces);
    if (!selection_.from.has_value() && limit != 0 && count > limit) {
      return make_error(StatusCode::kTooManyNamespaces, "\"", file_, "\" holds ", count,
                        " namespaces; max_namespaces is ", limit);
    }
    return Status();
  }

  // Takes turns with the other threads at reading, and fills in what it has read.
  void work(bool reports) try {
    SnapshotChunk chunk;
    Restorer restorer;
    std::vector<RestoredEntry> entries;
    while (NamespaceImpl* into = next_chunk(chunk)) {
      entries.clear();
      entries.reserve(chunk.size());
      for (size_t i = 0; i < chunk.size(); ++i) {
        const SnapshotEntry entry = chunk.entry(i);
        // What has expired since it was saved is not there any more.
        if (entry.expires_at_ms != 0 && entry.expires_at_ms <= unix_ms_) continue;
        entries.push_back({entry.key, entry.value, entry.version, expiry_of(entry)});
      }
      if (const StatusCode code = restorer.add(*into, entries); code != StatusCode::kOk) {
        fail(restore_error(code, into->name()));
        return;
      }
      entries_done_.fetch_add(entries.size(), std::memory_order_relaxed);
      if (reports) monitor_.report(progress());
    }
  } catch (const std::bad_alloc&) {
    fail(StatusCode::kNoMemory);
  }

  // The namespace that the next chunk belongs to; nullptr when there is nothing more to do.
  NamespaceImpl* next_chunk(SnapshotChunk& chunk) {
    const MutexLock lock(mutex_);
    while (status_.ok() && !ended_) {
      if (monitor_.is_cancelled()) {
        status_ = OperationMonitor::cancelled("the load");
        break;
      }
      const auto event = reader_.next(chunk);
      if (!event.ok()) {
        status_ = event.status();
        break;
      }
      offset_.store(reader_.offset(), std::memory_order_relaxed);
      if (*event == SnapshotEvent::kEnd) {
        ended_ = true;
      } else if (*event == SnapshotEvent::kNamespace) {
        status_ = begin_namespace(reader_.current_namespace());
      } else if (wanted_) {
        return loaded_.namespaces.back().impl.get();
      }
    }
    return nullptr;
  }

  Status begin_namespace(const SnapshotNamespace& info) RKVS_REQUIRES(mutex_) try {
    wanted_ = !selection_.from.has_value() || *selection_.from == info.name;
    if (!wanted_) return Status();
    if (info.last_version > kGreatestVersion) {
      return corrupt(info.name, "its versions would run out");
    }
    const NamespaceConfig config = config_of(info);
    for (const Status& status : {validate_namespace_name(info.name), validate_config(config)}) {
      if (!status.ok()) return corrupt(info.name, status.message());
    }
    shards_ += config.shard_count;
    if (shards_ > kFreeShards + file_size_ / sizeof(Shard)) {
      return make_error(StatusCode::kMemoryLimit, "\"", file_, "\" asks for ", shards_,
                        " shards, which is out of proportion to its size");
    }
    // Only as much room ahead of the entries as the file can fill, all namespaces together.
    const uint64_t expected = std::min(info.entry_count, file_size_ / kMinEntrySize - presized_);
    presized_ += expected;
    auto created = NamespaceImpl::create(selection_.new_name.value_or(info.name), config, expected,
                                         KeyHash::of_process(), time_);
    if (!created.ok()) return created.status();
    if (config.max_bytes == 0 && limits_.max_bytes == 0 && !restore_room(**created, expected)) {
      return StatusCode::kNoMemory;
    }
    restore_last_version(**created, info.last_version);
    entries_total_.fetch_add(info.entry_count, std::memory_order_relaxed);
    loaded_.namespaces.push_back({*std::move(created), info.autosave});
    return Status();
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }

  // In steady milliseconds, 0 = never. What is left of it goes by the time of day now.
  int64_t expiry_of(const SnapshotEntry& entry) const {
    if (entry.expires_at_ms == 0) return 0;
    const int64_t left = entry.expires_at_ms - unix_ms_;
    constexpr int64_t kLatest = ExpiryQueue::kNever - 1;
    return left > kLatest - steady_ms_ ? kLatest : steady_ms_ + left;
  }

  void fail(Status status) {
    const MutexLock lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  Progress progress() const {
    return {entries_done_.load(std::memory_order_relaxed),
            entries_total_.load(std::memory_order_relaxed), offset_.load(std::memory_order_relaxed),
            file_size_};
  }

  Status corrupt(std::string_view name, std::string_view what) const {
    return make_error(StatusCode::kSnapshotCorrupt, "\"", file_, "\", namespace \"", name,
                      "\": ", what);
  }
  // What a failure to restore an entry says about the file.
  Status restore_error(StatusCode code, std::string_view name) const {
    switch (code) {
      case StatusCode::kExists: return corrupt(name, "a key stands in it twice");
      case StatusCode::kTooManyKeys:
        return corrupt(name, "it holds more keys than its own max_keys");
      case StatusCode::kNoMemory: return code;
      default: return corrupt(name, status_code_name(code));
    }
  }

  const std::string_view file_;
  const SnapshotSelection& selection_;
  const SnapshotLimits& limits_;
  OperationMonitor& monitor_;
  const TimeSource& time_;
  const int64_t steady_ms_;
  const int64_t unix_ms_;
  const uint64_t file_size_;

  std::atomic<uint64_t> entries_done_{0};
  std::atomic<uint64_t> entries_total_{0};
  std::atomic<uint64_t> offset_{0};

  // One thread at a time reads.
  Mutex mutex_;
  SnapshotReader& reader_ RKVS_GUARDED_BY(mutex_);
  LoadedSnapshot loaded_ RKVS_GUARDED_BY(mutex_);
  Status status_ RKVS_GUARDED_BY(mutex_);  // the first error
  bool ended_ RKVS_GUARDED_BY(mutex_) = false;
  bool wanted_ RKVS_GUARDED_BY(mutex_) = false;
  uint64_t shards_ RKVS_GUARDED_BY(mutex_) = 0;
  uint64_t presized_ RKVS_GUARDED_BY(mutex_) = 0;  // entries
};

}  // namespace

Result<LoadedSnapshot> load_snapshot(const Directory& directory, std::string_view file,
                                     const SnapshotSelection& selection,
                                     const SnapshotLimits& limits, const TimeSource& time,
                                     OperationMonitor& monitor) try {
  auto source = directory.open_file(file);
  if (!source.ok()) return source.status();
  SnapshotReaderOptions options;
  if (limits.max_bytes != 0) options.max_decoded_bytes = limits.max_bytes;
  auto reader = SnapshotReader::open(*std::move(source), options);
  if (!reader.ok()) return reader.status();
  return Loader(file, selection, limits, time, monitor, **reader).run();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

}  // namespace rkvs::internal
