// rkvs_list: keys or names in one block, and what there is to say about each.
#ifndef RKVS_CAPI_LIST_H_
#define RKVS_CAPI_LIST_H_

#include <rkvs/autosave.h>
#include <rkvs/stats.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "capi/internal.h"

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
  // Of each item, in lists that have them.
  std::vector<rkvs::NamespaceStats> stats;
  std::vector<rkvs::AutosaveStatus> autosave;
};

namespace rkvs::capi {

// Throws std::bad_alloc.
rkvs_list* make_list(const std::vector<std::string>& items);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_LIST_H_
