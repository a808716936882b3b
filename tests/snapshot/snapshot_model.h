// Snapshots as plain data: to write, to read back, to compare.
#ifndef RKVS_TESTS_SNAPSHOT_SNAPSHOT_MODEL_H_
#define RKVS_TESTS_SNAPSHOT_SNAPSHOT_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "snapshot/format.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"
#include "tests/support/failing_files.h"

namespace rkvs::testing {

using internal::SnapshotHeader;
using internal::SnapshotNamespace;

struct ModelEntry {
  std::string key;
  std::string value;
  uint64_t version = 0;
  int64_t expires_at_ms = 0;

  friend bool operator==(const ModelEntry&, const ModelEntry&) = default;
};

struct ModelNamespace {
  SnapshotNamespace info;
  std::vector<ModelEntry> entries;

  friend bool operator==(const ModelNamespace&, const ModelNamespace&) = default;
};

struct Model {
  SnapshotHeader header;
  std::vector<ModelNamespace> namespaces;

  // A namespace of this name, to be filled in.
  ModelNamespace& add(std::string name) {
    namespaces.emplace_back();
    namespaces.back().info.name = std::move(name);
    return namespaces.back();
  }
  // Makes every announcement exact.
  Model& announce() {
    header.namespace_count = namespaces.size();
    for (ModelNamespace& ns : namespaces) {
      ns.info.entry_count = ns.entries.size();
      ns.info.value_bytes = 0;
      for (const ModelEntry& entry : ns.entries) {
        ns.info.value_bytes += entry.value.size();
        ns.info.last_version = std::max(ns.info.last_version, entry.version);
      }
    }
    return *this;
  }

  friend bool operator==(const Model&, const Model&) = default;
};

inline Status write_model(const Model& model, internal::SnapshotWriter& writer) {
  if (Status s = writer.begin(model.header); !s.ok()) return s;
  for (const ModelNamespace& ns : model.namespaces) {
    if (Status s = writer.begin_namespace(ns.info); !s.ok()) return s;
    for (const ModelEntry& e : ns.entries) {
      const Status s = writer.add({e.key, e.value, e.version, e.expires_at_ms});
      if (!s.ok()) return s;
    }
    if (Status s = writer.end_namespace(); !s.ok()) return s;
  }
  return writer.finish();
}

// The file, or "" with a failure of the writer.
inline std::string file_of(const Model& model, size_t chunk_size = internal::kTargetChunkSize) {
  StringSink sink;
  internal::SnapshotWriter writer(sink, chunk_size);
  return write_model(model, writer).ok() ? sink.bytes() : std::string();
}

inline Result<Model> read_model(std::unique_ptr<internal::ByteSource> source) {
  auto reader = internal::SnapshotReader::open(std::move(source));
  if (!reader.ok()) return reader.status();
  Model model;
  model.header = (*reader)->header();
  internal::SnapshotChunk chunk;
  for (;;) {
    const auto event = (*reader)->next(chunk);
    if (!event.ok()) return event.status();
    switch (*event) {
      case internal::SnapshotEvent::kNamespace:
        model.namespaces.emplace_back();
        model.namespaces.back().info = (*reader)->current_namespace();
        break;
      case internal::SnapshotEvent::kChunk:
        for (size_t i = 0; i < chunk.size(); ++i) {
          const internal::SnapshotEntry e = chunk.entry(i);
          model.namespaces.back().entries.push_back(
              {std::string(e.key), std::string(e.value), e.version, e.expires_at_ms});
        }
        break;
      case internal::SnapshotEvent::kEnd: return model;
    }
  }
}

inline Result<Model> read_model(std::string bytes) {
  return read_model(std::make_unique<MemorySource>(std::move(bytes)));
}

// A little of everything: several namespaces and chunks, versions, expiries, an autosave.
inline Model small_model() {
  Model model;
  model.header.created_unix_ms = 1767323045678;
  model.header.library_version = "0.9.0";
  model.header.max_namespaces = 100;
  ModelNamespace& users = model.add("users");
  users.info.max_keys = 1000;
  users.info.autosave = internal::SnapshotAutosave{60000, 500, "{ns}.rkvs"};
  users.info.last_version = 90;
  users.entries = {{"alice", "admin", 3, 0}, {"bob", "", 0, 1893456000000}, {"", "x", 77, 0}};
  model.add("empty");
  ModelNamespace& last = model.add("zähler");
  last.info.shard_count = 16;
  last.info.shards_in_use = 16;
  last.info.lock_timeout_ms = 3600000;
  last.entries = {{std::string("\0\xff", 2), "1", 0, 0}};
  return model.announce();
}

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SNAPSHOT_SNAPSHOT_MODEL_H_
