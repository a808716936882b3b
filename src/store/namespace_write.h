// write(): what all single-key writes of a value have in common.
#ifndef RKVS_STORE_NAMESPACE_WRITE_H_
#define RKVS_STORE_NAMESPACE_WRITE_H_

#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/write_options.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time_source.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

// What becomes of the expiry.
struct ExpiryChange {
  enum class Kind { kNone, kKeep, kSet };
  Kind kind = Kind::kNone;
  int64_t at = 0;  // of kSet, in steady milliseconds

  bool sets() const { return kind == Kind::kSet; }
  // Of an entry that takes the place of one with the expiry `before`, 0 = none.
  int64_t applied_to(int64_t before) const {
    switch (kind) {
      case Kind::kNone: return 0;
      case Kind::kKeep: return before;
      case Kind::kSet: return at;
    }
    return 0;
  }
};

// What becomes of it in a single write, which looks at the clock when it has its lock, and then
// once: reading it is dear.
struct ExpiryRule {
  ExpiryChange change{};
  int64_t left = 0;  // of a kSet that counts from then on, in milliseconds

  int64_t applied_to(int64_t before, OperationTime& time) const {
    return left == 0 ? change.applied_to(before) : later(time.now(), left);
  }
  // At most what ExpiryQueue can hold, and never before 1.
  static int64_t later(int64_t now, int64_t left);
};
Result<ExpiryRule> expiry_rule(const NamespaceImpl& self, const WriteOptions& options,
                               ExpiryChange::Kind otherwise = ExpiryChange::Kind::kNone);

// InvalidArgument. `otherwise` is what the operation does where the options say nothing.
Result<ExpiryChange> expiry_change(const NamespaceImpl& self, const WriteOptions& options,
                                   ExpiryChange::Kind otherwise = ExpiryChange::Kind::kNone);

struct WriteRequest {
  enum class When { kAlways, kPresent, kAbsent };

  std::string_view key;
  std::string_view value;
  When when = When::kAlways;
  // Only over an entry of this version.
  std::optional<uint64_t> version{};
  ExpiryRule expiry{};
  bool want_old = false;
};

struct WriteOutcome {
  std::optional<Value> old;  // where it was wanted
  uint64_t version = 0;
};

// NotFound, Exists, VersionMismatch, and the errors of set.
Status write(NamespaceImpl& self, const WriteRequest& request, WriteOutcome& outcome);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_WRITE_H_
