#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"
#include "bench/stores/map_store.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_std(const Workload& workload) {
  return std::make_unique<InProcess<StdStore>>("std::unordered_map + shared_mutex", workload);
}
FillCosts std_fill(size_t keys, size_t value_size) {
  return fill_costs_of<StdStore>(keys, value_size);
}

}  // namespace rkvs::bench
