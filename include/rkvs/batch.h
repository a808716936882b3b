// What goes into a batch operation and what comes out of it.
#ifndef RKVS_BATCH_H_
#define RKVS_BATCH_H_

#include <rkvs/status.h>
#include <rkvs/value.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace rkvs {

enum class BatchMode {
  // Checked first, then applied whole or not at all, in one instant: no get, batch, scan or
  // snapshot sees a part of it. A get reads all its keys at one instant.
  kAllOrNothing,
  // Every item that can be done is done; the others say why they could not.
  kBestEffort,
};

// One item of a set_multiple. The bytes are copied before the call returns.
struct KeyValue {
  std::string_view key;
  std::string_view value;
};

// What came of one item.
struct BatchItem {
  // Ok; or the item's own failure (NotFound, TooManyKeys, ValueTooLarge, Timeout, ...); or
  // NotApplied, for an item that failed only because its all-or-nothing batch did.
  StatusCode code = StatusCode::kNotApplied;
  // get and consume: the value. set and update: the value that was replaced, if there was one.
  // increment in an AtomicBatch: the new value. Else nothing.
  std::optional<Value> value;
  // In an AtomicBatch: of the entry that the item wrote; 0 where it wrote none, or a later item of
  // the batch has changed the key again. Else 0.
  uint64_t version = 0;
};

// What came of a batch: one item for each input, in input order.
//
// The items act in input order, duplicates included: the second of two deletes of one key is
// NotFound, the second of two sets of one key replaces what the first one wrote. Near limits too:
// an item is TooManyKeys or MemoryLimit where it would be that by itself, after those before it. So
// what an item frees (a key that is removed, a value that becomes smaller) is there for those
// behind it and not for those before it, and an all-or-nothing batch needs room for all that it
// comes to on the way, though nobody else sees that, or is refused for its sake.
struct [[nodiscard]] BatchResult {
  // All-or-nothing: Ok when all items are, otherwise the first failing item's status. Best effort:
  // Ok whatever the items say. A failure of the call as a whole (NamespaceDeleted, Closed, NoMemory
  // for its own work) is the status here and of every item that was not done before it, which in an
  // all-or-nothing batch are all of them.
  Status status;
  std::vector<BatchItem> items;
  // How many items are Ok.
  std::size_t total_processed = 0;
  // From the call to its return.
  std::chrono::nanoseconds duration{0};

  // True when every item is Ok (so a best-effort batch can be Ok in status and not here).
  bool is_success() const noexcept { return status.ok() && total_processed == items.size(); }
};

}  // namespace rkvs

#endif  // RKVS_BATCH_H_
