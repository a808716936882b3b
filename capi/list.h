// rkvs_list: keys or names in one block, and what there is to say about each.
//
// Asynchronous calls whose results are structures hand them over as lists too: a completion has
// room for handles only.
#ifndef RKVS_CAPI_LIST_H_
#define RKVS_CAPI_LIST_H_

#include <rkvs/autosave.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "capi/internal.h"
#include "capi/load_report.h"

struct rkvs_list : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4C31;
  rkvs_list() : Handle(kMagic) {}

  std::size_t count() const { return offsets.size() - 1; }
  // Throws std::bad_alloc.
  void append(std::string_view item) {
    bytes.append(item);
    offsets.push_back(bytes.size());
  }

  std::string bytes;
  std::vector<uint64_t> offsets{0};
  // Of each item, in lists that have them; of one report.
  std::variant<std::monostate, std::vector<rkvs::NamespaceStats>, std::vector<rkvs::AutosaveStatus>,
               std::vector<rkvs::ShardStats>, std::vector<uint64_t>,
               std::vector<rkvs::NamespaceConfig>, std::vector<rkvs::StorageConfig>,
               rkvs::capi::LoadReportRef>
      figures;
};

namespace rkvs::capi {

// All throw std::bad_alloc.
rkvs_list* make_list(const std::vector<std::string>& items);
rkvs_list* make_list(std::vector<NamespaceStats> stats);
rkvs_list* make_list(std::vector<AutosaveStatus> tasks);
// Their items have no text.
rkvs_list* make_list(std::vector<ShardStats> shards);
rkvs_list* make_list(std::vector<uint64_t> numbers);
// Of one item each: the namespace of this name, the manager, the file of the report.
rkvs_list* make_list(std::string_view name, const NamespaceConfig& config);
rkvs_list* make_list(const StorageConfig& config);
rkvs_list* make_list(LoadReport report);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_LIST_H_
