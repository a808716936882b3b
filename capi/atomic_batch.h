// rkvs_atomic_batch: an AtomicBatch with bytes of its own.
#ifndef RKVS_CAPI_ATOMIC_BATCH_H_
#define RKVS_CAPI_ATOMIC_BATCH_H_

#include <rkvs/atomic_batch.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "capi/internal.h"

namespace rkvs::capi {

struct AtomicBatchContent {
  AtomicBatch batch;
  std::deque<std::string> bytes;  // that the batch's views look at; a deque moves none of them
};

}  // namespace rkvs::capi

struct rkvs_atomic_batch : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4131;
  rkvs_atomic_batch() : Handle(kMagic) {}

  std::shared_ptr<rkvs::capi::AtomicBatchContent> content =
      std::make_shared<rkvs::capi::AtomicBatchContent>();
  // An asynchronous operation has had it: it is not to be changed any more.
  std::atomic<bool> is_shared{false};
};

#endif  // RKVS_CAPI_ATOMIC_BATCH_H_
