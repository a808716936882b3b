// Snapshots of a manager: from images to files and back.
#include <rkvs/version.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "manager/manager_impl.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"
#include "store/namespace_image.h"
#include "store/namespace_restore.h"

namespace rkvs::internal {
namespace {

// A shard takes more memory than a namespace takes in a file, so that a small file could ask for
// gigabytes of them. This many (128 MiB) go unquestioned, and one more for each sizeof(Shard)
// bytes.
constexpr uint64_t kFreeShards = uint64_t{1} << 20;

int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

SnapshotNamespace describe(const NamespaceImage& image) {
  SnapshotNamespace info;
  info.name = image.name;
  info.max_keys = image.config.max_keys;
  info.max_value_size = image.config.max_value_size;
  info.max_key_size = image.config.max_key_size;
  info.shard_count = image.config.shard_count;
  info.shards_in_use = image.shards_in_use;
  info.lock_timeout_ms = static_cast<uint64_t>(image.config.lock_timeout.count());
  info.entry_count = image.keys;
  info.value_bytes = image.value_bytes;
  info.last_version = image.last_version;
  return info;
}

NamespaceConfig config_of(const SnapshotNamespace& info) {
  NamespaceConfig config;
  config.max_keys = info.max_keys;
  config.max_value_size = info.max_value_size;
  config.max_key_size = info.max_key_size;
  config.shard_count = info.shard_count;
  config.lock_timeout = std::chrono::milliseconds(info.lock_timeout_ms);
  return config;
}

Status write_entries(SnapshotWriter& writer, std::span<Entry* const> entries) {
  // Entries are spread over memory in the order of their hashes: ask for each a little ahead.
  constexpr size_t kAhead = 16;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      const Entry* ahead = entries[i + kAhead];
      __builtin_prefetch(ahead);
      __builtin_prefetch(reinterpret_cast<const char*>(ahead) + 64);
    }
    const Entry& entry = *entries[i];
    if (Status status = writer.add({entry.key(), entry.value(), entry.version(), 0});
        !status.ok()) {
      return status;
    }
  }
  return Status();
}

Status write_image(SnapshotWriter& writer, NamespaceImage& image) {
  if (Status status = writer.begin_namespace(describe(image)); !status.ok()) return status;
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    const auto entries = image.entries(shard);
    if (!entries.ok()) return entries.status();
    if (Status status = write_entries(writer, *entries); !status.ok()) return status;
    image.release(shard);
  }
  return writer.end_namespace();
}

Status corrupt(std::string_view file, const SnapshotNamespace& info, std::string_view what) {
  return make_error(StatusCode::kSnapshotCorrupt, "\"", file, "\", namespace \"", info.name,
                    "\": ", what);
}

// The format has room for more than this version can keep: better refused than silently dropped.
Status unsupported(std::string_view file, const SnapshotNamespace& info) {
  return make_error(StatusCode::kUnsupported, "\"", file, "\", namespace \"", info.name,
                    "\": expiries, max_bytes and autosave are not supported by version ",
                    version());
}

// What a failure to restore an entry says about the file.
Status restore_error(StatusCode code, std::string_view file, const SnapshotNamespace& info) {
  switch (code) {
    case StatusCode::kExists: return corrupt(file, info, "a key stands in it twice");
    case StatusCode::kTooManyKeys:
      return corrupt(file, info, "it holds more keys than its own max_keys");
    case StatusCode::kNoMemory: return code;
    default: return corrupt(file, info, status_code_name(code));
  }
}

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

Status ManagerImpl::save(const std::vector<NamespacePtr>& namespaces, std::string_view file,
                         size_t at_least) try {
  const auto directory = this->directory();
  if (!directory.ok()) return directory.status();
  auto target = AtomicFile::create(**directory, file);
  if (!target.ok()) return target.status();
  auto cut = Cut::take(namespaces);
  if (!cut.ok()) return cut.status();
  auto& images = (*cut)->namespaces();
  if (images.size() < at_least) {
    return make_error(StatusCode::kNamespaceNotFound, "namespace \"", namespaces.front()->name(),
                      "\" was deleted before it was saved");
  }

  SnapshotHeader header;
  header.created_unix_ms = unix_ms();
  header.library_version = version();
  header.max_namespaces = get_config().max_namespaces.value_or(0);
  header.namespace_count = images.size();
  SnapshotWriter writer(**target);
  if (Status status = writer.begin(header); !status.ok()) return status;
  for (NamespaceImage& image : images) {
    if (Status status = write_image(writer, image); !status.ok()) return status;
  }
  // Writers need not keep anything back while the disk is waited for.
  cut->reset();
  if (Status status = writer.finish(); !status.ok()) return status;
  return (*target)->commit();
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Status ManagerImpl::save_namespace(std::string_view name, std::string_view file) try {
  const auto found = find(name);
  if (!found.ok()) return found.status();
  return save({*found}, file, 1);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<ManagerImpl::Loaded> ManagerImpl::read_file(std::string_view file,
                                                   const Selection& selection) try {
  const auto directory = this->directory();
  if (!directory.ok()) return directory.status();
  auto source = (*directory)->open_file(file);
  if (!source.ok()) return source.status();
  auto opened = SnapshotReader::open(*std::move(source));
  if (!opened.ok()) return opened.status();
  SnapshotReader& reader = **opened;
  if (selection.single && reader.header().namespace_count != 1) {
    return make_error(StatusCode::kInvalidArgument, "\"", file, "\" holds ",
                      reader.header().namespace_count,
                      " namespaces; name the one to load, or load a file that holds one");
  }

  Loaded loaded;
  loaded.config.max_namespaces = reader.header().max_namespaces;
  if (Status status = check_namespace_count(file, loaded.config, reader.header().namespace_count);
      !selection.from.has_value() && !status.ok()) {
    return status;
  }
  SnapshotChunk chunk;
  bool wanted = false;
  uint64_t shards = 0;
  for (;;) {
    const auto event = reader.next(chunk);
    if (!event.ok()) return event.status();
    const SnapshotNamespace& info = reader.current_namespace();
    switch (*event) {
      case SnapshotEvent::kEnd: return loaded;
      case SnapshotEvent::kNamespace: {
        wanted = !selection.from.has_value() || *selection.from == info.name;
        if (!wanted) break;
        if (info.max_bytes != 0 || info.autosave.has_value()) return unsupported(file, info);
        const NamespaceConfig config = config_of(info);
        for (const Status& status : {validate_namespace_name(info.name), validate_config(config)}) {
          if (!status.ok()) return corrupt(file, info, status.message());
        }
        shards += config.shard_count;
        if (shards > kFreeShards + reader.file_size() / sizeof(Shard)) {
          return make_error(StatusCode::kMemoryLimit, "\"", file, "\" asks for ", shards,
                            " shards, which is out of proportion to its size");
        }
        auto created =
            NamespaceImpl::create(selection.new_name.value_or(info.name), config, info.entry_count);
        if (!created.ok()) return created.status();
        restore_last_version(**created, info.last_version);
        loaded.namespaces.push_back(*std::move(created));
        break;
      }
      case SnapshotEvent::kChunk:
        if (!wanted) break;
        for (size_t i = 0; i < chunk.size(); ++i) {
          const SnapshotEntry entry = chunk.entry(i);
          if (entry.expires_at_ms != 0) return unsupported(file, info);
          if (entry.version > info.last_version) {
            return corrupt(file, info, "an entry has a greater version than any that was given");
          }
          const StatusCode code =
              restore_entry(*loaded.namespaces.back(), {entry.key, entry.value, entry.version});
          if (code != StatusCode::kOk) return restore_error(code, file, info);
        }
        break;
    }
  }
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<ManagerImpl::Loaded> ManagerImpl::read_newest(std::string_view file, LoadReport& report) {
  Status newest;
  for (uint32_t age = 0; age < kDefaultGenerations; ++age) {
    std::string name = generation_name(file, age);
    auto read = read_file(name, Selection());
    if (read.ok()) {
      report.file = std::move(name);
      return read;
    }
    if (read.code() == StatusCode::kSnapshotNotFound) {
      // No file at all is an empty start; a gap among the older ones is nothing.
      if (age == 0) return Loaded();
      continue;
    }
    // Only damage of the newest is a reason to go back in time: a file that may not be read is not.
    if (age == 0 && read.code() != StatusCode::kSnapshotCorrupt) return read.status();
    if (read.code() == StatusCode::kNoMemory) return read.status();
    if (age == 0) newest = read.status();
    report.skipped.push_back({std::move(name), read.status()});
  }
  return newest;
}

Result<std::string> ManagerImpl::load(std::string_view file,
                                      std::optional<std::string_view> new_name,
                                      std::optional<std::string_view> from) {
  if (Status status = check_initialized(); !status.ok()) return status;
  if (new_name.has_value()) {
    if (Status status = validate_namespace_name(*new_name); !status.ok()) return status;
    // Before the work, so that the usual mistake costs nothing; add() asks again.
    const ReaderLock lock(mutex_);
    if (Status status = check_room(*new_name); !status.ok()) return status;
  }
  auto loaded = read_file(file, {new_name, from, !from.has_value()});
  if (!loaded.ok()) return loaded.status();
  if (loaded->namespaces.empty()) {
    return make_error(StatusCode::kNamespaceNotFound, "\"", file, "\" holds no namespace \"",
                      from.value_or("").substr(0, kMaxNamespaceNameSize), "\"");
  }
  NamespacePtr& impl = loaded->namespaces.front();
  try {
    std::string name = impl->name();
    if (Status status = add(std::move(impl)); !status.ok()) return status;
    return name;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

}  // namespace rkvs::internal
