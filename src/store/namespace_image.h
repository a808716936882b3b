// NamespaceImage: what a namespace held at one instant, to be saved; and the way back.
#ifndef RKVS_STORE_NAMESPACE_IMAGE_H_
#define RKVS_STORE_NAMESPACE_IMAGE_H_

#include <rkvs/options.h>
#include <rkvs/status.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/entry.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

struct NamespaceImage {
  std::string name;
  NamespaceConfig config;
  uint32_t shards_in_use = 0;
  uint64_t value_bytes = 0;
  // No entry has or ever had a greater version.
  uint64_t last_version = 0;
  std::vector<EntryRef> entries;
};

// The images of several namespaces at one and the same instant: all their shards are locked, shared,
// while references are taken. Namespaces that were deleted or closed meanwhile are left out.
// Timeout (the longest lock_timeout of them all counts), NoMemory.
Result<std::vector<NamespaceImage>> take_images(
    std::vector<std::shared_ptr<NamespaceImpl>> namespaces);

// One entry on its way into a namespace that nobody else sees yet.
struct RestoredEntry {
  std::string_view key;
  std::string_view value;
  uint64_t version = 0;
};

// Routes the key anew. NoMemory, KeyTooLarge and ValueTooLarge by the fixed limits, TooManyKeys;
// Exists for a key that is there already.
StatusCode restore_entry(NamespaceImpl& into, const RestoredEntry& entry);

// Makes every version that is given out from now on greater than `last_version`.
void restore_last_version(NamespaceImpl& into, uint64_t last_version);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_IMAGE_H_
