// JSON documents on standard output.
#ifndef RKVS_CLI_JSON_OUTPUT_H_
#define RKVS_CLI_JSON_OUTPUT_H_

#include <rkvs/status.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "snapshot/format.h"

namespace rkvs::cli {

// Fields keep the order in which they are set.
using Json = nlohmann::ordered_json;

// Prints the document, indented. Bytes that are not UTF-8 (in paths, say) become U+FFFD.
Status print_json(const Json& document);

// {"entries": ..., "key_bytes": ..., "value_bytes": ...}
Json json_of(const internal::SnapshotTotals& totals);

// The sum of all.
internal::SnapshotTotals sum_of(const std::vector<internal::SnapshotTotals>& all);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_JSON_OUTPUT_H_
