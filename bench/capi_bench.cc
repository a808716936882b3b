// What does the C API cost over the C++ API: of a get, a put, an asynchronous get that is done
// inline, one that goes through a completion queue, and one that calls back?
//
// The C functions come from the shared library, as programs have them. All ways take turns in small
// slices over the same keys, so that what else the machine does meets all of them; shown are the
// medians of the slices, in nanoseconds a call, and the median of the differences to C++.
//
//   capi_bench <librkvs.so>            writes <build>/capi_bench.json as well
#include <dlfcn.h>
#include <rkvs/all.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "capi/rkvs.h"

namespace {

constexpr int kKeys = 10'000;
constexpr int kSlice = 20'000;  // calls
constexpr int kRounds = 200;

template <typename Function>
Function* symbol(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (found == nullptr) {
    std::fprintf(stderr, "%s: %s\n", name, dlerror());
    std::exit(1);
  }
  return reinterpret_cast<Function*>(found);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

std::string key_of(int i) {
  std::string key = "key" + std::to_string(i);
  key.resize(14, '.');
  return key;
}

}  // namespace

#define RKVS_SYMBOL(name) auto* const name = symbol<decltype(::name)>(library, #name)

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: capi_bench <librkvs.so>\n");
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  RKVS_SYMBOL(rkvs_manager_open);
  RKVS_SYMBOL(rkvs_manager_initialize);
  RKVS_SYMBOL(rkvs_manager_create_namespace);
  RKVS_SYMBOL(rkvs_manager_close);
  RKVS_SYMBOL(rkvs_namespace_put);
  RKVS_SYMBOL(rkvs_namespace_get);
  RKVS_SYMBOL(rkvs_namespace_get_into);
  RKVS_SYMBOL(rkvs_namespace_get_async);
  RKVS_SYMBOL(rkvs_value_release);
  RKVS_SYMBOL(rkvs_completion_clear);
  RKVS_SYMBOL(rkvs_queue_create);
  RKVS_SYMBOL(rkvs_queue_poll);

  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back(key_of(i));
  const std::string value(100, 'v');

  rkvs::StorageManager manager;
  if (!manager.initialize().ok()) return 1;
  rkvs::Namespace ns = *manager.create_namespace("users");
  rkvs_manager* c_manager = nullptr;
  rkvs_namespace* c_ns = nullptr;
  rkvs_queue* queue = nullptr;
  if (rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &c_manager, nullptr) != 0) return 1;
  if (rkvs_manager_initialize(c_manager, nullptr) != 0) return 1;
  if (rkvs_manager_create_namespace(c_manager, "users", nullptr, &c_ns, nullptr) != 0) return 1;
  if (rkvs_queue_create(&queue, nullptr) != 0) return 1;
  for (const std::string& key : keys) {
    if (!ns.put(key, value).ok()) return 1;
    (void)rkvs_namespace_put(c_ns, key.data(), key.size(), value.data(), value.size(), nullptr,
                             nullptr);
  }

  uint64_t found = 0;
  std::atomic<uint64_t> called{0};
  struct Way {
    const char* name;
    const char* against;
    int calls;
    std::function<void(int)> run;  // of so many calls
    std::vector<double> times{};
  };
  rkvs_async how = {};
  how.struct_size = sizeof how;
  how.queue = queue;
  rkvs_async inline_how = how;
  inline_how.flags = RKVS_ALLOW_INLINE;
  rkvs_async calling = {};
  calling.struct_size = sizeof calling;
  calling.user = &called;
  calling.callback = [](void* user, const rkvs_completion*) {
    static_cast<std::atomic<uint64_t>*>(user)->fetch_add(1, std::memory_order_release);
  };
  rkvs_completion completions[32];

  std::vector<Way> ways;
  ways.push_back({"C++ get", "C++ get", kSlice, [&](int calls) {
                    for (int i = 0; i < calls; ++i) found += ns.get(keys[i % kKeys])->size();
                  }});
  ways.push_back({"C get and release", "C++ get", kSlice, [&](int calls) {
                    for (int i = 0; i < calls; ++i) {
                      const std::string& key = keys[i % kKeys];
                      rkvs_value* got = nullptr;
                      found += rkvs_namespace_get(c_ns, key.data(), key.size(), &got, nullptr);
                      rkvs_value_release(got);
                    }
                  }});
  ways.push_back({"C get into a buffer", "C++ get", kSlice, [&](int calls) {
                    char buffer[128];
                    for (int i = 0; i < calls; ++i) {
                      const std::string& key = keys[i % kKeys];
                      size_t size = 0;
                      found += rkvs_namespace_get_into(c_ns, key.data(), key.size(), buffer,
                                                       sizeof buffer, &size, nullptr);
                    }
                  }});
  ways.push_back({"C async get, inline", "C get and release", kSlice, [&](int calls) {
                    for (int i = 0; i < calls; ++i) {
                      const std::string& key = keys[i % kKeys];
                      rkvs_completion out;
                      found += rkvs_namespace_get_async(c_ns, key.data(), key.size(), &inline_how,
                                                        &out, nullptr, nullptr);
                      rkvs_completion_clear(&out);
                    }
                  }});
  ways.push_back(
      {"C async get, queue, one by one", "C get and release", kSlice / 10, [&](int calls) {
         for (int i = 0; i < calls; ++i) {
           const std::string& key = keys[i % kKeys];
           rkvs_completion out;
           size_t count = 0;
           found += rkvs_namespace_get_async(c_ns, key.data(), key.size(), &how, nullptr, nullptr,
                                             nullptr);
           while (count == 0) (void)rkvs_queue_poll(queue, &out, 1, &count, nullptr);
           rkvs_completion_clear(&out);
         }
       }});
  ways.push_back(
      {"C async get, queue, 32 at a time", "C get and release", kSlice / 10, [&](int calls) {
         for (int i = 0; i < calls; i += 32) {
           for (int j = 0; j < 32; ++j) {
             const std::string& key = keys[(i + j) % kKeys];
             found += rkvs_namespace_get_async(c_ns, key.data(), key.size(), &how, nullptr, nullptr,
                                               nullptr);
           }
           size_t count = 0;
           (void)rkvs_queue_poll(queue, completions, 32, &count, nullptr);
           for (size_t j = 0; j < count; ++j) rkvs_completion_clear(&completions[j]);
         }
       }});
  ways.push_back({"C async get, callback", "C get and release", kSlice / 100, [&](int calls) {
                    for (int i = 0; i < calls; ++i) {
                      const std::string& key = keys[i % kKeys];
                      const uint64_t before = called.load(std::memory_order_relaxed);
                      (void)rkvs_namespace_get_async(c_ns, key.data(), key.size(), &calling,
                                                     nullptr, nullptr, nullptr);
                      while (called.load(std::memory_order_acquire) == before) {
                      }
                    }
                  }});
  ways.push_back({"C++ put", "C++ put", kSlice, [&](int calls) {
                    for (int i = 0; i < calls; ++i) found += ns.put(keys[i % kKeys], value).ok();
                  }});
  ways.push_back({"C put", "C++ put", kSlice, [&](int calls) {
                    for (int i = 0; i < calls; ++i) {
                      const std::string& key = keys[i % kKeys];
                      found += rkvs_namespace_put(c_ns, key.data(), key.size(), value.data(),
                                                  value.size(), nullptr, nullptr);
                    }
                  }});

  for (int round = 0; round < kRounds; ++round) {
    for (Way& way : ways) {
      const auto begin = std::chrono::steady_clock::now();
      way.run(way.calls);
      const std::chrono::duration<double, std::nano> taken =
          std::chrono::steady_clock::now() - begin;
      way.times.push_back(taken.count() / way.calls);
    }
  }
  rkvs::bench::Report report("capi_bench",
                             rkvs::bench::Options(0, nullptr,
                                                  {{"keys", std::to_string(kKeys)},
                                                   {"rounds", std::to_string(kRounds)},
                                                   {"json", RKVS_BENCH_JSON}}));
  std::printf("%-34s %8s   %s\n", "ns a call", "median", "more than");
  for (const Way& way : ways) {
    const auto against = std::find_if(ways.begin(), ways.end(), [&](const Way& other) {
      return std::string(other.name) == way.against;
    });
    std::vector<double> differences;
    for (int round = 0; round < kRounds; ++round) {
      differences.push_back(way.times[round] - against->times[round]);
    }
    std::printf("%-34s %8.1f   %s by %.1f\n", way.name, median(way.times), way.against,
                median(differences));
    report.row({{"operation", way.name},
                {"ns", median(way.times)},
                {"against", way.against},
                {"beyond_ns", median(differences)}});
  }
  report.write();
  (void)rkvs_manager_close(c_manager, nullptr);
  return found == 0 ? 1 : 0;
}
