// Figures about namespaces, returned by value.
#ifndef RKVS_STATS_H_
#define RKVS_STATS_H_

#include <cstddef>
#include <cstdint>
#include <string>

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

}  // namespace rkvs

#endif  // RKVS_STATS_H_
