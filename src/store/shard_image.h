// ShardImage: what a save needs of one shard, as it was at the save's cut.
#ifndef RKVS_STORE_SHARD_IMAGE_H_
#define RKVS_STORE_SHARD_IMAGE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "store/entry.h"

namespace rkvs::internal {

// One save. Set before its images are taken off the shards: from then on none may be added.
struct SaveMark {
  std::atomic<bool> finished{false};
};

// At the cut the shard only gets this record in its list; its table is the image. The first write
// that would change the table copies the pointers first; the save copies those of shards that
// nobody touched when it comes to them. No reference is counted for them. Instead every entry that
// leaves a table, and may be in an image of a save that is still on, goes to the graveyard as well:
// for each such save one reference, given up when the save ends.
//
// Which entries those are is told by their versions: an entry that came after the cut has a greater
// one than the shard had given out by then. A resize that moves entries takes the records along:
// the target gets one for each save of its source, with the greater of both versions.
//
// Guarded by the shard's lock; `entries`, once not pending, belongs to the save.
struct ShardImage {
  ShardImage* next = nullptr;
  SaveMark* save = nullptr;
  uint64_t held_version = 0;
  bool pending = false;
  // Made by a resize and not by the save: deleted when it is taken off.
  bool owned_by_shard = false;
  std::vector<Entry*> entries;
  std::vector<Entry*> graveyard;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_SHARD_IMAGE_H_
