// ShardImage: what a save needs of one shard, as it was at the save's cut.
#ifndef RKVS_STORE_SHARD_IMAGE_H_
#define RKVS_STORE_SHARD_IMAGE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "store/entry.h"
#include "store/graveyard.h"

namespace rkvs::internal {

// One save. `finished` is set before its images are taken off the shards: from then on none may be
// added. While it is `selecting` (see ShardImage), every entry that leaves a table goes to the
// graveyard, however new it is.
struct SaveMark {
  std::atomic<bool> finished{false};
  std::atomic<bool> selecting{false};
};

// At the cut the shard only gets this record in its list. From then on every entry that leaves the
// table, and may have been there at the cut, goes to the graveyard as well, with a reference. So
// what was there at the cut is at any time
//
//   the entries in the table that are not newer than the cut, and those in the graveyard,
//
// and no writer has to copy anything. The save comes to one shard after another, copies the
// pointers of both under the shared lock, and selects those that are old enough without it: for as
// long, nothing that leaves a table is freed. No reference is counted for the copy.
//
// Which entries are newer is told by their versions: one that came after the cut has a greater one
// than the shard had given out by then. This does not hold for entries that come from another
// shard or get another expiry under the version that they have: before that, complete_images()
// makes the copy.
//
// When the save is through with a shard its record is taken off. A resize that moves entries of a
// shard that a save still needs takes the records along: the target gets one for each save of its
// source, with the greater of both versions, and keeps it until the save ends.
//
// Guarded by the shard's lock; `entries`, once not pending, belongs to the save.
struct ShardImage {
  ShardImage* next = nullptr;
  SaveMark* save = nullptr;
  uint64_t held_version = 0;
  bool pending = false;  // the copy has not been made
  // Made by a resize and not by the save: deleted when it is taken off.
  bool owned_by_shard = false;
  // Holds back what another shard's image needs.
  bool holds_for_others = false;
  std::vector<Entry*> entries;
  Graveyard graveyard;

  // Whether the entry may not be freed or changed.
  bool holds(const Entry& entry) const {
    return entry.version() <= held_version || save->selecting.load(std::memory_order_acquire);
  }
  // Takes out of `entries` those with a greater version.
  void select(uint64_t greatest_version);
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_SHARD_IMAGE_H_
