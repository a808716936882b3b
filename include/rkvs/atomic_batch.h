// AtomicBatch: operations of different kinds that happen together or not at all.
#ifndef RKVS_ATOMIC_BATCH_H_
#define RKVS_ATOMIC_BATCH_H_

#include <rkvs/write_options.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace rkvs {

// A list of operations for Namespace::apply, in the order in which they act: each sees what those
// before it did.
//
//   rkvs::AtomicBatch transfer;
//   transfer.check_version("account/a", seen.version).decrement("account/a", 5)
//       .increment("account/b", 5).set("log/17", "a to b: 5");
//   rkvs::BatchResult result = ns.apply(transfer);
//
// Every operation is what the function of Namespace with its name is, with these outcomes of its
// item: what is an outcome there (NotFound, Exists, VersionMismatch) fails the batch here. The
// batch keeps views: keys and values must stay where they are until apply() has returned.
//
// What an operation writes with an expire_at that is over already is gone for those behind it, and
// counts for no limit there. Limits are as BatchResult has it.
//
// A list may be applied any number of times, and by several threads at once.
class AtomicBatch {
 public:
  enum class Op {
    kSet,
    kAdd,
    kUpdate,
    kDelete,
    kConsume,
    kCompareAndSet,
    kCompareAndDelete,
    kIncrement,
    kCheckVersion,
    kCheckExists,
    kCheckAbsent,
  };
  struct Operation {
    Op op = Op::kSet;
    std::string_view key{};
    std::string_view value{};
    uint64_t version = 0;
    int64_t delta = 0;
    bool subtract = false;
    int64_t initial = 0;
    WriteOptions options{};
  };

  // Item: the value that was there before, if any; the new version.
  AtomicBatch& set(std::string_view key, std::string_view value, const WriteOptions& options = {}) {
    return append({.op = Op::kSet, .key = key, .value = value, .options = options});
  }
  // Item: the new version. Exists.
  AtomicBatch& add(std::string_view key, std::string_view value, const WriteOptions& options = {}) {
    return append({.op = Op::kAdd, .key = key, .value = value, .options = options});
  }
  // Item: the value that was there before; the new version. NotFound.
  AtomicBatch& update(std::string_view key, std::string_view value,
                      const WriteOptions& options = {}) {
    return append({.op = Op::kUpdate, .key = key, .value = value, .options = options});
  }
  // NotFound.
  AtomicBatch& delete_key(std::string_view key) { return append({.op = Op::kDelete, .key = key}); }
  // Item: the value. NotFound.
  AtomicBatch& consume(std::string_view key) { return append({.op = Op::kConsume, .key = key}); }
  // An entry that an operation before it in the batch wrote has no version yet, and so none that
  // matches. Item: the new version. NotFound, VersionMismatch.
  AtomicBatch& compare_and_set(std::string_view key, uint64_t expected_version,
                               std::string_view value, const WriteOptions& options = {}) {
    return append({.op = Op::kCompareAndSet,
                   .key = key,
                   .value = value,
                   .version = expected_version,
                   .options = options});
  }
  // NotFound, VersionMismatch.
  AtomicBatch& compare_and_delete(std::string_view key, uint64_t expected_version) {
    return append({.op = Op::kCompareAndDelete, .key = key, .version = expected_version});
  }
  // Item: the new value; the new version. NotANumber, Overflow.
  AtomicBatch& increment(std::string_view key, int64_t delta = 1,
                         const CounterOptions& options = {}) {
    return append(counter(key, delta, false, options));
  }
  AtomicBatch& decrement(std::string_view key, int64_t delta = 1,
                         const CounterOptions& options = {}) {
    return append(counter(key, delta, true, options));
  }
  // Changes nothing. NotFound, VersionMismatch.
  AtomicBatch& check_version(std::string_view key, uint64_t expected_version) {
    return append({.op = Op::kCheckVersion, .key = key, .version = expected_version});
  }
  // Changes nothing. NotFound.
  AtomicBatch& check_exists(std::string_view key) {
    return append({.op = Op::kCheckExists, .key = key});
  }
  // Changes nothing. Exists.
  AtomicBatch& check_absent(std::string_view key) {
    return append({.op = Op::kCheckAbsent, .key = key});
  }

  // An operation as operations() lists it.
  AtomicBatch& append(const Operation& operation) {
    operations_.push_back(operation);
    return *this;
  }

  const std::vector<Operation>& operations() const noexcept { return operations_; }
  std::size_t size() const noexcept { return operations_.size(); }
  void clear() noexcept { operations_.clear(); }

 private:
  static Operation counter(std::string_view key, int64_t delta, bool subtract,
                           const CounterOptions& options) {
    return {.op = Op::kIncrement,
            .key = key,
            .delta = delta,
            .subtract = subtract,
            .initial = options.initial,
            .options = {.expire_after = options.expire_after}};
  }
  std::vector<Operation> operations_;
};

}  // namespace rkvs

#endif  // RKVS_ATOMIC_BATCH_H_
