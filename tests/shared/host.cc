// A program that uses Abseil itself, the system's, beside librkvs.so.1, which has its own. Both
// work at the same time; who calls whose functions is for the dynamic linker to tell
// (CheckBindings.cmake).

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <rkvs.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 3;
constexpr int kKeysPerThread = 2000;

class Copy {
 public:
  void put(const std::string& key, const std::string& value) {
    absl::MutexLock lock(&mutex_);
    map_[key] = value;
  }
  std::string get(const std::string& key) {
    absl::ReaderMutexLock lock(&mutex_);
    auto found = map_.find(key);
    return found == map_.end() ? "nothing" : found->second;
  }
  size_t size() {
    absl::ReaderMutexLock lock(&mutex_);
    return map_.size();
  }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::string> map_;
};

int fail(const char* what) {
  std::fprintf(stderr, "host: %s\n", what);
  return 1;
}

// Each key goes into both, and both have to say the same.
int write_and_compare(rkvs_namespace* ns, Copy& copy, int thread) {
  for (int i = 0; i < kKeysPerThread; ++i) {
    const std::string key = absl::StrCat("thread ", thread, " key ", i);
    const std::string value = absl::StrCat("value ", i * 7);
    copy.put(key, value);
    if (rkvs_namespace_put(ns, key.data(), key.size(), value.data(), value.size(), nullptr,
                           nullptr) != RKVS_OK) {
      return fail("put");
    }
    rkvs_value* read = nullptr;
    if (rkvs_namespace_get(ns, key.data(), key.size(), &read, nullptr) != RKVS_OK) {
      return fail("get");
    }
    const bool same = copy.get(key) == std::string(static_cast<const char*>(rkvs_value_data(read)),
                                                   rkvs_value_size(read));
    rkvs_value_release(read);
    if (!same) return fail("the two differ");
  }
  return 0;
}

}  // namespace

int main() {
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  if (rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr) != RKVS_OK ||
      rkvs_manager_initialize(manager, nullptr) != RKVS_OK ||
      rkvs_manager_create_namespace(manager, "n", nullptr, &ns, nullptr) != RKVS_OK) {
    return fail("open");
  }

  Copy copy;
  int failures[kThreads] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] { failures[t] = write_and_compare(ns, copy, t); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int failed : failures) {
    if (failed != 0) return 1;
  }

  uint64_t keys = 0;
  if (rkvs_manager_total_key_count(manager, &keys, nullptr) != RKVS_OK || keys != copy.size() ||
      keys != uint64_t{kThreads} * kKeysPerThread) {
    return fail("keys are missing");
  }
  rkvs_namespace_release(ns);
  rkvs_manager_release(manager);
  std::puts("both have every key");
  return 0;
}
