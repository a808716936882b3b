// From a snapshot file to namespaces.
#ifndef RKVS_MANAGER_SNAPSHOT_LOADER_H_
#define RKVS_MANAGER_SNAPSHOT_LOADER_H_

#include <rkvs/options.h>
#include <rkvs/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/operation_monitor.h"
#include "snapshot/format.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

// What to take from a file, and under which name. By default everything, under the names it has.
struct SnapshotSelection {
  std::optional<std::string_view> new_name{};
  std::optional<std::string_view> from{};
  bool single = false;  // InvalidArgument for a file that holds none or several
};

struct SnapshotLimits {
  // What the program says; the file's own limit counts where it says nothing.
  std::optional<uint64_t> max_namespaces{};
  // Of keys and values; 0 = no limit.
  uint64_t max_bytes = 0;
};

struct LoadedSnapshot {
  struct Namespace {
    std::shared_ptr<NamespaceImpl> impl;
    std::optional<SnapshotAutosave> autosave;
  };
  StorageConfig config;
  std::vector<Namespace> namespaces;
};

// Builds what `file` holds aside, and trusts nothing in it: see SnapshotReader. Large files are
// worked on by several threads, which take turns at reading and fill tables side by side.
// SnapshotNotFound, SnapshotCorrupt, SnapshotVersion, TooManyNamespaces, MemoryLimit, Io, NoMemory,
// Cancelled.
Result<LoadedSnapshot> load_snapshot(const Directory& directory, std::string_view file,
                                     const SnapshotSelection& selection,
                                     const SnapshotLimits& limits, const TimeSource& time,
                                     OperationMonitor& monitor);

}  // namespace rkvs::internal

#endif  // RKVS_MANAGER_SNAPSHOT_LOADER_H_
