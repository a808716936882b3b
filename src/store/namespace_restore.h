// The way back from a snapshot into a namespace.
#ifndef RKVS_STORE_NAMESPACE_RESTORE_H_
#define RKVS_STORE_NAMESPACE_RESTORE_H_

#include <rkvs/status.h>

#include <cstdint>
#include <string_view>

#include "store/namespace_impl.h"

namespace rkvs::internal {

// One entry on its way into a namespace that nobody else sees yet.
struct RestoredEntry {
  std::string_view key;
  std::string_view value;
  uint64_t version = 0;
};

// Routes the key anew. NoMemory, KeyTooLarge and ValueTooLarge by the fixed limits, TooManyKeys;
// Exists for a key that is there already.
StatusCode restore_entry(NamespaceImpl& into, const RestoredEntry& source);

// Makes every version that is given out from now on greater than `last_version`.
void restore_last_version(NamespaceImpl& into, uint64_t last_version);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_RESTORE_H_
