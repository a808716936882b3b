// Cut: what several namespaces held at one instant, to be saved while writers go on.
#ifndef RKVS_STORE_NAMESPACE_IMAGE_H_
#define RKVS_STORE_NAMESPACE_IMAGE_H_

#include <rkvs/options.h>
#include <rkvs/status.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/entry.h"
#include "store/namespace_impl.h"
#include "store/shard_image.h"

namespace rkvs::internal {

// One namespace at the instant of the cut. Its entries are in the images of its shards.
class NamespaceImage {
 public:
  std::string name;
  NamespaceConfig config;
  uint32_t shards_in_use = 0;
  uint64_t keys = 0;
  uint64_t value_bytes = 0;
  // No entry has or ever had a greater version.
  uint64_t last_version = 0;

  uint32_t shard_count() const { return attached_; }
  // The entries of one shard, which stay as they are until release() or the end of the cut.
  // NoMemory. By one thread at a time for all namespaces of a cut.
  Result<std::span<Entry* const>> entries(uint32_t shard);
  // Gives back what entries() took, and lets the shard go, unless other shards' images need it:
  // from here on its writers keep nothing back. To be called once, when the save is through with
  // it. What they have kept back is freed with the cut: blocks that come back in any order in
  // mid-save would be what writers get next, and those are slow to take.
  void release(uint32_t shard);

 private:
  friend class Cut;

  std::shared_ptr<NamespaceImpl> impl_;
  // A record for each shard that there may be at the cut; the shards point to those in use.
  std::unique_ptr<ShardImage[]> images_;
  uint32_t capacity_ = 0;
  uint32_t attached_ = 0;
  // The memory of the last image, for the next one: it has been touched already.
  std::vector<Entry*> buffer_;
};

// Locks all shards of all namespaces in order, gives each a ShardImage and unlocks: about 35 ns a
// shard, whatever is in them, and the only time that anybody waits for all of a save. While the
// object lives, writers keep back what they remove; with its end everything is as it was.
class Cut {
 public:
  // Namespaces that were deleted or closed meanwhile are left out. Timeout (the longest
  // lock_timeout of them all counts), NoMemory.
  static Result<std::unique_ptr<Cut>> take(std::vector<std::shared_ptr<NamespaceImpl>> namespaces);
  ~Cut();
  Cut(const Cut&) = delete;
  Cut& operator=(const Cut&) = delete;

  std::vector<NamespaceImage>& namespaces() { return namespaces_; }
  // The instant, by both clocks: entries that had expired by then do not belong to it.
  int64_t steady_ms() const { return steady_ms_; }
  int64_t unix_ms() const { return unix_ms_; }

 private:
  Cut() = default;
  // Timeout; or kBusy if there are more shards by now than records.
  StatusCode attach_all();

  int64_t steady_ms_ = 0;
  int64_t unix_ms_ = 0;
  SaveMark mark_;
  std::vector<NamespaceImage> namespaces_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_IMAGE_H_
