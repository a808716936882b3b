// What a namespace measures where it is asked to: durations, and reads by shard.
#ifndef RKVS_STORE_NAMESPACE_METRICS_H_
#define RKVS_STORE_NAMESPACE_METRICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/histogram.h"

namespace rkvs::internal {

enum class OperationKind { kRead, kWrite, kBatch, kScan };
inline constexpr size_t kOperationKinds = 4;

// Exists only where detailed metrics are on: everybody else sees a null pointer.
struct NamespaceMetrics {
  std::array<Histogram, kOperationKinds> operations;
  // Of locks that were not free at once.
  Histogram lock_wait;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_METRICS_H_
