#include "runtime/ticker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;  // NOLINT

TEST(Ticker, TicksFromItsStartToItsEnd) {
  std::atomic<int> ticks{0};
  Ticker ticker(1ms, [&] { ++ticks; });
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(ticks, 0) << "nobody has started it";
  EXPECT_TRUE(ticker.start());
  EXPECT_TRUE(ticker.start()) << "once is enough";
  while (ticks < 3) std::this_thread::yield();
  ticker.stop();
  const int last = ticks;
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(ticks, last);
  EXPECT_TRUE(ticker.start()) << "without effect";
  Deadline never = Deadline::never();
  ticker.tick_now(never);
  EXPECT_EQ(ticks, last);
}

TEST(Ticker, TicksOneAtATime) {
  std::atomic<int> inside{0};
  Ticker ticker(1ms, [&] {
    EXPECT_EQ(inside.fetch_add(1), 0);
    std::this_thread::yield();
    inside.fetch_sub(1);
  });
  ticker.start();
  for (int i = 0; i < 1000; ++i) {
    Deadline never = Deadline::never();
    ticker.tick_now(never);
  }
}

TEST(Ticker, TickNowGivesUpAtItsDeadline) {
  std::atomic<bool> inside{false};
  std::atomic<bool> go_on{false};
  Ticker ticker(1h, [&] {
    inside = true;
    while (!go_on) std::this_thread::yield();
  });
  std::thread first([&] {
    Deadline never = Deadline::never();
    ticker.tick_now(never);
  });
  while (!inside) std::this_thread::yield();
  Deadline soon(1ms);
  ticker.tick_now(soon);
  go_on = true;
  first.join();
}

}  // namespace
}  // namespace rkvs::internal
