#include "cli/json_output.h"

#include "cli/output.h"

namespace rkvs::cli {

Status print_json(const Json& document) {
  return print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json json_of(const internal::SnapshotTotals& totals) {
  return {{"entries", totals.entries},
          {"key_bytes", totals.key_bytes},
          {"value_bytes", totals.value_bytes}};
}

internal::SnapshotTotals sum_of(const std::vector<internal::SnapshotTotals>& all) {
  internal::SnapshotTotals sum;
  for (const internal::SnapshotTotals& totals : all) {
    sum.entries += totals.entries;
    sum.key_bytes += totals.key_bytes;
    sum.value_bytes += totals.value_bytes;
  }
  return sum;
}

}  // namespace rkvs::cli
