#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"
#include "bench/stores/map_store.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_absl(const Workload& workload) {
  return std::make_unique<InProcess<AbslStore>>("absl::flat_hash_map, unlocked", workload);
}
FillCosts absl_fill(size_t keys, size_t value_size) {
  return fill_costs_of<AbslStore>(keys, value_size);
}

}  // namespace rkvs::bench
