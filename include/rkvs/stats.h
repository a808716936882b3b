// Figures about namespaces and loads, returned by value.
#ifndef RKVS_STATS_H_
#define RKVS_STATS_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rkvs {

// One namespace at one instant.
struct NamespaceStats {
  std::string name;
  uint64_t key_count = 0;
  // The sum of the sizes of all values, in bytes.
  uint64_t total_size = 0;
  // What keys, values and their overhead take in memory, tables included, in bytes.
  uint64_t memory_bytes = 0;
  // Shards in use now; with an automatic shard count it grows with the data.
  uint32_t shard_count = 0;

  // Since the namespace was made or loaded.
  uint64_t hits = 0;    // reads that found their key, items of batches included
  uint64_t misses = 0;  // and that did not
  uint64_t sets = 0;    // entries written
  uint64_t deletes = 0;
  uint64_t expired = 0;     // entries reclaimed after their expiry
  uint64_t rejected = 0;    // writes that a limit refused
  uint64_t timeouts = 0;    // locks that could not be had within lock_timeout
  uint64_t lock_waits = 0;  // locks that were not free at once

  friend bool operator==(const NamespaceStats&, const NamespaceStats&) = default;
};

// One shard. Counters stay with the shard where they were counted when a resize moves keys.
struct ShardStats {
  uint64_t key_count = 0;
  uint64_t total_size = 0;
  uint64_t memory_bytes = 0;
  uint64_t hits = 0;  // 0 without StorageOptions::detailed_metrics, as misses
  uint64_t misses = 0;
  uint64_t sets = 0;
  uint64_t deletes = 0;
  uint64_t expired = 0;
  uint64_t rejected = 0;
  uint64_t timeouts = 0;
  uint64_t lock_waits = 0;

  friend bool operator==(const ShardStats&, const ShardStats&) = default;
};

// What initialize(file) found.
struct LoadReport {
  // A file that was there and could not be used, and why.
  struct Skipped {
    std::string file;
    Status reason;
  };

  // The file that was loaded: the one asked for, or an older generation of it. Empty when there was
  // none and the manager started empty.
  std::string file;
  uint64_t namespaces = 0;
  uint64_t keys = 0;
  // Newest first.
  std::vector<Skipped> skipped;
};

}  // namespace rkvs

#endif  // RKVS_STATS_H_
