// What the crash test's programs agree on: what a store holds as a function of one number, and
// where a saver says how far it is.
#ifndef RKVS_TESTS_CRASH_CRASH_CONTENTS_H_
#define RKVS_TESTS_CRASH_CRASH_CONTENTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace rkvs::crash {

inline constexpr const char* kFile = "store.rkvs";

// Exit code of a saver that could not do its work; one that is killed has none.
inline constexpr int kSaverFailed = 3;

using NamespaceContents = std::map<std::string, std::string>;
using StoreContents = std::map<std::string, NamespaceContents>;

inline std::string value_of(uint64_t serial, uint64_t key, size_t size) {
  std::string value = std::to_string(serial) + "/" + std::to_string(key) + " ";
  value.resize(size + value.size(), static_cast<char>('a' + (serial * 7 + key) % 26));
  return value;
}

// What a store that is saved after each change holds after its `serial`-th change; 0 is a new one.
// Keys and whole namespaces come and go, and a save is one write or several.
inline StoreContents contents_of(uint64_t serial) {
  StoreContents store;
  if (serial == 0) return store;
  NamespaceContents& always = store["always"];
  always["serial"] = std::to_string(serial);
  for (uint64_t i = 0; i < 3 + serial % 17; ++i) {
    always["key " + std::to_string(i)] = value_of(serial, i, (serial * 31 + i * 7) % 300);
  }
  if (serial % 2 == 1) store["every other"]["serial"] = std::to_string(serial);
  if (serial % 3 != 0) {
    for (uint64_t i = 0; i < 3; ++i) {
      store["large"][std::to_string(i)] = value_of(serial, i, 40'000 + serial % 5 * 20'000);
    }
  }
  return store;
}

// The same for a store that is saved in the background: keys that never change, so that each change
// is one all-or-nothing batch.
inline StoreContents background_contents_of(uint64_t serial) {
  StoreContents store;
  if (serial == 0) return store;
  NamespaceContents& always = store["always"];
  always["serial"] = std::to_string(serial);
  for (uint64_t i = 0; i < 24; ++i) {
    always["key " + std::to_string(i)] = value_of(serial, i, (serial * 13 + i * 401) % 9000);
  }
  return store;
}

// Calls to the system, as a saver tells them apart.
enum class Phase : uint32_t {
  kNone,  // of no save
  kCreate,
  kWrite,
  kSync,
  kRename,
  kLink,
  kSyncDirectory,
  kUnlink,
  kOther,
  kCount
};
inline const char* phase_name(size_t phase) {
  static const char* const names[] = {"between saves",  "create", "write", "sync", "rename", "link",
                                      "sync_directory", "unlink", "other", ""};
  return names[phase];
}

// In memory that saver and test share.
struct Shared {
  std::atomic<uint32_t> phase{0};     // the call of a save that began last
  std::atomic<uint64_t> changing{0};  // the serial number that the store has, or is about to have
};
static_assert(std::atomic<uint32_t>::is_always_lock_free &&
              std::atomic<uint64_t>::is_always_lock_free);

}  // namespace rkvs::crash

#endif  // RKVS_TESTS_CRASH_CRASH_CONTENTS_H_
