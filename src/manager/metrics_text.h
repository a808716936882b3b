// Figures as text, for Prometheus.
#ifndef RKVS_MANAGER_METRICS_TEXT_H_
#define RKVS_MANAGER_METRICS_TEXT_H_

#include <rkvs/stats.h>

#include <string>
#include <vector>

#include "base/histogram.h"
#include "store/namespace_metrics.h"

namespace rkvs::internal {

// How long the parts of saves took.
struct SaveMetrics {
  Histogram cut;     // everybody locked, for an instant
  Histogram write;   // into the temporary file
  Histogram commit;  // synced and renamed
};

struct NamespaceFigures {
  NamespaceStats stats;
  const NamespaceMetrics* metrics = nullptr;  // nullptr where nothing is measured
};

// The text exposition format, version 0.0.4. Throws std::bad_alloc.
std::string metrics_text(const std::vector<NamespaceFigures>& namespaces, const SaveMetrics& saves);

}  // namespace rkvs::internal

#endif  // RKVS_MANAGER_METRICS_TEXT_H_
