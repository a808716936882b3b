// Going through a namespace step by step.
#ifndef RKVS_SCAN_H_
#define RKVS_SCAN_H_

#include <rkvs/status.h>
#include <rkvs/value.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rkvs {

namespace internal {
class ScanState;
}  // namespace internal

struct ScanOptions {
  // Only keys that begin with these bytes. Every key is looked at all the same: the store is a hash
  // table.
  std::string prefix{};
  // Whether items carry their values; shared, not copied.
  bool with_values = true;
};

struct ScanItem {
  std::string key;
  std::optional<Value> value;
  uint64_t version = 0;
};

// A walk through all keys of a namespace, in no particular order.
//
//   rkvs::Scan scan = ns.scan({.prefix = "user:"});
//   while (!scan.is_done()) {
//     auto items = scan.next(1000);
//     if (!items.ok()) return items.status();
//     for (const rkvs::ScanItem& item : *items) ...
//   }
//
// A key that is there during the whole walk comes exactly once, however much is written and however
// often the shards change in number meanwhile; one that comes or goes may or may not come. A step
// locks one shard for reading, for as long as it takes to list its entries: some tens of
// microseconds with automatic shards. What it listed and next() has not returned yet stays in
// memory.
//
// Used by one thread at a time. May outlive its Namespace handles.
class Scan {
 public:
  Scan(Scan&& other) noexcept;
  Scan& operator=(Scan&& other) noexcept;
  ~Scan();

  // Up to `limit` items, fewer only where the walk ends or a step found fewer; none is possible
  // before the end. The walk goes on after an error. Timeout, NamespaceDeleted, Closed, NoMemory,
  // WouldDeadlock; InvalidArgument for a limit of 0.
  Result<std::vector<ScanItem>> next(std::size_t limit = 1000);
  // Whether everything has been returned.
  bool is_done() const noexcept;

 private:
  friend class Namespace;
  explicit Scan(std::unique_ptr<internal::ScanState> state);

  std::unique_ptr<internal::ScanState> state_;
};

}  // namespace rkvs

#endif  // RKVS_SCAN_H_
