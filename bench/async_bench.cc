// What asynchronous operations cost, and whether they leave the caller's thread alone.
//
//   get     the synchronous get, co_await of it, and co_await of the same through a worker thread
//   once    as many operations begun before any may complete, half of them on worker threads
//   stall   how late a timer of the loop comes while a save and a resize of all keys run, each tick
//           with a put; beside a thread that does nothing but sleep as long as the timer
#include <rkvs/async.h>
#include <rkvs/manager.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/workload.h"

namespace rkvs::bench {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using internal::AsyncRoute;
using internal::AsyncTarget;

const std::string kValue(100, 'v');

// A get that goes to a worker thread though it need not.
template <typename Token = asio::deferred_t>
auto get_in_background(const AsyncNamespace& ns, std::string key, Token&& token = {}) {
  return internal::initiate_async<AsyncRoute::kLong, Token>(
      token, AsyncTarget<Namespace>{ns.sync(), ns.get_executor()},
      [key = std::move(key)](Namespace& sync, const CancelToken&) {
        return internal::to_optional(sync.get(key));
      });
}

void check(bool holds, const char* what) {
  if (!holds) die(what);
}

// --- get -----------------------------------------------------------------------------------------

void measure_get(const AsyncNamespace& ns, asio::io_context& io,
                 const std::vector<std::string>& keys, Report& report) {
  // Short enough to be over, mostly, before the scheduler gives the processor to somebody else.
  constexpr size_t kSegment = 2000;
  constexpr int kRounds = 151;
  const std::vector<uint32_t> order = random_order(keys.size(), 3);
  size_t next = 0;
  const auto key = [&]() -> const std::string& { return keys[order[next++ % keys.size()]]; };
  size_t found = 0;
  // Nanoseconds for each get.
  const auto timed = [&](size_t count, auto body) {
    const auto begin = Clock::now();
    body();
    return seconds_since(begin) * 1e9 / static_cast<double>(count);
  };
  const auto in_coroutine = [&](auto body) {
    asio::co_spawn(io, body(), asio::detached);
    io.restart();
    io.run();
  };
  std::vector<double> sync;
  std::vector<double> inline_await;
  std::vector<double> pool_await;
  std::vector<double> beyond;
  std::vector<double> ratio;
  std::vector<double> pool_ratio;
  for (int round = 0; round < kRounds; ++round) {
    sync.push_back(timed(kSegment, [&] {
      for (size_t i = 0; i < kSegment; ++i) found += ns.sync().get(key()).ok() ? 1 : 0;
    }));
    inline_await.push_back(timed(kSegment, [&] {
      in_coroutine([&]() -> asio::awaitable<void> {
        for (size_t i = 0; i < kSegment; ++i) {
          found += (co_await ns.async_get(key())).has_value() ? 1 : 0;
        }
      });
    }));
    pool_await.push_back(timed(kSegment / 10, [&] {
      in_coroutine([&]() -> asio::awaitable<void> {
        for (size_t i = 0; i < kSegment / 10; ++i) {
          found += (co_await get_in_background(ns, key())).has_value() ? 1 : 0;
        }
      });
    }));
    beyond.push_back(inline_await.back() - sync.back());
    ratio.push_back(inline_await.back() / sync.back());
    pool_ratio.push_back(pool_await.back() / sync.back());
  }
  check(found == static_cast<size_t>(kRounds) * (2 * kSegment + kSegment / 10), "a get missed");
  std::printf(
      "get      sync %.0f ns : co_await %.0f ns (%.1fx, +%.0f ns) : through a worker %.0f ns "
      "(%.1fx)\n",
      median(sync), median(inline_await), median(ratio), median(inline_await) - median(sync),
      median(pool_await), median(pool_ratio));
  report.row({{"case", "get"},
              {"sync_ns", median(sync)},
              {"co_await_ns", median(inline_await)},
              {"worker_ns", median(pool_await)}});
  report.target("self.co_await", beyond, {}, "ns");
}

// --- once ----------------------------------------------------------------------------------------

void complete_once(const AsyncNamespace& ns, asio::io_context& io,
                   const std::vector<std::string>& keys, size_t operations) {
  std::vector<std::atomic<uint8_t>> calls(operations);
  size_t errors = 0;
  const auto begin = Clock::now();
  for (size_t i = 0; i < operations; ++i) {
    const auto handler = [&calls, &errors, i](error_code error, const std::optional<Value>& value) {
      ++calls[i];
      if (error || !value.has_value()) ++errors;
    };
    if (i % 2 == 0) {
      get_in_background(ns, keys[i % keys.size()], handler);
    } else {
      ns.async_get(keys[i % keys.size()], handler);
    }
  }
  const double begun = seconds_since(begin);
  io.restart();
  io.run();
  const double all = seconds_since(begin);
  for (const auto& count : calls) check(count.load() == 1, "an operation did not complete once");
  check(errors == 0, "an operation failed");
  std::printf(
      "once     %zu operations, all begun (%.2f s) before the first handler ran, each "
      "completed once (%.2f s)\n",
      operations, begun, all);
}

// --- stall ---------------------------------------------------------------------------------------

constexpr std::chrono::microseconds kTick{200};

// The worst lateness, in microseconds, of a thread that sleeps.
class Control {
 public:
  Control() : thread_([this] { run(); }) {}
  ~Control() { stop(); }
  double stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return worst_;
  }

 private:
  void run() {
    while (!stop_) {
      const auto due = Clock::now() + kTick;
      std::this_thread::sleep_until(due);
      worst_ = std::max(worst_, seconds_since(due) * 1e6);
    }
  }
  std::atomic<bool> stop_{false};
  double worst_ = 0;
  std::thread thread_;
};

// Runs the loop until `begin`'s operation has completed, or for a second without one.
template <typename Begin>
void measure_stall(const char* name, AsyncNamespace ns, asio::io_context& io,
                   const std::vector<std::string>& keys, std::vector<double>& worst_beyond,
                   Report& report, Begin begin) {
  bool is_done = false;
  double worst = 0;
  double worst_put = 0;
  size_t ticks = 0;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(io);
        while (!is_done) {
          const auto due = Clock::now() + kTick;
          timer.expires_at(due);
          co_await timer.async_wait(asio::deferred);
          worst = std::max(worst, seconds_since(due) * 1e6);
          const auto before = Clock::now();
          ns.async_put(keys[ticks++ * 7919 % keys.size()], kValue,
                       [](error_code error) { check(!error, "a put failed"); });
          worst_put = std::max(worst_put, seconds_since(before) * 1e6);
        }
      },
      asio::detached);
  io.restart();
  Control control;
  const auto started = Clock::now();
  begin([&](error_code error) {
    check(!error, name);
    is_done = true;
  });
  io.run();
  const double seconds = seconds_since(started);
  const double control_worst = control.stop();
  worst_beyond.push_back(worst - control_worst);
  std::printf(
      "stall    %-7s %6.0f ms, %5zu ticks: worst lateness of the loop %5.0f us (control "
      "%5.0f us), worst put %4.0f us\n",
      name, seconds * 1e3, ticks, worst, control_worst, worst_put);
  report.row({{"case", "stall"},
              {"while", name},
              {"ms", seconds * 1e3},
              {"ticks", ticks},
              {"worst_us", worst},
              {"control_us", control_worst},
              {"worst_put_us", worst_put}});
}

void run(const Options& options) {
  Report report("async_bench", options);
  const size_t key_count = options.number("keys");
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("rkvs_async_bench." + std::to_string(getpid()));
  {
    asio::io_context io(1);
    StorageManager manager(StorageOptions{.directory = directory});
    check(manager.initialize().ok(), "no manager");
    AsyncStorageManager store(manager, io.get_executor());
    NamespaceConfig config;
    config.lock_timeout = std::chrono::minutes(5);
    Namespace sync = *manager.create_namespace("bench", config);
    const std::vector<std::string> keys = make_keys(key_count);
    for (const uint32_t i : random_order(key_count, 1)) {
      check(sync.put(keys[i], kValue).ok(), "a put failed");
    }
    const AsyncNamespace ns(sync, io.get_executor());

    measure_get(ns, io, keys, report);
    complete_once(ns, io, keys, options.number("operations"));
    std::vector<double> idle;
    std::vector<double> busy;
    for (size_t round = 0; round < options.number("rounds"); ++round) {
      measure_stall("idle", ns, io, keys, idle, report, [&](auto done) {
        auto timer = std::make_shared<asio::steady_timer>(io, std::chrono::milliseconds(500));
        timer->async_wait([timer, done](error_code error) { done(error); });
      });
      measure_stall("save", ns, io, keys, busy, report,
                    [&](auto done) { store.async_save_all("bench.rkvs", done); });
      measure_stall("resize", ns, io, keys, busy, report, [&](auto done) {
        AsyncNamespace(ns).async_resize_shards(round % 2 == 0 ? 1024 : 256, done);
      });
    }
    report.target("self.loop_stall", {*std::max_element(busy.begin(), busy.end())}, {}, "us",
                  "worst of all rounds, beyond the control's worst");
  }
  std::filesystem::remove_all(directory);
  report.write();
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) {
  rkvs::bench::run(rkvs::bench::Options(argc, argv,
                                        {{"keys", "1000000"},
                                         {"operations", "1000000"},
                                         {"rounds", "5"},
                                         {"json", RKVS_BENCH_JSON}}));
}
