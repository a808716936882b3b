#include "bench/stores/boost_store.h"

#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_boost(const Workload& workload) {
  return std::make_unique<InProcess<BoostStore>>("boost::concurrent_flat_map", workload);
}
std::unique_ptr<Contender> make_boost_one_call(const Workload& workload) {
  struct OneCall : InProcess<BoostOneCallStore> {
    using InProcess::InProcess;
    // All else is the same as in BoostStore.
    bool has(Op op) const override { return op == Op::kPut || op == Op::kInsert; }
  };
  return std::make_unique<OneCall>("boost::concurrent_flat_map, one call", workload);
}
FillCosts boost_fill(size_t keys, size_t value_size) {
  return fill_costs_of<BoostStore>(keys, value_size);
}

}  // namespace rkvs::bench
