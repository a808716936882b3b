#include "store/entry.h"

#include <new>

namespace rkvs::internal {

void retain_entry(Entry* entry) noexcept { entry->retain(); }
// Of a handle, which is hardly ever the last one.
void release_entry(Entry* entry) noexcept { entry->release_shared(); }

Entry* Entry::create(std::string_view key, std::string_view value, int64_t expires_at) noexcept {
  void* block = allocate_block(size_of(key.size(), value.size(), expires_at != 0));
  if (block == nullptr) return nullptr;
  return construct(block, key, value, expires_at != 0, expires_at);
}

Entry* Entry::construct(void* block, std::string_view key, std::string_view value, bool has_expiry,
                        int64_t expires_at) noexcept {
  auto* entry = new (block) Entry;
  entry->refs.store(1, std::memory_order_relaxed);
  entry->value_size = static_cast<uint32_t>(value.size());
  entry->key_size_and_flags = static_cast<uint32_t>(key.size()) | (has_expiry ? kHasExpiry : 0U);
  entry->set_version(0);
  char* out = entry->bytes();
  if (has_expiry) {
    std::memcpy(out, &expires_at, sizeof expires_at);
    out += sizeof expires_at;
  }
  if (!key.empty()) std::memcpy(out, key.data(), key.size());
  if (!value.empty()) std::memcpy(out + key.size(), value.data(), value.size());
  return entry;
}

}  // namespace rkvs::internal
