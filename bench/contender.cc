// Which contenders there are. Each store is one file, since its templates are heavy; those that
// need a library are compiled where it was found.
#include "bench/contender.h"

#include <fstream>
#include <map>
#include <string>

#include "bench/stores/factories.h"
#include "bench/stores/process_contender.h"

namespace rkvs::bench {
namespace {

std::unique_ptr<Contender> make_rust(const std::string& program, std::string title, uint32_t shards,
                                     const Workload& workload, std::string& reason) {
  const std::string path = std::string(RKVS_BENCH_RUST_DIRECTORY) + "/release/" + program;
  if (!std::ifstream(path)) {
    // Written by build_rust_peers.cmake.
    std::ifstream why(std::string(RKVS_BENCH_RUST_DIRECTORY) + "/reason.txt");
    if (!std::getline(why, reason)) reason = path + " has not been built";
    return nullptr;
  }
  auto process = PeerProcess::start(path, workload.directory);
  if (process == nullptr) {
    reason = path + " cannot be started";
    return nullptr;
  }
  return std::make_unique<ProcessContender>(std::move(title), workload, shards, std::move(process));
}

}  // namespace

std::unique_ptr<Contender> make_contender(const std::string& name, const Workload& workload,
                                          std::string& reason) {
  if (name == "rkvs") return make_rkvs(workload);
  if (name == "absl") return make_absl(workload);
  if (name == "std") return make_std(workload);
  if (name == "boost" || name == "boost_one_call") {
#ifdef RKVS_BENCH_HAVE_BOOST_MAP
    return name == "boost" ? make_boost(workload) : make_boost_one_call(workload);
#else
    reason = "there is no Boost >= 1.83: set RKVS_BENCH_BOOST_ROOT, or see bench/peers";
    return nullptr;
#endif
  }
  if (name == "tbb") {
#ifdef RKVS_BENCH_HAVE_TBB
    return make_tbb(workload);
#else
    reason = "there is no oneTBB (libtbb-dev)";
    return nullptr;
#endif
  }
  if (name == "lmdb") {
#ifdef RKVS_BENCH_HAVE_LMDB
    return make_lmdb(workload);
#else
    reason = "there is no LMDB (liblmdb-dev)";
    return nullptr;
#endif
  }
  if (name == "redis") {
#ifdef RKVS_BENCH_HAVE_REDIS
    auto contender = make_redis(workload);
    if (contender == nullptr) reason = "redis-server cannot be started";
    return contender;
#else
    reason = "there is no redis-server, or no hiredis (libhiredis-dev)";
    return nullptr;
#endif
  }
  if (name == "rkvs_rs") {
    return make_rust("rkvs_rs", "rkvs-rs", workload.shards, workload, reason);
  }
  if (name == "rkvs_rs_4") return make_rust("rkvs_rs", "rkvs-rs, 4 shards", 4, workload, reason);
  if (name == "rkvs_rs_16") return make_rust("rkvs_rs", "rkvs-rs, 16 shards", 16, workload, reason);
  if (name == "dashmap") return make_rust("dashmap", "dashmap", 0, workload, reason);
  reason = "there is no store of this name";
  return nullptr;
}

std::string peer_of(const std::string& name) {
  for (const char* peer : {"rkvs_rs", "boost"}) {
    if (name.rfind(peer, 0) == 0) return peer;
  }
  return name;
}

FillCosts measure_fill(const std::string& name, size_t keys, size_t value_size,
                       std::string& reason) {
  if (name == "rkvs") return rkvs_fill(keys, value_size);
  if (name == "absl") return absl_fill(keys, value_size);
  if (name == "std") return std_fill(keys, value_size);
#ifdef RKVS_BENCH_HAVE_BOOST_MAP
  if (name == "boost") return boost_fill(keys, value_size);
#endif
#ifdef RKVS_BENCH_HAVE_TBB
  if (name == "tbb") return tbb_fill(keys, value_size);
#endif
  const Workload none(0, value_size);
  const auto contender = make_contender(name, none, reason);
  auto* const process = dynamic_cast<ProcessContender*>(contender.get());
  if (process == nullptr) {
    if (reason.empty()) reason = "its memory is not that of a process of its own";
    return {};
  }
  const std::string shards = name == "rkvs_rs_16" ? "16" : "4";
  return {.bytes = process->tell("memory " + std::to_string(keys) + " " +
                                 std::to_string(value_size) + " " + shards)};
}

}  // namespace rkvs::bench
