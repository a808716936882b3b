#include "tests/schedules/scheduler.h"

#include <gtest/gtest.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/schedule.h"
#include "base/thread_slot.h"
#include "store/callback_scope.h"
#include "store/table_memory.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

// More points than any scenario has: threads that wait for each other without sleeping.
constexpr uint64_t kEndless = 2'000'000;
// So long may one thread go on where others could: one that asks again and again for what another
// has to do first would otherwise keep it from doing it.
constexpr int kPatience = 300;
constexpr int kChanges = 3;  // of priorities, in one run
constexpr size_t kStackBytes = 256 * 1024;

class Scheduler {
 public:
  static Scheduler& scheduler();

  ScheduleTrace run(uint64_t seed, uint64_t length,
                    const std::vector<std::function<void()>>& bodies) {
    random_.seed(seed);
    seed_ = seed;
    trace_ = {14695981039346656037U, 0, 0};
    patience_ = kPatience;
    live_.clear();
    sleepers_.clear();
    std::vector<std::unique_ptr<Worker>> workers;
    for (const auto& body : bodies) {
      workers.push_back(std::make_unique<Worker>());
      Worker& worker = *workers.back();
      worker.number = live_.size();
      // Another than this thread's.
      worker.thread_slot_plus_one =
          2 + (internal::thread_slot() + static_cast<uint32_t>(worker.number)) %
                  (internal::kSharedThreadSlot - 1);
      worker.body = &body;
      live_.push_back(&worker);
      if (stacks_.size() < live_.size()) stacks_.push_back(std::make_unique<char[]>(kStackBytes));
      ::getcontext(&worker.context);
      worker.context.uc_stack.ss_sp = stacks_[worker.number].get();
      worker.context.uc_stack.ss_size = kStackBytes;
      worker.context.uc_link = nullptr;
      ::makecontext(&worker.context, &Scheduler::begin, 0);
    }
    ready_ = live_;
    period_ = seed == 0 ? 0 : seed % 2 == 0 ? 0 : uint64_t{2} << random_() % 4;
    changes_.clear();
    if (seed != 0) std::shuffle(ready_.begin(), ready_.end(), random_);
    if (seed != 0 && seed % 2 == 0) {
      for (int i = 0; i < kChanges; ++i)
        changes_.push_back(1 + random_() % std::max<uint64_t>(length, 1));
    }
    enter(*ready_.front());
    ::swapcontext(&caller_, &own_->context);
    return trace_;
  }

  int64_t time() const { return static_cast<int64_t>(trace_.points); }

  // By the thread whose turn it is, as the next ones.
  void point() {
    count();
    if (ready_.size() == 1) return;
    Worker& self = *own_;
    if (period_ != 0) {
      if (random_() % period_ != 0) return;
      Worker& next = *ready_[random_() % ready_.size()];
      if (&next != &self) go_on_with(next);
      return;
    }
    // ready_ is in the order of the priorities. With seed 0 they change for patience alone.
    const bool changes =
        std::find(changes_.begin(), changes_.end(), trace_.points) != changes_.end();
    if (!changes && --patience_ > 0) return;
    lower(self);
    if (ready_.front() != &self) go_on_with(*ready_.front());
  }

  void sleep(const std::atomic<uint32_t>& word, uint32_t mask) {
    count();
    Worker& self = *own_;
    sleepers_.push_back({&word, mask, &self});
    std::erase(ready_, &self);
    if (ready_.empty()) give_up("no thread can go on");
    go_on_with(period_ == 0 ? *ready_.front() : *ready_[random_() % ready_.size()]);
  }

  void wake(const std::atomic<uint32_t>& word, int count, uint32_t mask) {
    for (size_t i = 0; i < sleepers_.size() && count > 0;) {
      const Sleeper sleeper = sleepers_[i];
      if (sleeper.word != &word || (sleeper.mask & mask) == 0) {
        ++i;
        continue;
      }
      sleepers_.erase(sleepers_.begin() + static_cast<ptrdiff_t>(i));
      ready_.push_back(sleeper.worker);
      --count;
    }
  }

  static bool is_scheduled() { return own_ != nullptr && !internal::schedule::Quiet::is_on(); }

 private:
  // A body, and what a thread would have of its own.
  struct Worker {
    size_t number = 0;
    const std::function<void()>* body = nullptr;
    ::ucontext_t context{};
    internal::TableMemory::Own tables;
    bool is_called_back = false;
    uint32_t thread_slot_plus_one = 0;
  };
  struct Sleeper {
    const std::atomic<uint32_t>* word;
    uint32_t mask;
    Worker* worker;
  };

  static void begin() {
    (*own_->body)();
    scheduler().end();
  }

  [[noreturn]] void end() {
    Worker& self = *own_;
    std::erase(ready_, &self);
    std::erase(live_, &self);
    if (!live_.empty() && ready_.empty()) give_up("no thread can go on");
    leave(self);
    if (live_.empty()) {
      own_ = nullptr;
      ::setcontext(&caller_);
    } else {
      enter(period_ == 0 ? *ready_.front() : *ready_[random_() % ready_.size()]);
      ::setcontext(&own_->context);
    }
    std::abort();
  }

  void count() {
    if (++trace_.points > kEndless) give_up("the threads go on for ever");
  }
  void lower(Worker& worker) {
    std::erase(ready_, &worker);
    ready_.push_back(&worker);
    patience_ = kPatience;
  }
  void go_on_with(Worker& next) {
    Worker& self = *own_;
    ++trace_.switches;
    leave(self);
    enter(next);
    ::swapcontext(&self.context, &next.context);
  }
  // Puts what is the worker's own in the place of what is the thread's.
  void enter(Worker& next) {
    own_ = &next;
    internal::TableMemory::swap_own(next.tables);
    std::swap(internal::callback_is_running, next.is_called_back);
    std::swap(internal::thread_slot_plus_one, next.thread_slot_plus_one);
    patience_ = kPatience;
    for (const uint64_t part : {trace_.points, uint64_t{next.number}}) {
      trace_.digest = (trace_.digest ^ part) * 1099511628211U;
    }
  }
  static void leave(Worker& self) {
    internal::TableMemory::swap_own(self.tables);
    std::swap(internal::callback_is_running, self.is_called_back);
    std::swap(internal::thread_slot_plus_one, self.thread_slot_plus_one);
  }
  [[noreturn]] void give_up(const char* why) const {
    std::printf("%s after %llu points, %zu asleep; RKVS_SCHEDULE_SEED=%llu\n", why,
                static_cast<unsigned long long>(trace_.points), sleepers_.size(),
                static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    std::_Exit(1);
  }

  // Set on the thread that runs bodies alone: the arena's has none.
  static inline thread_local Worker* own_ = nullptr;

  ::ucontext_t caller_{};
  std::vector<std::unique_ptr<char[]>> stacks_;
  std::mt19937_64 random_;
  uint64_t seed_ = 0;
  ScheduleTrace trace_;
  std::vector<Worker*> live_;
  std::vector<Worker*> ready_;
  std::vector<Sleeper> sleepers_;
  uint64_t period_ = 0;  // of switches to any thread; 0 = by priorities
  std::vector<uint64_t> changes_;
  int patience_ = 0;
};

Scheduler& Scheduler::scheduler() {
  static Scheduler instance;
  return instance;
}
Scheduler& scheduler() { return Scheduler::scheduler(); }

}  // namespace

ScheduleTrace run_scheduled(uint64_t seed, uint64_t length,
                            const std::vector<std::function<void()>>& bodies) {
  return scheduler().run(seed, length, bodies);
}

int64_t schedule_time() { return scheduler().time(); }

void explore(int count, const std::function<Scenario(uint64_t seed)>& make) {
  const auto run = [&make](uint64_t seed, uint64_t length) {
    const Scenario scenario = make(seed);
    const ScheduleTrace trace = run_scheduled(seed, length, scenario.bodies);
    scenario.check();
    return trace;
  };
  // One after another, which also says how long the others will be about.
  const uint64_t length = run(0, 0).points;
  if (const char* seed = std::getenv("RKVS_SCHEDULE_SEED")) {
    run(std::strtoull(seed, nullptr, 10), length);
    return;
  }
  std::unordered_set<uint64_t> orders;
  uint64_t points = 0;
  int made = 0;
  for (uint64_t seed = 1; made < count * test_scale() && !::testing::Test::HasFailure(); ++seed) {
    const ScheduleTrace trace = run(seed, length);
    ++made;
    points += trace.points;
    orders.insert(trace.digest);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "in schedule " << seed << ": RKVS_SCHEDULE_SEED=" << seed;
    }
  }
  std::printf("%d schedules, %zu different, of %llu points on average\n", made, orders.size(),
              static_cast<unsigned long long>(points / static_cast<uint64_t>(std::max(made, 1))));
}

}  // namespace rkvs::testing

namespace rkvs::internal::schedule {

using testing::Scheduler;
using testing::scheduler;

void point() {
  if (Scheduler::is_scheduled()) scheduler().point();
}

bool wait(const std::atomic<uint32_t>& word, uint32_t expected, uint32_t mask) {
  if (!Scheduler::is_scheduled()) return false;
  if (word.load(std::memory_order_relaxed) == expected) scheduler().sleep(word, mask);
  return true;
}

void wake(const std::atomic<uint32_t>& word, int count, uint32_t mask) {
  if (Scheduler::is_scheduled()) scheduler().wake(word, count, mask);
}

}  // namespace rkvs::internal::schedule
