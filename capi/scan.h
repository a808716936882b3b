// rkvs_scan: a Scan that minds that one step is on at a time.
#ifndef RKVS_CAPI_SCAN_H_
#define RKVS_CAPI_SCAN_H_

#include <rkvs/scan.h>

#include <atomic>
#include <utility>
#include <vector>

#include "capi/internal.h"

struct rkvs_scan : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B5331;
  rkvs_scan(rkvs_namespace* of, rkvs::Scan walk)
      : Handle(kMagic), ns(rkvs::capi::retain(of)), scan(std::move(walk)) {}
  ~rkvs_scan() { rkvs_namespace_release(ns); }

  rkvs_namespace* const ns;
  rkvs::Scan scan;
  // What a step has found and could not hand out for want of memory: comes first in the next one.
  std::vector<rkvs::ScanItem> left_over;
  // Whoever sets it has both until it is cleared.
  std::atomic<bool> busy{false};
};

namespace rkvs::capi {

// A step, by whoever has the scan. May throw std::bad_alloc; then nothing is lost.
Status next_items(rkvs_scan& scan, std::size_t limit, rkvs_batch_result*& items);

// Has the scan while it lives, if nobody else had it.
class ScanClaim {
 public:
  explicit ScanClaim(rkvs_scan& scan)
      : scan_(scan), held_(!scan.busy.exchange(true, std::memory_order_acquire)) {}
  ~ScanClaim() {
    if (held_) scan_.busy.store(false, std::memory_order_release);
  }
  ScanClaim(const ScanClaim&) = delete;
  ScanClaim& operator=(const ScanClaim&) = delete;
  bool held() const { return held_; }

 private:
  rkvs_scan& scan_;
  const bool held_;
};

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_SCAN_H_
