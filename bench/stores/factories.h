// What each file of this folder makes; see make_contender() and measure_fill().
#ifndef RKVS_BENCH_STORES_FACTORIES_H_
#define RKVS_BENCH_STORES_FACTORIES_H_

#include <cstddef>
#include <memory>

#include "bench/contender.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_rkvs(const Workload& workload);
std::unique_ptr<Contender> make_absl(const Workload& workload);
std::unique_ptr<Contender> make_std(const Workload& workload);
std::unique_ptr<Contender> make_boost(const Workload& workload);
std::unique_ptr<Contender> make_boost_one_call(const Workload& workload);
std::unique_ptr<Contender> make_tbb(const Workload& workload);
std::unique_ptr<Contender> make_lmdb(const Workload& workload);
// nullptr where the server does not start.
std::unique_ptr<Contender> make_redis(const Workload& workload);

FillCosts rkvs_fill(size_t keys, size_t value_size);
FillCosts absl_fill(size_t keys, size_t value_size);
FillCosts std_fill(size_t keys, size_t value_size);
FillCosts boost_fill(size_t keys, size_t value_size);
FillCosts tbb_fill(size_t keys, size_t value_size);

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_FACTORIES_H_
