#include "bench/stores/tbb_store.h"

#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_tbb(const Workload& workload) {
  return std::make_unique<InProcess<TbbStore>>("tbb::concurrent_hash_map", workload);
}
FillCosts tbb_fill(size_t keys, size_t value_size) {
  return fill_costs_of<TbbStore>(keys, value_size);
}

}  // namespace rkvs::bench
