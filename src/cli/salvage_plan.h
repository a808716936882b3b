// Which frame of a damaged snapshot belongs to which namespace.
#ifndef RKVS_CLI_SALVAGE_PLAN_H_
#define RKVS_CLI_SALVAGE_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cli/salvage_payload.h"
#include "cli/salvage_scan.h"
#include "snapshot/format.h"

namespace rkvs::cli {

struct SalvagedNamespace {
  // Its own frame; absent when that is lost, and with it the name and the limits.
  std::optional<internal::SnapshotNamespace> info;
  // Its place among the namespaces of the file; absent when too much is lost around it to tell.
  std::optional<uint64_t> index;
  std::vector<FoundFrame> chunks;
};

// Takes frames in the order of the file and sorts them out.
//
// A chunk says the index of its namespace, but a Namespace frame does not: it is the number of
// those before it. Where frames are lost in between, it is unknown how many of them were Namespace
// frames, until a chunk (or the footer) that follows without another loss tells. A chunk is never
// given to a namespace by guess: where its index fits none for certain, its entries go into a
// namespace of their own.
class SalvagePlan {
 public:
  // False where the frame contradicts itself or those before it. Throws std::bad_alloc.
  bool take(const FoundFrame& frame, std::string_view payload);

  const std::optional<internal::SnapshotHeader>& header() const { return header_; }
  // Of a header in a version that this tool does not know; 0 where there was none.
  uint32_t unknown_version() const { return unknown_version_; }
  const std::optional<LoneFooter>& footer() const { return footer_; }
  // In the order of the file.
  const std::vector<SalvagedNamespace>& namespaces() const { return namespaces_; }

 private:
  bool take_header(std::string_view payload);
  bool take_namespace(std::string_view payload);
  bool take_chunk(const FoundFrame& frame, std::string_view payload);
  bool take_footer(const FoundFrame& frame, std::string_view payload);
  // There are `end` namespaces up to here: gives those that have no index theirs where it is
  // certain. False where there cannot be so few.
  bool resolve(uint64_t end);

  std::optional<internal::SnapshotHeader> header_;
  uint32_t unknown_version_ = 0;
  std::optional<LoneFooter> footer_;
  std::vector<SalvagedNamespace> namespaces_;
  std::unordered_set<std::string> names_;
  uint64_t next_sequence_ = 0;
  // Namespaces of the file up to here. Exact while `certain_`, at least so many otherwise.
  uint64_t count_ = 0;
  bool certain_ = true;
  // Namespaces at the end of the list that have no index yet: of those that followed each other
  // since the last loss, and of those before it.
  uint64_t unresolved_ = 0;
  uint64_t loose_ = 0;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_SALVAGE_PLAN_H_
