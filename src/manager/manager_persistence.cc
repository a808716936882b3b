// Snapshots of a manager: from images to files and back.
#include <rkvs/version.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <new>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "manager/manager_impl.h"
#include "snapshot/writer.h"
#include "store/namespace_image.h"

namespace rkvs::internal {
namespace {

SnapshotNamespace describe(const NamespaceImage& image) {
  SnapshotNamespace info;
  info.name = image.name;
  info.max_keys = image.config.max_keys;
  info.max_value_size = image.config.max_value_size;
  info.max_bytes = image.config.max_bytes;
  info.max_key_size = image.config.max_key_size;
  info.shard_count = image.config.shard_count;
  info.shards_in_use = image.shards_in_use;
  info.lock_timeout_ms = static_cast<uint64_t>(image.config.lock_timeout.count());
  info.entry_count = image.keys;
  info.value_bytes = image.value_bytes;
  info.last_version = image.last_version;
  return info;
}

// Writes what the cut holds, and tells how far it is.
class Saver {
 public:
  Saver(SnapshotWriter& writer, OperationMonitor& monitor, const ManagerImpl& manager, Cut& cut)
      : writer_(writer),
        monitor_(monitor),
        manager_(manager),
        steady_ms_(cut.steady_ms()),
        steady_to_unix_(cut.unix_ms() - cut.steady_ms()) {
    for (const NamespaceImage& image : cut.namespaces()) {
      progress_.entries_total += image.keys;
      progress_.bytes_total += image.value_bytes;
    }
  }

  Status write(NamespaceImage& image) {
    SnapshotNamespace info = describe(image);
    info.autosave = manager_.recorded_autosave(image.name);
    if (Status status = writer_.begin_namespace(info); !status.ok()) return status;
    for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
      const auto entries = image.entries(shard);
      if (!entries.ok()) return entries.status();
      if (Status status = write_entries(*entries); !status.ok()) return status;
      image.release(shard);
    }
    return writer_.end_namespace();
  }
  void report_end() { monitor_.report_end(progress_); }

 private:
  static constexpr size_t kEntriesPerCheck = 4096;

  Status write_entries(std::span<Entry* const> entries) {
    // Entries are spread over memory in the order of their hashes: ask for each a little ahead.
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i % kEntriesPerCheck == 0) {
        if (monitor_.is_cancelled()) return OperationMonitor::cancelled("the save");
        monitor_.report(progress_);
      }
      if (i + kAhead < entries.size()) {
        const Entry* ahead = entries[i + kAhead];
        __builtin_prefetch(ahead);
        __builtin_prefetch(reinterpret_cast<const char*>(ahead) + 64);
      }
      const Entry& entry = *entries[i];
      if (!entry.has_expired_by(steady_ms_)) {
        const SnapshotEntry saved{entry.key(), entry.value(), entry.version(), expiry_of(entry)};
        if (Status status = writer_.add(saved); !status.ok()) return status;
      }
      ++progress_.entries_done;
      progress_.bytes_done += entry.value_size;
    }
    return Status();
  }

  // As a time of day, 0 = never.
  int64_t expiry_of(const Entry& entry) const {
    const int64_t at = entry.expires_at();
    if (at == 0) return 0;
    constexpr int64_t kLatest = std::numeric_limits<int64_t>::max();
    const bool too_late = steady_to_unix_ > 0 && at > kLatest - steady_to_unix_;
    return too_late ? kLatest : std::max<int64_t>(at + steady_to_unix_, 1);
  }

  SnapshotWriter& writer_;
  OperationMonitor& monitor_;
  const ManagerImpl& manager_;
  const int64_t steady_ms_;
  const int64_t steady_to_unix_;
  Progress progress_;
};

}  // namespace

Result<const Directory*> ManagerImpl::directory() try {
  if (!has_persistence()) {
    return make_error(StatusCode::kNoPersistence,
                      "the StorageManager was built without a directory");
  }
  const MutexLock lock(directory_mutex_);
  if (!directory_.has_value()) {
    auto opened = Directory::open_or_create(options_.directory.string(), fs_);
    if (!opened.ok()) return opened.status();
    directory_.emplace(*std::move(opened));
  }
  return &*directory_;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<ManagerImpl::SavePlace> ManagerImpl::directory_to_save() {
  const auto directory = this->directory();
  if (!directory.ok()) return directory.status();
  SavePlace place{*directory, DirectoryLock()};
  {
    const MutexLock lock(directory_mutex_);
    // The last saves of all are autosave's.
    if (is_closed() && !autosave_.on_own_thread()) return check_initialized();
    const bool first = !directory_lock_.has_value();
    if (first) {
      auto locked = DirectoryLock::acquire(**directory);
      if (!locked.ok()) return locked.status();
      directory_lock_.emplace(*std::move(locked));
    }
    place.lock = directory_lock_->share();
    if (!first) return place;
  }
  // What a process left that died in the middle of a save.
  const auto removed = (*directory)->remove_stale_temporaries();
  if (removed.ok() && *removed != 0) {
    log(LogLevel::kInfo, "removed ", *removed, " unfinished files of saves that never ended");
  }
  return place;
}

Status ManagerImpl::save(const std::vector<NamespacePtr>& namespaces, std::string_view file,
                         const OperationOptions& options, size_t at_least,
                         uint32_t generations) try {
  const auto place = directory_to_save();
  if (!place.ok()) return place.status();
  auto target = AtomicFile::create(*place->directory, file, generations);
  if (!target.ok()) return target.status();
  auto cut = [&] {
    const HistogramTimer timer(&save_metrics_.cut);
    return Cut::take(namespaces);
  }();
  if (!cut.ok()) return cut.status();
  auto& images = (*cut)->namespaces();
  if (images.size() < at_least) {
    return make_error(StatusCode::kNamespaceNotFound, "namespace \"", namespaces.front()->name(),
                      "\" was deleted before it was saved");
  }

  SnapshotHeader header;
  header.created_unix_ms = (*cut)->unix_ms();
  header.library_version = version();
  const StorageConfig config = get_config();
  header.max_namespaces = config.max_namespaces.value_or(0);
  header.max_bytes = config.max_bytes.value_or(0);
  header.namespace_count = images.size();
  SnapshotWriter writer(**target);
  if (Status status = writer.begin(header); !status.ok()) return status;
  OperationMonitor monitor(options);
  Saver saver(writer, monitor, *this, **cut);
  {
    const HistogramTimer timer(&save_metrics_.write);
    for (NamespaceImage& image : images) {
      if (Status status = saver.write(image); !status.ok()) return status;
    }
  }
  // Writers need not keep anything back while the disk is waited for.
  cut->reset();
  if (Status status = writer.finish(); !status.ok()) return status;
  if (monitor.is_cancelled()) return OperationMonitor::cancelled("the save");
  {
    const HistogramTimer timer(&save_metrics_.commit);
    if (Status status = (*target)->commit(); !status.ok()) return status;
  }
  saver.report_end();
  return Status();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status ManagerImpl::save_namespace(std::string_view name, std::string_view file,
                                   const OperationOptions& options) try {
  const auto found = find(name);
  if (!found.ok()) return found.status();
  return save({*found}, file, options, 1);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<LoadedSnapshot> ManagerImpl::read_file(std::string_view file,
                                              const SnapshotSelection& selection,
                                              OperationMonitor& monitor) {
  const auto directory = this->directory();
  if (!directory.ok()) return directory.status();
  const SnapshotLimits limits{options_.config.max_namespaces, options_.max_load_bytes};
  return load_snapshot(**directory, file, selection, limits, time_, monitor);
}

Result<LoadedSnapshot> ManagerImpl::read_newest(std::string_view file, LoadReport& report,
                                                OperationMonitor& monitor) {
  Status newest;
  for (uint32_t age = 0; age < kDefaultGenerations; ++age) {
    std::string name = generation_name(file, age);
    auto read = read_file(name, SnapshotSelection(), monitor);
    if (read.ok()) {
      report.file = std::move(name);
      return read;
    }
    if (read.code() == StatusCode::kSnapshotNotFound) {
      // No file at all is an empty start; a gap among the older ones is nothing.
      if (age == 0) return LoadedSnapshot();
      continue;
    }
    // Only damage of the newest is a reason to go back in time: a file that may not be read is not.
    if (age == 0 && read.code() != StatusCode::kSnapshotCorrupt) return read.status();
    if (read.code() == StatusCode::kNoMemory || read.code() == StatusCode::kCancelled) {
      return read.status();
    }
    if (age == 0) newest = read.status();
    report.skipped.push_back({std::move(name), read.status()});
  }
  return newest;
}

Result<std::string> ManagerImpl::load(std::string_view file,
                                      std::optional<std::string_view> new_name,
                                      std::optional<std::string_view> from,
                                      const OperationOptions& options) {
  if (Status status = check_initialized(); !status.ok()) return status;
  if (new_name.has_value()) {
    if (Status status = validate_namespace_name(*new_name); !status.ok()) return status;
    // Before the work, so that the usual mistake costs nothing; add() asks again.
    const ReaderLock lock(mutex_);
    if (Status status = check_room(*new_name); !status.ok()) return status;
  }
  OperationMonitor monitor(options);
  auto loaded = read_file(file, {new_name, from, !from.has_value()}, monitor);
  if (!loaded.ok()) return loaded.status();
  if (loaded->namespaces.empty()) {
    return make_error(StatusCode::kNamespaceNotFound, "\"", file, "\" holds no namespace \"",
                      from.value_or("").substr(0, kMaxNamespaceNameSize), "\"");
  }
  const auto& [impl, autosave] = loaded->namespaces.front();
  try {
    std::string name = impl->name();
    if (Status status = add(impl); !status.ok()) return status;
    if (autosave.has_value()) adopt_autosave(impl, *autosave);
    return name;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

}  // namespace rkvs::internal
