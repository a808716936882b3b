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

  friend bool operator==(const NamespaceStats&, const NamespaceStats&) = default;
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
