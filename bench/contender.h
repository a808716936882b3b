// A store that takes part in a comparison, whatever it is: a table in this process, a server, a
// program in Rust.
#ifndef RKVS_BENCH_CONTENDER_H_
#define RKVS_BENCH_CONTENDER_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/workload.h"

namespace rkvs::bench {

enum class Op {
  kGet,      // a handle to the value: nothing is copied where the store can do that
  kCopy,     // get, and copy the value out
  kMiss,     // get of a key that is absent
  kExists,   // whether a key is there, which it is
  kSet,      // another value for a key that is there, and the old one back
  kPut,      // the same without the old value
  kUpdate,   // the same as kSet by a call that refuses absent keys
  kInsert,   // keys that are absent
  kDelete,   // keys that are there
  kConsume,  // remove a key and have its value
};
inline constexpr std::array kAllOps = {Op::kGet,    Op::kCopy,   Op::kMiss,   Op::kExists,
                                       Op::kSet,    Op::kPut,    Op::kUpdate, Op::kInsert,
                                       Op::kDelete, Op::kConsume};
inline const char* name_of(Op op) {
  constexpr std::array kNames = {"get", "copy",   "miss",   "exists", "set",
                                 "put", "update", "insert", "delete", "consume"};
  return kNames[static_cast<size_t>(op)];
}

// Several threads that read and overwrite.
struct Mix {
  size_t threads = 2;
  unsigned read_percent = 80;
  bool zipf = false;            // which keys; else all the same
  size_t operations = 100'000;  // of each thread
  size_t seed = 0;
};

struct Batch {
  Op op = Op::kGet;  // get, set, delete or consume
  size_t size = 100;
  bool all_or_nothing = true;
};

// Several threads that do batches, each with keys of its own.
struct BatchMix {
  Batch batch{};
  size_t threads = 8;
  size_t operations = 10'000;  // keys of each thread
};

// Calls that begin when they should, whether or not the one before has ended in time: what a call
// waits for earlier ones is part of its latency, as it would be for a client.
struct Schedule {
  Op op = Op::kGet;  // get, put or insert (of keys that are in no workload)
  size_t batch = 0;  // gets or sets in batches of so many
  double per_second = 100'000;
  double seconds = 1;
};

// Threads that read and overwrite for a while, every call timed.
struct Stress {
  size_t threads = 2;
  unsigned read_percent = 50;
  double seconds = 1;
};
struct StressResult {
  double seconds = 0;
  std::vector<size_t> calls;  // of each thread
  std::vector<double> reads;  // nanoseconds
  std::vector<double> writes;
};

// Inserts into an empty store, as fast as it can, every call timed.
struct Growth {
  std::vector<double> ns;
  double worst_not_preempted = 0;  // of calls around which the system ran nothing else instead
};

// A mix of YCSB (B. Cooper et al., "Benchmarking cloud serving systems with YCSB", SoCC 2010).
struct Ycsb {
  char letter = 'A';
  size_t threads = 2;
  size_t operations = 100'000;  // of each thread
  size_t seed = 0;
};

class Contender {
 public:
  explicit Contender(std::string name, const Workload& workload)
      : name_(std::move(name)), workload_(workload) {}
  virtual ~Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  const std::string& name() const { return name_; }

  // Stores every key, in a random order.
  virtual void fill() = 0;
  // Whether it has this operation, several threads, several threads with batches.
  virtual bool has(Op) const { return true; }
  virtual bool has_threads() const { return true; }
  virtual bool has_batch_mix() const { return has_threads(); }

  // Each: nanoseconds an operation, over about `count` of them, beginning with the `first` place in
  // the order. Those that change which keys there are put things back afterwards, unmeasured. With
  // `samples`, each call (of mixes: each 16th) is timed by itself and its nanoseconds are added;
  // where calls go in pipelines, each pipeline.
  virtual double run(Op op, size_t first, size_t count, std::vector<double>* samples) = 0;
  virtual double batch(const Batch& batch, size_t first, size_t count,
                       std::vector<double>* samples) = 0;
  // Nanoseconds of wall clock an operation of all threads together.
  virtual double mix(const Mix& mix, std::vector<double>* samples) = 0;
  // Nanoseconds of wall clock an item of all threads together. Every other batch of a delete or
  // consume is a set that puts back what the one before removed, and counts as well.
  virtual double batch_mix(const BatchMix& mix, std::vector<double>* samples) = 0;

  // These are for stores in this process; the others give nothing.
  virtual bool is_in_process() const { return false; }
  // Nanoseconds from when each call should have begun to its end.
  virtual std::vector<double> scheduled(const Schedule&) { return {}; }
  virtual StressResult stress(const Stress&) { return {}; }
  // Of a fresh store, which goes afterwards.
  virtual Growth grow(size_t) { return {}; }
  virtual bool has_ycsb(char) const { return false; }
  // Nanoseconds of wall clock an operation of all threads together; samples of each 16th call.
  virtual double ycsb(const Ycsb&, std::vector<double>*) { return 0; }

 protected:
  const Workload& workload() const { return workload_; }

 private:
  const std::string name_;
  const Workload& workload_;
};

// Short names: rkvs, absl, std, boost, boost_one_call (overwrites and inserts alone), tbb, lmdb,
// redis, rkvs_rs_4, rkvs_rs_16, dashmap. nullptr and a reason where the one asked for is not there.
std::unique_ptr<Contender> make_contender(const std::string& name, const Workload& workload,
                                          std::string& reason);

// The peer that a contender is a form of, by which it is known in targets: rkvs_rs of rkvs_rs_4.
std::string peer_of(const std::string& name);

// What filling a fresh store took, in this process.
struct FillCosts {
  double bytes = -1;     // that resident memory grew by; negative where there is no such store
  double insert_ns = 0;  // a key
  double get_ns = 0;     // of keys afterwards, in a random order
};

// With `keys` keys of make_keys(), made on the way, and values of `value_size` bytes. For one call
// a process, since memory is not given back; and only for stores whose memory is that of a process.
FillCosts measure_fill(const std::string& name, size_t keys, size_t value_size,
                       std::string& reason);

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_CONTENDER_H_
