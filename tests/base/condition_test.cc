#include "base/condition.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;
using testing::scaled_down;
using testing::Threads;

TEST(Condition, AWaitEndsAtItsDeadlineWithTheMutexHeld) {
  Mutex mutex;
  Condition condition;
  const MutexLock lock(mutex);
  const auto until = std::chrono::steady_clock::now() + 20ms;
  while (std::chrono::steady_clock::now() < until) condition.wait_until(mutex, until);
  EXPECT_FALSE(mutex.is_free());
  condition.wait_until(mutex, std::chrono::steady_clock::time_point());  // long past
  EXPECT_FALSE(mutex.is_free());
}

// A ball goes round: whoever is not next sleeps without a limit, so one notification that is lost
// is the end of the game.
TEST(Condition, NoNotificationIsLost) {
  constexpr int kPlayers = 4;
  const int rounds = scaled_down(5000);
  struct Game {
    Mutex mutex;
    Condition moved;
    int throws RKVS_GUARDED_BY(mutex) = 0;
  } game;
  Threads players;
  players.start(kPlayers, [&](int player) {
    for (int i = 0; i < rounds; ++i) {
      const MutexLock lock(game.mutex);
      while (game.throws % kPlayers != player) game.moved.wait(game.mutex);
      ++game.throws;
      game.moved.notify_all();
    }
  });
  players.join();
  const MutexLock lock(game.mutex);
  EXPECT_EQ(game.throws, kPlayers * rounds);
}

}  // namespace
}  // namespace rkvs::internal
