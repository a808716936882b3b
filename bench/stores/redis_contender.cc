#include "bench/stores/redis_contender.h"

#include "bench/stores/factories.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_redis(const Workload& workload) {
  return RedisContender::start(RKVS_BENCH_REDIS_SERVER, workload);
}

}  // namespace rkvs::bench
