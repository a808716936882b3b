// ByteCharge: what one operation does to the bytes of the shards that it holds, in the accounts.
#ifndef RKVS_STORE_BYTE_CHARGE_H_
#define RKVS_STORE_BYTE_CHARGE_H_

#include <cstdint>

#include "base/thread_annotations.h"
#include "store/usage.h"

namespace rkvs::internal {

// Made when everything is locked exclusively, settled before it is unlocked: whatever `Holder`, a
// Shard or a BatchPlan, has grown or shrunk by in between is charged. What may be refused is
// reserved first. Without a limit it does nothing.
template <typename Holder>
class ByteCharge {
 public:
  ByteCharge(Usage& usage, const Holder& holder) RKVS_NO_THREAD_SAFETY_ANALYSIS
      : usage_(usage),
        holder_(holder),
        counts_(usage.counts_bytes()) {
    if (counts_) [[unlikely]]
      before_ = static_cast<int64_t>(holder.memory());
  }
  ~ByteCharge() { settle(); }
  ByteCharge(const ByteCharge&) = delete;
  ByteCharge& operator=(const ByteCharge&) = delete;

  bool counts() const { return counts_; }
  // False when a limit is in the way.
  bool reserve(uint64_t bytes) {
    if (!counts_ || bytes == 0) [[likely]]
      return true;
    if (!usage_.reserve_bytes(bytes)) return false;
    reserved_ += static_cast<int64_t>(bytes);
    return true;
  }
  // The same for several changes that happen as one; see Budget.
  bool reserve_peak(int64_t peak, int64_t net, int64_t* fitting) {
    if (!counts_) return true;
    if (!usage_.reserve_peak_bytes(peak, net, fitting)) return false;
    if (net > 0) reserved_ += net;
    return true;
  }
  // With the locks still held, for those who release them before the end of the scope. Once.
  void settle() RKVS_NO_THREAD_SAFETY_ANALYSIS {
    if (!counts_) [[likely]]
      return;
    counts_ = false;
    usage_.charge_bytes(static_cast<int64_t>(holder_.memory()) - before_ - reserved_);
  }

 private:
  Usage& usage_;
  const Holder& holder_;
  bool counts_;
  int64_t before_ = 0;
  int64_t reserved_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BYTE_CHARGE_H_
