// What the features beyond the plain store cost, and how expiries go.
//
//   features_bench [KEYS] [ROUNDS]      default: 1000000 7
//
// Ratios to the same operation on a plain namespace, medians over the rounds, both sides in turns:
// get and put with detailed metrics on, with max_bytes set, and of entries that expire. Then: KEYS
// entries expire within one second, while one thread writes other keys: with an idle one beside it
// that reads the clock, and alone; printed are the waits of both, by the clock and by their own
// time on a processor. Last: bytes accounted for over bytes that the allocator gave, for three
// sizes of values. Keys have 14 bytes, values 100.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
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

// How long each of many calls took, or each look at the clock: by the clock, and by what the thread
// itself ran meanwhile. What is long by the first alone was the scheduler's, or another thread's.
class Waits {
 public:
  static constexpr double kLongUs = 1000;

  explicit Waits(size_t kept) { us_.reserve(kept); }

  template <typename Call>
  void measure(Call call) {
    const double cpu = thread_us();
    const auto started = Clock::now();
    call();
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    const double own = thread_us() - cpu;
    ++calls_;
    if (us_.size() < us_.capacity()) us_.push_back(static_cast<float>(us));
    longest_ = std::max(longest_, us);
    longest_own_ = std::max(longest_own_, own);
    if (us > kLongUs) ++long_;
    if (own > kLongUs) ++long_own_;
  }
  void print(const char* name) {
    std::sort(us_.begin(), us_.end());
    const auto at = [&](double q) {
      return us_.empty() ? 0.0 : us_[static_cast<size_t>(q * static_cast<double>(us_.size() - 1))];
    };
    std::printf("%-22s %8.1f %8.1f %8.1f %10.1f %8zu %14.1f %8zu  (%zu calls)\n", name, at(0.5),
                at(0.99), at(0.999), longest_, long_, longest_own_, long_own_, calls_);
  }
  static void print_heading() {
    std::printf("%-22s %8s %8s %8s %10s %8s %14s %8s\n", "us", "p50", "p99", "p99.9", "longest",
                "> 1 ms", "longest by CPU", "> 1 ms");
  }

 private:
  static double thread_us() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
  }

  std::vector<float> us_;
  size_t calls_ = 0;
  double longest_ = 0;
  double longest_own_ = 0;
  size_t long_ = 0;
  size_t long_own_ = 0;
};

// `idle_beside`: whether another thread looks at the clock all the time, and shows what the machine
// does to a thread that waits for nobody. It takes a core.
void print_expiry(const std::vector<std::string>& keys, bool idle_beside) {
  const std::string value(100, 'v');
  StorageManager manager;
  check(manager.initialize());
  Namespace ns = *manager.create_namespace("n", {.lock_timeout = kMaxLockTimeout});
  // Time enough to put them in, on a busy machine too.
  const auto due =
      std::chrono::system_clock::now() + 1s + std::chrono::microseconds(keys.size() * 8);
  for (size_t i = 0; i < keys.size(); ++i) {
    check(ns.put(keys[i], value, {.expire_at = due + std::chrono::milliseconds(i % 1000)}));
  }
  std::vector<std::string> others;
  for (size_t i = 0; i < 10000; ++i) others.push_back("other " + std::to_string(i));
  std::this_thread::sleep_until(due - 100ms);
  const auto end = due + 1500ms;
  Waits idle(2'000'000);
  std::atomic<bool> stop{!idle_beside};
  std::thread control([&] {
    while (!stop) {
      // About as long as a write.
      idle.measure([] {
        const auto until = Clock::now() + 500ns;
        while (Clock::now() < until) {
        }
      });
    }
  });
  Waits writes(10'000'000);
  for (size_t i = 0; std::chrono::system_clock::now() < end; ++i) {
    writes.measure([&] { check(ns.put(others[i % others.size()], value)); });
  }
  stop = true;
  control.join();
  std::printf("\n%zu entries expire within a second, %s\n", keys.size(),
              idle_beside ? "an idle thread beside the writer" : "the writer alone");
  Waits::print_heading();
  writes.print("writes of other keys");
  if (idle_beside) idle.print("idle thread");
  const auto stats = ns.metadata();
  std::printf("reclaimed: %llu; a lock was not free at once %llu times\n",
              static_cast<unsigned long long>(stats->expired),
              static_cast<unsigned long long>(stats->lock_waits));
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
  rkvs::bench::print_expiry(keys, true);
  rkvs::bench::print_expiry(keys, false);
  rkvs::bench::print_accounting(keys);
}
