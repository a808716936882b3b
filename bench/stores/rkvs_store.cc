#include "bench/stores/rkvs_store.h"

#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_rkvs(const Workload& workload) {
  return std::make_unique<InProcess<RkvsStore>>("rkvs", workload);
}
FillCosts rkvs_fill(size_t keys, size_t value_size) {
  return fill_costs_of<RkvsStore>(keys, value_size);
}

}  // namespace rkvs::bench
