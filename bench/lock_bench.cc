// How good is the lock? SharedMutex beside std::shared_mutex.
//
//   lock_bench [pairs] [guest] [mix] [deadline] [--seconds=S] [--rounds=N] [--json=FILE]
//                                                                   default: all, 1, 5
//
// pairs     One thread, nobody else: lock and unlock, nanoseconds a pair.
// guest     One thread comes again and again, 2 us apart, for a lock that 2 or 8 others hammer:
//           they hold it for 300 ns each, without a pause. How often does it get in, how long does
//           it wait? Writer among readers, reader among writers, writer among writers.
// mix       16 threads on 2 processors, reads and writes of 300 ns, 1 lock or 64: how many in all
//           and for a second of processor time (which other programs disturb less), and the waits.
//           "no lock" does the same work unlocked: its waits are the scheduler's.
// deadline  A held lock, a deadline 1, 10 or 50 ms away: how late does the waiter come back?
//
// Both sides take turns within one run, in an order that changes each round. Ratios are medians of
// one side's figure by the other's of the same round (guest: median by median, since the other's
// may be zero); quantiles and maxima are over all rounds. A wait that had not ended when its round
// did counts with the time until then.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "bench/report.h"

namespace {

using rkvs::bench::Report;
using rkvs::internal::Deadline;
using rkvs::internal::SharedMutex;
using Clock = std::chrono::steady_clock;

struct Settings {
  double seconds = 1;
  int rounds = 5;
};

int64_t now() { return Clock::now().time_since_epoch().count(); }

// Processor time of all threads so far.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Busy for that many nanoseconds.
void work(int64_t nanoseconds) {
  for (const int64_t until = now() + nanoseconds; now() < until;) {
  }
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Times in nanoseconds, in buckets of 1/16 of a power of two.
class Times {
 public:
  void add(int64_t time) {
    const auto value = static_cast<uint64_t>(std::max<int64_t>(time, 1));
    const int power = std::bit_width(value) - 1;
    const uint64_t step = power < 4 ? (value << (4 - power)) & 15 : (value >> (power - 4)) & 15;
    ++buckets_[static_cast<size_t>(power) * 16 + step];
    ++count_;
    max_ = std::max(max_, time);
  }
  void add(const Times& other) {
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }
  uint64_t count() const { return count_; }
  double max_us() const { return static_cast<double>(max_) / 1e3; }
  double quantile_us(double share) const {
    auto left = static_cast<uint64_t>(share * static_cast<double>(count_));
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (left < buckets_[i]) {
        return static_cast<double>(uint64_t{1} << (i / 16)) *
               (1 + static_cast<double>(i % 16) / 16) / 1e3;
      }
      left -= buckets_[i];
    }
    return max_us();
  }

 private:
  std::array<uint64_t, 64 * 16> buckets_{};
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

struct NoLock {
  void lock() {}
  void unlock() {}
  void lock_shared() {}
  void unlock_shared() {}
};

template <typename Mutex>
void take(Mutex& mutex, bool shared) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  if (shared) {
    mutex.lock_shared();
  } else {
    mutex.lock();
  }
}

template <typename Mutex>
void leave(Mutex& mutex, bool shared) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  if (shared) {
    mutex.unlock_shared();
  } else {
    mutex.unlock();
  }
}

template <typename Step>
double nanoseconds_each(Step step) {
  constexpr int kCount = 400'000;
  const int64_t start = now();
  for (int i = 0; i < kCount; ++i) step();
  return static_cast<double>(now() - start) / kCount;
}

// ---- pairs

void bench_pairs(const Settings& settings, Report& out) {
  SharedMutex ours;
  std::shared_mutex theirs;
  std::mutex plain;
  enum {
    kShared,
    kSharedTimed,
    kExclusive,
    kExclusiveTimed,
    kTheirShared,
    kTheirExclusive,
    kPlain,
    kKinds
  };
  std::array<std::vector<double>, kKinds> times;
  const auto measure = [&](int kind) RKVS_NO_THREAD_SAFETY_ANALYSIS {
    switch (kind) {
      case kShared: return nanoseconds_each([&] { take(ours, true), leave(ours, true); });
      case kExclusive: return nanoseconds_each([&] { take(ours, false), leave(ours, false); });
      case kSharedTimed:
        return nanoseconds_each([&]() RKVS_NO_THREAD_SAFETY_ANALYSIS {
          Deadline deadline(std::chrono::milliseconds(500));
          if (ours.lock_shared_until(deadline)) ours.unlock_shared();
        });
      case kExclusiveTimed:
        return nanoseconds_each([&]() RKVS_NO_THREAD_SAFETY_ANALYSIS {
          Deadline deadline(std::chrono::milliseconds(500));
          if (ours.lock_until(deadline)) ours.unlock();
        });
      case kTheirShared: return nanoseconds_each([&] { take(theirs, true), leave(theirs, true); });
      case kTheirExclusive:
        return nanoseconds_each([&] { take(theirs, false), leave(theirs, false); });
      default: return nanoseconds_each([&] { plain.lock(), plain.unlock(); });
    }
  };
  // glibc leaves out atomic operations while a process has one thread: measure what a store sees.
  std::atomic<bool> stop{false};
  std::thread second([&] {
    while (!stop) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  const int rounds = settings.rounds * 5;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < kKinds; ++i) {
      const int kind = (i + round) % kKinds;
      times[static_cast<size_t>(kind)].push_back(measure(kind));
    }
  }
  stop = true;
  second.join();
  const auto report = [&](const char* name, int kind, int reference) {
    std::vector<double> ratios;
    for (size_t i = 0; i < times[0].size(); ++i) {
      ratios.push_back(times[static_cast<size_t>(kind)][i] /
                       times[static_cast<size_t>(reference)][i]);
    }
    std::printf("  %-34s %6.1f ns   %.2f of std::shared_mutex (%.1f ns)\n", name,
                median(times[static_cast<size_t>(kind)]), median(ratios),
                median(times[static_cast<size_t>(reference)]));
    out.row({{"part", "pairs"},
             {"operation", name},
             {"ns", median(times[static_cast<size_t>(kind)])},
             {"std_ns", median(times[static_cast<size_t>(reference)])},
             {"ratio", median(ratios)}});
  };
  std::printf("pairs: lock + unlock, nobody else\n");
  report("shared", kShared, kTheirShared);
  report("shared, with a deadline", kSharedTimed, kTheirShared);
  report("exclusive", kExclusive, kTheirExclusive);
  report("exclusive, with a deadline", kExclusiveTimed, kTheirExclusive);
  report("(std::mutex)", kPlain, kTheirExclusive);
}

// ---- guest

struct GuestResult {
  uint64_t turns = 0;
  double hosts_per_second = 0;
};

template <typename Mutex>
GuestResult guest_round(bool guest_reads, bool hosts_read, int hosts, double seconds,
                        Times& waits) {
  Mutex mutex;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> host_turns{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < hosts; ++i) {
    threads.emplace_back([&] {
      uint64_t turns = 0;
      for (; !stop.load(std::memory_order_relaxed); ++turns) {
        take(mutex, hosts_read);
        work(300);
        leave(mutex, hosts_read);
      }
      host_turns += turns;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  GuestResult result;
  const int64_t start = now();
  const int64_t end = start + static_cast<int64_t>(seconds * 1e9);
  std::thread guest([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      const int64_t before = now();
      take(mutex, guest_reads);
      const int64_t after = now();
      waits.add(std::min(after, end) - before);
      work(300);
      leave(mutex, guest_reads);
      if (after >= end) break;
      ++result.turns;
      work(2'000);
    }
  });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  guest.join();
  for (auto& thread : threads) thread.join();
  result.hosts_per_second =
      static_cast<double>(host_turns) / (static_cast<double>(now() - start) / 1e9);
  return result;
}

void bench_guest(const Settings& settings, Report& out) {
  std::printf("guest: one thread among others that hammer the lock\n");
  struct Case {
    const char* name;
    bool guest_reads;
    bool hosts_read;
  };
  for (const Case& test :
       {Case{"writer among readers", false, true}, Case{"reader among writers", true, false},
        Case{"writer among writers", false, false}}) {
    for (const int hosts : {2, 8}) {
      std::array<Times, 2> waits;
      std::array<std::vector<double>, 2> turns;
      std::array<std::vector<double>, 2> host_turns;
      for (int round = 0; round < settings.rounds; ++round) {
        for (int i = 0; i < 2; ++i) {
          const auto side = static_cast<size_t>((i + round) % 2);
          const GuestResult result =
              side == 0 ? guest_round<SharedMutex>(test.guest_reads, test.hosts_read, hosts,
                                                   settings.seconds, waits[0])
                        : guest_round<std::shared_mutex>(test.guest_reads, test.hosts_read, hosts,
                                                         settings.seconds, waits[1]);
          turns[side].push_back(static_cast<double>(result.turns) / settings.seconds);
          host_turns[side].push_back(result.hosts_per_second);
        }
      }
      const double theirs = median(turns[1]);
      std::printf("  %s, %d: ", test.name, hosts);
      if (theirs > 0) {
        std::printf("SharedMutex lets it in %.2f times as often\n", median(turns[0]) / theirs);
      } else {
        std::printf("std::shared_mutex never lets it in\n");
      }
      for (size_t side = 0; side < 2; ++side) {
        std::printf(
            "    %-18s %9.0f turns/s, wait p50 %8.1f  p99.9 %9.1f  max %10.1f us;  the others %.2f "
            "M/s\n",
            side == 0 ? "SharedMutex" : "std::shared_mutex", median(turns[side]),
            waits[side].quantile_us(.5), waits[side].quantile_us(.999), waits[side].max_us(),
            median(host_turns[side]) / 1e6);
        out.row({{"part", "guest"},
                 {"scenario", std::string(test.name) + ", " + std::to_string(hosts)},
                 {"contender", side == 0 ? "SharedMutex" : "std::shared_mutex"},
                 {"turns_per_second", median(turns[side])},
                 {"p50_us", waits[side].quantile_us(.5)},
                 {"p999_us", waits[side].quantile_us(.999)},
                 {"max_us", waits[side].max_us()},
                 {"hosts_per_second", median(host_turns[side])}});
      }
    }
  }
}

// ---- mix

struct MixResult {
  double per_second = 0;
  double per_cpu_second = 0;
  double least = 0;  // Operations of the slowest thread by those of the fastest.
};

template <typename Mutex>
MixResult mix_round(int locks, int write_percent, double seconds, Times& reads, Times& writes) {
  constexpr int kThreads = 16;
  struct alignas(64) Padded {
    Mutex mutex;
  };
  std::vector<Padded> all(static_cast<size_t>(locks));
  std::atomic<bool> go{false};
  std::atomic<bool> stop{false};
  std::vector<Times> read_waits(kThreads);
  std::vector<Times> write_waits(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      uint64_t random = i * 0x9e3779b97f4a7c15u + 1;
      while (!go) std::this_thread::yield();
      while (!stop.load(std::memory_order_relaxed)) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const bool shared = (random >> 33) % 100 >= static_cast<uint64_t>(write_percent);
        Mutex& mutex = all[(random >> 48) % all.size()].mutex;
        const int64_t before = now();
        take(mutex, shared);
        (shared ? read_waits : write_waits)[i].add(now() - before);
        work(300);
        leave(mutex, shared);
      }
    });
  }
  const double cpu_start = cpu_seconds();
  const int64_t start = now();
  go = true;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  const double elapsed = static_cast<double>(now() - start) / 1e9;
  const double cpu_end = cpu_seconds();
  MixResult result;
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < kThreads; ++i) {
    reads.add(read_waits[i]);
    writes.add(write_waits[i]);
    const uint64_t count = read_waits[i].count() + write_waits[i].count();
    least = std::min(least, count);
    most = std::max(most, count);
    sum += count;
  }
  result.per_second = static_cast<double>(sum) / elapsed;
  result.per_cpu_second = static_cast<double>(sum) / (cpu_end - cpu_start);
  result.least = static_cast<double>(least) / static_cast<double>(std::max<uint64_t>(most, 1));
  return result;
}

void bench_mix(const Settings& settings, Report& out) {
  std::printf("mix: 16 threads on 2 processors\n");
  constexpr std::array<const char*, 3> kNames = {"SharedMutex", "std::shared_mutex", "no lock"};
  for (const int locks : {1, 64}) {
    for (const int write_percent : {5, 50}) {
      std::array<Times, 3> reads;
      std::array<Times, 3> writes;
      std::array<std::vector<double>, 3> speed;
      std::array<std::vector<double>, 3> cpu_speed;
      std::array<std::vector<double>, 3> least;
      for (int round = 0; round < settings.rounds; ++round) {
        for (int i = 0; i < 3; ++i) {
          const auto side = static_cast<size_t>((i + round) % 3);
          MixResult result;
          if (side == 0) {
            result =
                mix_round<SharedMutex>(locks, write_percent, settings.seconds, reads[0], writes[0]);
          } else if (side == 1) {
            result = mix_round<std::shared_mutex>(locks, write_percent, settings.seconds, reads[1],
                                                  writes[1]);
          } else {
            result = mix_round<NoLock>(locks, write_percent, settings.seconds, reads[2], writes[2]);
          }
          speed[side].push_back(result.per_second);
          cpu_speed[side].push_back(result.per_cpu_second);
          least[side].push_back(result.least);
        }
      }
      std::vector<double> ratios;
      std::vector<double> cpu_ratios;
      for (size_t i = 0; i < speed[0].size(); ++i) {
        ratios.push_back(speed[0][i] / speed[1][i]);
        cpu_ratios.push_back(cpu_speed[0][i] / cpu_speed[1][i]);
      }
      std::printf(
          "  %d lock%s, %d %% writes: SharedMutex does %.2f times what std::shared_mutex does "
          "(%.2f for the same processor time)\n",
          locks, locks == 1 ? "" : "s", write_percent, median(ratios), median(cpu_ratios));
      for (size_t side = 0; side < 3; ++side) {
        std::printf(
            "    %-18s %6.2f M/s; slowest thread/fastest %.2f; wait, us: read p99.9 %9.1f max "
            "%9.1f, "
            "write p99.9 %9.1f max %9.1f\n",
            kNames[side], median(speed[side]) / 1e6, median(least[side]),
            reads[side].quantile_us(.999), reads[side].max_us(), writes[side].quantile_us(.999),
            writes[side].max_us());
        out.row({{"part", "mix"},
                 {"locks", locks},
                 {"write_percent", write_percent},
                 {"contender", kNames[side]},
                 {"per_second", median(speed[side])},
                 {"per_cpu_second", median(cpu_speed[side])},
                 {"slowest_share", median(least[side])},
                 {"read_p999_us", reads[side].quantile_us(.999)},
                 {"write_p999_us", writes[side].quantile_us(.999)}});
      }
    }
  }
}

// ---- deadline

void bench_deadline(const Settings& settings, Report& out) {
  std::printf("deadline: how late a waiter comes back\n");
  for (const int busy : {0, 16}) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < busy; ++i) {
      threads.emplace_back([&] {
        while (!stop.load(std::memory_order_relaxed)) {
        }
      });
    }
    for (const int milliseconds : {1, 10, 50}) {
      std::array<std::vector<double>, 2> late;
      SharedMutex ours;
      std::shared_timed_mutex theirs;
      take(ours, false);
      take(theirs, false);
      std::thread waiter([&]() RKVS_NO_THREAD_SAFETY_ANALYSIS {
        const auto budget = std::chrono::milliseconds(milliseconds);
        for (int i = 0; i < settings.rounds * 10; ++i) {
          for (size_t side = 0; side < 2; ++side) {
            const auto start = Clock::now();
            Deadline deadline(budget);
            const bool taken =
                side == 0 ? ours.lock_until(deadline) : theirs.try_lock_until(start + budget);
            const std::chrono::duration<double, std::micro> over = Clock::now() - start - budget;
            if (taken) std::abort();
            late[side].push_back(over.count());
          }
        }
      });
      waiter.join();
      leave(ours, false);
      leave(theirs, false);
      std::printf(
          "  %2d ms, %2d busy threads: SharedMutex median %6.0f max %7.0f us; "
          "std::shared_timed_mutex "
          "median %6.0f max %7.0f us\n",
          milliseconds, busy, median(late[0]), *std::max_element(late[0].begin(), late[0].end()),
          median(late[1]), *std::max_element(late[1].begin(), late[1].end()));
      out.row({{"part", "deadline"},
               {"milliseconds", milliseconds},
               {"busy_threads", busy},
               {"late_us", median(late[0])},
               {"std_late_us", median(late[1])}});
    }
    stop = true;
    for (auto& thread : threads) thread.join();
  }
}

// Leaves the process two processors at most, so that figures from larger machines compare.
void keep_two_processors() {
  cpu_set_t available;
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof available, &available) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&chosen) < 2; ++cpu) {
    if (CPU_ISSET(cpu, &available)) CPU_SET(cpu, &chosen);
  }
  sched_setaffinity(0, sizeof chosen, &chosen);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> chosen;
  std::string file = RKVS_BENCH_JSON;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.rfind("--seconds=", 0) == 0) {
      settings.seconds = std::max(0.01, std::atof(word.c_str() + std::strlen("--seconds=")));
    } else if (word.rfind("--rounds=", 0) == 0) {
      settings.rounds = std::max(1, std::atoi(word.c_str() + std::strlen("--rounds=")));
    } else if (word.rfind("--json=", 0) == 0) {
      file = word.substr(std::strlen("--json="));
    } else if (word == "pairs" || word == "guest" || word == "mix" || word == "deadline") {
      chosen.push_back(word);
    } else {
      std::fprintf(stderr,
                   "usage: %s [pairs] [guest] [mix] [deadline] [--seconds=S] [--rounds=N] "
                   "[--json=FILE]\n",
                   argv[0]);
      return 2;
    }
  }
  const auto wanted = [&](const char* name) {
    return chosen.empty() || std::find(chosen.begin(), chosen.end(), name) != chosen.end();
  };
  keep_two_processors();
  Report report("lock_bench", rkvs::bench::Options(0, nullptr,
                                                   {{"seconds", std::to_string(settings.seconds)},
                                                    {"rounds", std::to_string(settings.rounds)},
                                                    {"json", file}}));
  if (wanted("pairs")) bench_pairs(settings, report);
  if (wanted("guest")) bench_guest(settings, report);
  if (wanted("mix")) bench_mix(settings, report);
  if (wanted("deadline")) bench_deadline(settings, report);
  report.write();
  return 0;
}
