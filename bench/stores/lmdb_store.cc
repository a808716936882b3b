#include "bench/stores/lmdb_store.h"

#include "bench/stores/factories.h"
#include "bench/stores/in_process.h"

namespace rkvs::bench {

std::unique_ptr<Contender> make_lmdb(const Workload& workload) {
  return std::make_unique<InProcess<LmdbStore>>("LMDB, not synced", workload);
}

}  // namespace rkvs::bench
