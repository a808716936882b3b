// What the features beyond the plain store cost, and how expiries go.
//
//   features_bench [KEYS] [ROUNDS]      default: 1000000 7
//
// Ratios to the same operation on a plain namespace, medians over the rounds, both sides in turns:
// get and put with detailed metrics on, with max_bytes set, and of entries that expire. Then: KEYS
// entries expire within one second, while one thread writes other keys and an idle one reads the
// clock; printed are the longest waits of both. Last: bytes accounted for over bytes that the
// allocator gave, for three sizes of values. Keys have 14 bytes, values 100.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "bench/measure.h"
#include "bench/workload.h"
#include "rkvs/all.h"

namespace rkvs::bench {
namespace {

using namespace std::chrono_literals;  // NOLINT

void check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.to_string().c_str());
  std::exit(1);
}

template <typename Operation>
double ns_per_call(const std::vector<std::string>& keys, size_t begin, Operation operation) {
  constexpr size_t kCalls = 100'000;
  const auto started = Clock::now();
  for (size_t i = 0; i < kCalls; ++i) operation(keys[(begin + i * 7919) % keys.size()]);
  return std::chrono::duration<double, std::nano>(Clock::now() - started).count() / kCalls;
}

void print_costs(const std::vector<std::string>& keys, size_t rounds) {
  const std::string value(100, 'v');
  StorageManager plain_manager;
  StorageManager measured_manager({.detailed_metrics = true});
  check(plain_manager.initialize());
  check(measured_manager.initialize());
  struct Side {
    const char* name;
    Namespace ns;
    WriteOptions options;
  };
  std::vector<Side> sides;
  sides.push_back({"plain", *plain_manager.create_namespace("plain"), {}});
  sides.push_back({"detailed metrics", *measured_manager.create_namespace("measured"), {}});
  NamespaceConfig limited;
  limited.max_bytes = uint64_t{1} << 40;
  limited.max_keys = uint64_t{1} << 40;
  sides.push_back(
      {"max_keys and max_bytes", *plain_manager.create_namespace("limited", limited), {}});
  sides.push_back(
      {"entries that expire", *plain_manager.create_namespace("expiring"), {.expire_after = 1h}});
  for (Side& side : sides) {
    for (const std::string& key : keys) check(side.ns.put(key, value, side.options));
  }
  std::vector<std::vector<double>> gets(sides.size());
  std::vector<std::vector<double>> puts(sides.size());
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < sides.size(); ++i) {
      Side& side = sides[i];
      gets[i].push_back(ns_per_call(
          keys, round * 1000, [&](const std::string& key) { check(side.ns.get(key).status()); }));
      puts[i].push_back(ns_per_call(keys, round * 1000, [&](const std::string& key) {
        check(side.options.expire_after ? side.ns.put(key, value, side.options)
                                        : side.ns.put(key, value));
      }));
    }
  }
  std::printf("%-26s %8s %8s   (ratios to plain)\n", "", "get", "put");
  for (size_t i = 0; i < sides.size(); ++i) {
    std::printf("%-26s %8.2f %8.2f\n", sides[i].name, median(gets[i]) / median(gets[0]),
                median(puts[i]) / median(puts[0]));
  }
}

struct Waits {
  std::vector<double> us;
  void print(const char* name) {
    std::sort(us.begin(), us.end());
    const auto at = [&](double q) { return us[static_cast<size_t>(q * (us.size() - 1))]; };
    std::printf("%-26s %10.1f %10.1f %10.1f %10.1f us  (%zu calls)\n", name, at(0.5), at(0.99),
                at(0.999), us.back(), us.size());
  }
};

void print_expiry(const std::vector<std::string>& keys) {
  const std::string value(100, 'v');
  StorageManager manager;
  check(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  const auto due =
      std::chrono::system_clock::now() + 1s + std::chrono::microseconds(keys.size() * 2);
  for (size_t i = 0; i < keys.size(); ++i) {
    check(ns.put(keys[i], value, {.expire_at = due + std::chrono::milliseconds(i % 1000)}));
  }
  std::atomic<bool> stop{false};
  Waits idle;
  idle.us.reserve(20'000'000);
  std::thread control([&] {
    auto last = Clock::now();
    while (!stop && idle.us.size() < 20'000'000) {
      const auto now = Clock::now();
      idle.us.push_back(std::chrono::duration<double, std::micro>(now - last).count());
      last = now;
    }
  });
  Waits writes;
  writes.us.reserve(10'000'000);
  const auto end = due + 1500ms;
  for (size_t i = 0; std::chrono::system_clock::now() < end; ++i) {
    const std::string key = "other " + std::to_string(i % 10000);
    const auto started = Clock::now();
    check(ns.put(key, value));
    const auto ended = Clock::now();
    writes.us.push_back(std::chrono::duration<double, std::micro>(ended - started).count());
  }
  stop = true;
  control.join();
  std::printf("\n%zu entries expire within a second%10s %10s %10s %10s\n", keys.size(), "p50",
              "p99", "p99.9", "longest");
  writes.print("writes of other keys");
  idle.print("idle thread");
  std::printf("reclaimed: %llu\n", static_cast<unsigned long long>(ns.metadata()->expired));
}

void print_accounting(const std::vector<std::string>& keys) {
  std::printf("\nbytes accounted for / bytes that the allocator gave\n");
  for (const size_t size : {16, 100, 1000}) {
    const size_t before = internal::Arena::stats().bytes_in_use;
    StorageManager manager;
    check(manager.initialize());
    Namespace ns = *manager.create_namespace("n");
    const std::string value(size, 'v');
    const size_t count = std::min<size_t>(keys.size(), 200'000'000 / (size + 100));
    for (size_t i = 0; i < count; ++i) check(ns.put(keys[i], value));
    const auto given = static_cast<double>(internal::Arena::stats().bytes_in_use - before);
    std::printf("%5zu B values: %.4f\n", size,
                static_cast<double>(ns.metadata()->memory_bytes) / given);
  }
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  const size_t rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 7;
  if (count == 0 || rounds == 0) {
    std::fprintf(stderr, "usage: features_bench [KEYS] [ROUNDS]\n");
    return 1;
  }
  const auto keys = rkvs::bench::make_keys(count);
  rkvs::bench::print_costs(keys, rounds);
  rkvs::bench::print_expiry(keys);
  rkvs::bench::print_accounting(keys);
}
