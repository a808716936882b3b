// Builds of the library against each other: what steps.py runs.
//
//   steps_bench --libraries=NAME=FILE[,NAME=FILE...] [--keys=1e6] [--calls=20000] [--rounds=3]
//               [--segments=5] [--load=] [--json=FILE]
//
// Loads each librkvs.so, lets all take turns at the same work in segments of so many calls, and
// prints nanoseconds a call and the ratios to the first one. Through the C API: keys of 14 bytes,
// where nothing else is said, in random order, values of 100 bytes, rkvs at its defaults where
// nothing else is said. Batches have 100 items and are all or nothing; their figures are an item's.
// Of two threads, wall clock by the calls of both. --load=DIRECTORY: only how long a load of a
// snapshot takes, a key.
#include <dlfcn.h>
#include <rkvs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "bench/report.h"
#include "bench/workload.h"

namespace rkvs::bench {
namespace {

const std::string kValue(100, 'v');
constexpr uint64_t kFarAway = uint64_t{1} << 40;
constexpr size_t kBatch = 100;
constexpr const char* kSnapshot = "steps.rkvs";

void check(rkvs_status status, rkvs_status wanted = RKVS_OK) {
  if (status != wanted) die("the C API said " + std::to_string(status));
}

// The functions of one file.
class Library {
 public:
  explicit Library(const std::string& file) : library_(dlopen(file.c_str(), RTLD_NOW)) {
    if (library_ == nullptr) die(dlerror());
  }

#define RKVS_FUNCTION(name) \
  const decltype(&::rkvs_##name) name = find<decltype(&::rkvs_##name)>("rkvs_" #name)

 private:
  template <typename Function>
  Function find(const char* name) const {
    void* const found = dlsym(library_, name);
    if (found == nullptr) die(dlerror());
    return reinterpret_cast<Function>(found);
  }
  void* const library_;

 public:
  RKVS_FUNCTION(manager_open);
  RKVS_FUNCTION(manager_initialize);
  RKVS_FUNCTION(manager_initialize_file);
  RKVS_FUNCTION(manager_create_namespace);
  RKVS_FUNCTION(manager_save_all);
  RKVS_FUNCTION(manager_release);
  RKVS_FUNCTION(namespace_release);
  RKVS_FUNCTION(namespace_get);
  RKVS_FUNCTION(namespace_set);
  RKVS_FUNCTION(namespace_put);
  RKVS_FUNCTION(namespace_delete_key);
  RKVS_FUNCTION(namespace_get_multiple);
  RKVS_FUNCTION(namespace_set_multiple);
  RKVS_FUNCTION(namespace_delete_multiple);
  RKVS_FUNCTION(namespace_consume_multiple);
  RKVS_FUNCTION(namespace_metadata);
  RKVS_FUNCTION(batch_result_release);
  RKVS_FUNCTION(value_release);
#undef RKVS_FUNCTION

  rkvs_manager* open(const std::string& directory) const {
    rkvs_manager_options options = {};
    options.struct_size = sizeof options;
    options.directory = directory.c_str();
    rkvs_manager* manager = nullptr;
    check(manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr));
    check(directory.empty() ? manager_initialize(manager, nullptr)
                            : manager_initialize_file(manager, kSnapshot, nullptr, nullptr));
    return manager;
  }
};

// A namespace of one of them.
class Store {
 public:
  Store(const Library& library, const rkvs_namespace_config& config,
        const std::vector<std::string>& keys, const std::string& directory = "")
      : library_(library), manager_(library.open(directory)) {
    check(library_.manager_create_namespace(manager_, "bench", &config, &ns_, nullptr));
    for (const uint32_t i : random_order(keys.size(), 1)) put(keys[i]);
  }
  ~Store() {
    library_.namespace_release(ns_);
    library_.manager_release(manager_);
  }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  void get(const std::string& key, rkvs_status wanted = RKVS_OK) {
    rkvs_value* value = nullptr;
    check(library_.namespace_get(ns_, key.data(), key.size(), &value, nullptr), wanted);
    if (value != nullptr) library_.value_release(value);
  }
  void set(const std::string& key) {
    rkvs_value* old = nullptr;
    check(library_.namespace_set(ns_, key.data(), key.size(), kValue.data(), kValue.size(), nullptr,
                                 &old, nullptr));
    library_.value_release(old);
  }
  void put(const std::string& key) {
    check(library_.namespace_put(ns_, key.data(), key.size(), kValue.data(), kValue.size(), nullptr,
                                 nullptr));
  }
  void erase(const std::string& key) {
    check(library_.namespace_delete_key(ns_, key.data(), key.size(), nullptr));
  }

  using Slices = std::vector<rkvs_slice>;
  void get(const Slices& keys) { done(library_.namespace_get_multiple, keys); }
  void erase(const Slices& keys) { done(library_.namespace_delete_multiple, keys); }
  void consume(const Slices& keys) { done(library_.namespace_consume_multiple, keys); }
  void set(const Slices& keys) {
    static const Slices values(kBatch, {kValue.data(), kValue.size()});
    rkvs_batch_result* result = nullptr;
    check(library_.namespace_set_multiple(ns_, keys.data(), values.data(), keys.size(),
                                          RKVS_ALL_OR_NOTHING, nullptr, &result, nullptr));
    library_.batch_result_release(result);
  }

  double memory() {
    rkvs_namespace_stats stats = {};
    stats.struct_size = sizeof stats;
    check(library_.namespace_metadata(ns_, &stats, nullptr));
    return static_cast<double>(stats.memory_bytes);
  }
  void save() { check(library_.manager_save_all(manager_, kSnapshot, nullptr, nullptr)); }

 private:
  template <typename Function>
  void done(Function* function, const Slices& keys) {
    rkvs_batch_result* result = nullptr;
    check(function(ns_, keys.data(), keys.size(), RKVS_ALL_OR_NOTHING, &result, nullptr));
    library_.batch_result_release(result);
  }

  const Library& library_;
  rkvs_manager* const manager_;
  rkvs_namespace* ns_ = nullptr;
};

class Steps {
 public:
  Steps(const Options& options, Report& report)
      : report_(report),
        calls_(std::max<size_t>(2 * kBatch, options.number("calls"))),
        rounds_(options.number("rounds")),
        segments_(options.number("segments")),
        keys_(make_keys(std::max<size_t>(2 * kBatch, options.number("keys")))),
        absent_(make_keys(keys_.size(), "no__")),
        order_(random_order(keys_.size(), 2)) {
    for (const std::string& word : options.list("libraries")) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) die(word + ": not NAME=FILE");
      names_.push_back(word.substr(0, equals));
      libraries_.push_back(std::make_unique<Library>(word.substr(equals + 1)));
    }
    if (libraries_.empty()) die("no library");
  }

  void run() {
    const Call get = [&](Store& store, size_t i) { store.get(key(i)); };
    const Call put = [&](Store& store, size_t i) { store.put(key(i)); };
    const Call set = [&](Store& store, size_t i) { store.set(key(i)); };
    const Call erase = [&](Store& store, size_t i) { store.erase(key(i)); };
    open({}, keys_);
    memory();
    ask("get", get);
    ask("miss", [&](Store& store, size_t i) {
      store.get(absent_[order_[i % order_.size()]], RKVS_NOT_FOUND);
    });
    ask("put", put);
    ask("set", set);
    ask("insert", put, erase);
    ask("delete", erase, {}, put);
    ask_batch("batch get", [](Store& store, const auto& keys) { store.get(keys); });
    ask_batch("batch set", [](Store& store, const auto& keys) { store.set(keys); });
    ask_batch(
        "batch delete", [](Store& store, const auto& keys) { store.erase(keys); }, put);
    ask_batch(
        "batch consume", [](Store& store, const auto& keys) { store.consume(keys); }, put);
    ask_two("2 threads, get", get);
    ask_two("2 threads, put", put);
    ask_two("2 threads, insert", put, erase);

    rkvs_namespace_config config = {};
    config.max_keys = kFarAway;
    open(config, keys_);
    ask("insert, max_keys", put, erase);
    ask_two("2 threads, insert, max_keys", put, erase);

    config = {};
    config.max_bytes = kFarAway;
    open(config, keys_);
    ask_batch("batch set, max_bytes", [](Store& store, const auto& keys) { store.set(keys); });

    config = {};
    config.shard_count = 1;
    open(config, keys_);
    ask_two("2 threads, 1 shard, set", set);

    std::vector<std::string> long_keys = keys_;
    for (std::string& one : long_keys) one.insert(0, 100 - one.size(), 'k');
    open({}, long_keys);
    ask("get, keys of 100 B",
        [&](Store& store, size_t i) { store.get(long_keys[order_[i % order_.size()]]); });
    stores_.clear();
  }

  // By a process that ends: none of those that load shall have had the memory already. Before any
  // library is used here.
  void save(const std::string& directory) {
    const pid_t child = ::fork();
    if (child == 0) {
      rkvs_namespace_config config = {};
      config.struct_size = sizeof config;
      Store(*libraries_.front(), config, keys_, directory).save();
      ::_exit(0);
    }
    int status = 1;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) die("cannot save");
  }

  void load(const std::string& directory) {
    std::vector<Candidate> candidates;
    for (size_t s = 0; s < libraries_.size(); ++s) {
      candidates.push_back({names_[s], [&, s](size_t) {
                              const auto start = Clock::now();
                              rkvs_manager* const manager = libraries_[s]->open(directory);
                              const double took = seconds_since(start);
                              libraries_[s]->manager_release(manager);
                              return took;
                            }});
    }
    tell("load", candidates, take_turns(candidates, rounds_, 1), keys_.size());
  }

 private:
  using Call = std::function<void(Store& store, size_t number)>;
  using BatchCall = std::function<void(Store& store, const Store::Slices& keys)>;

  const std::string& key(size_t i) const { return keys_[order_[i % keys_.size()]]; }

  // A store of each library, which holds these keys.
  void open(rkvs_namespace_config config, const std::vector<std::string>& keys) {
    config.struct_size = sizeof config;
    stores_.clear();
    for (const auto& library : libraries_) {
      stores_.push_back(std::make_unique<Store>(*library, config, keys));
    }
    // Meanwhile the arenas make huge pages of their regions, one in 10 ms.
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }

  void tell(const std::string& question, const std::vector<Candidate>& candidates,
            const std::vector<std::vector<double>>& rounds, size_t operations) {
    report_.ratios(question, candidates, rounds, operations, 0, {{"keys", keys_.size()}});
  }
  void memory() {
    std::vector<Candidate> candidates;
    for (size_t s = 0; s < stores_.size(); ++s) {
      candidates.push_back({names_[s], [this, s](size_t) { return stores_[s]->memory() * 1e-9; }});
    }
    tell("bytes a key", candidates, take_turns(candidates, 1, 1), keys_.size());
  }

  // `before` and `after` calls, with the same numbers, are not timed.
  void ask(const std::string& question, const Call& call, const Call& before = {},
           const Call& after = {}) {
    take_turns_at(question, [&](Store& store, size_t first) {
      return in_passes(first, [&](size_t from, size_t count) {
        const auto all = [&](const Call& one) {
          for (size_t i = from; one && i < from + count; ++i) one(store, i);
        };
        all(before);
        const auto start = Clock::now();
        all(call);
        const double took = seconds_since(start);
        all(after);
        return took;
      });
    });
  }
  void ask_batch(const std::string& question, const BatchCall& call, const Call& after = {}) {
    Store::Slices slices(kBatch);
    take_turns_at(question, [&](Store& store, size_t first) {
      return in_passes(first, [&](size_t from, size_t count) {
        double seconds = 0;
        for (size_t batch = from; batch < from + count; batch += kBatch) {
          for (size_t i = 0; i < kBatch; ++i) {
            slices[i] = {key(batch + i).data(), key(batch + i).size()};
          }
          const auto start = Clock::now();
          call(store, slices);
          seconds += seconds_since(start);
          for (size_t i = batch; after && i < batch + kBatch; ++i) after(store, i);
        }
        return seconds;
      });
    });
  }
  // Two threads, each with half of the calls.
  void ask_two(const std::string& question, const Call& call, const Call& before = {}) {
    take_turns_at(question, [&](Store& store, size_t first) {
      std::atomic<int> arrived{0};
      const auto meet = [&](int number) {
        for (++arrived; arrived < 2 * number;) std::this_thread::yield();
      };
      using Times = std::vector<std::pair<Clock::time_point, Clock::time_point>>;
      const auto half = [&](size_t side, Times& times) {
        // What a thread's first calls alone have to do.
        for (size_t i = 0; i < 16; ++i) store.get(absent_[i], RKVS_NOT_FOUND);
        int meeting = 0;
        in_passes(first, [&](size_t from, size_t count) {
          from += side * (count / 2);
          for (size_t i = from; before && i < from + count / 2; ++i) before(store, i);
          meet(++meeting);
          const auto start = Clock::now();
          for (size_t i = from; i < from + count / 2; ++i) call(store, i);
          times.emplace_back(start, Clock::now());
          meet(++meeting);
          return 0.0;
        });
      };
      Times times, others;
      std::thread other([&] { half(1, others); });
      half(0, times);
      other.join();
      double seconds = 0;
      for (size_t i = 0; i < times.size(); ++i) {
        seconds += std::chrono::duration<double>(std::max(times[i].second, others[i].second) -
                                                 std::min(times[i].first, others[i].first))
                       .count();
      }
      return seconds;
    });
  }

  // Where a segment has more calls than there are keys, in passes: a key is deleted but once.
  template <typename Pass>  // double(size_t first, size_t count)
  double in_passes(size_t first, Pass pass) const {
    double seconds = 0;
    for (size_t i = 0; i < passes(); ++i) seconds += pass(first + i * pass_calls(), pass_calls());
    return seconds;
  }
  // A multiple of what two threads need for batches.
  size_t pass_calls() const { return std::min(calls_, keys_.size()) / (2 * kBatch) * 2 * kBatch; }
  size_t passes() const { return calls_ / pass_calls(); }

  template <typename Work>  // double(Store&, size_t first)
  void take_turns_at(const std::string& question, const Work& work) {
    const size_t calls = passes() * pass_calls();
    std::vector<Candidate> candidates;
    for (size_t s = 0; s < stores_.size(); ++s) {
      candidates.push_back({names_[s], [=, this, &work](size_t segment) {
                              return work(*stores_[s], segment * calls);
                            }});
    }
    tell(question, candidates, take_turns(candidates, rounds_, segments_), segments_ * calls);
  }

  Report& report_;
  const size_t calls_;
  const size_t rounds_;
  const size_t segments_;
  const std::vector<std::string> keys_;
  const std::vector<std::string> absent_;
  const std::vector<uint32_t> order_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Library>> libraries_;
  std::vector<std::unique_ptr<Store>> stores_;
};

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"libraries", ""},
                         {"keys", "1e6"},
                         {"calls", "20000"},
                         {"rounds", "3"},
                         {"segments", "5"},
                         {"load", ""},
                         {"json", RKVS_BENCH_JSON}});
  Report report("steps_bench", options);
  Steps steps(options, report);
  if (const std::string& directory = options.text("load"); directory.empty()) {
    steps.run();
  } else {
    steps.save(directory);
    steps.load(directory);
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
