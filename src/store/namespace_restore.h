// Restorer: many entries at once into a namespace that nobody else sees yet.
#ifndef RKVS_STORE_NAMESPACE_RESTORE_H_
#define RKVS_STORE_NAMESPACE_RESTORE_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "store/entry.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

// One entry on its way in from a snapshot.
struct RestoredEntry {
  std::string_view key;
  std::string_view value;
  uint64_t version = 0;
  int64_t expires_at = 0;  // steady milliseconds, 0 = never
};

// Sorts what it gets by the shard where it belongs, and then fills one shard after another: the
// shard's lock is taken once and its table stays in the cache. Keys are routed anew; they keep
// their versions.
//
// Used by one thread at a time; several of them may fill one namespace.
class Restorer {
 public:
  Restorer() = default;
  ~Restorer() { drop_items(); }
  Restorer(const Restorer&) = delete;
  Restorer& operator=(const Restorer&) = delete;

  // After an error some of the entries may be in: throw the namespace away. Bytes are counted and
  // never refused. NoMemory, KeyTooLarge
  // and ValueTooLarge by the fixed limits, TooManyKeys; Exists for a key that is there already.
  StatusCode add(NamespaceImpl& into, std::span<const RestoredEntry> entries);
  // The same for entries of another namespace of this process, which stay where they are and get
  // one more reference. Those that have expired by `time` are left out.
  StatusCode share(NamespaceImpl& into, std::span<Entry* const> entries, OperationTime& time);

 private:
  struct Item {
    uint64_t hash;
    Entry* entry;  // owned, nullptr once it is in
  };

  void drop_items();
  StatusCode insert_items(NamespaceImpl& into);
  StatusCode insert_group(NamespaceImpl& into, uint32_t index, std::span<const uint32_t> group);

  std::vector<Item> items_;
  std::vector<uint32_t> shards_;  // of each item
  std::vector<uint32_t> ends_;    // of each shard's part of order_
  std::vector<uint32_t> order_;   // indices of items_, by shard
};

// Makes tables as large as `keys` keys will need, if they spread evenly. False where there is no
// memory.
bool restore_room(NamespaceImpl& into, uint64_t keys);

// Makes every version that is given out from now on greater than `last_version`.
void restore_last_version(NamespaceImpl& into, uint64_t last_version);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_RESTORE_H_
