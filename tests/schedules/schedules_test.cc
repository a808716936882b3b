// The store under schedules that a number determines: see scheduler.h.
#include <gtest/gtest.h>
#include <rkvs/manager.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/schedule.h"
#include "store/namespace_image.h"
#include "tests/schedules/scheduler.h"
#include "tests/support/linearizable_store.h"
#include "tests/support/namespace_util.h"
#include "tests/support/one_writer.h"

namespace rkvs::testing {
namespace {

using internal::Budget;
using internal::Cut;
using internal::Deadline;
using internal::Entry;
using internal::kThreadSlots;
using internal::Mutex;
using internal::SharedMutex;

constexpr uint32_t kShards = 2;
constexpr uint32_t kMoreShards = 3;
const KeyHash kHash(0x5EED);

std::shared_ptr<NamespaceImpl> impl_of(const Namespace& ns) {
  return {&NamespaceImpl::of(ns), [ns](NamespaceImpl*) {}};
}

// What the namespace holds, expired entries included, whatever it answers.
uint64_t entries_in(const Namespace& ns) {
  auto& shards = NamespaceImpl::of(ns).shards();
  uint64_t entries = 0;
  for (uint32_t i = 0; i < shards.constructed(); ++i) {
    const internal::ReaderLock lock(shards[i].mutex);
    entries += shards[i].size();
  }
  return entries;
}

// Nothing of a save or a lock is left.
void expect_at_rest(const Namespace& ns) {
  auto& shards = NamespaceImpl::of(ns).shards();
  for (uint32_t i = 0; i < shards.constructed(); ++i) {
    EXPECT_TRUE(shards[i].mutex.is_free());
    const internal::WriterLock lock(shards[i].mutex);
    EXPECT_FALSE(shards[i].is_being_saved());
  }
}

using Contents = std::map<std::string, std::string>;

// A save without a file, of all of them together: what it found in each.
std::optional<std::vector<Contents>> saved_together(const std::vector<Namespace>& namespaces) {
  std::vector<std::shared_ptr<NamespaceImpl>> impls;
  for (const Namespace& ns : namespaces) impls.push_back(impl_of(ns));
  const auto cut = Cut::take(impls);
  EXPECT_TRUE(is_ok(cut));
  if (!cut.ok() || (*cut)->namespaces().size() != namespaces.size()) return {};
  std::vector<Contents> all;
  for (auto& image : (*cut)->namespaces()) {
    Contents& found = all.emplace_back();
    for (uint32_t i = 0; i < image.shard_count(); ++i) {
      const auto entries = image.entries(i);
      EXPECT_TRUE(is_ok(entries));
      if (!entries.ok()) return {};
      RKVS_SCHEDULE_POINT();  // where the save writes its file
      for (const Entry* entry : *entries) {
        const bool is_new = found.emplace(entry->key(), entry->value()).second;
        EXPECT_TRUE(is_new) << entry->key() << " is in two shards";
      }
      image.release(i);
    }
    EXPECT_EQ(found.size(), image.keys);
  }
  return all;
}

// The same of one.
std::optional<Contents> saved(const Namespace& ns) {
  const auto found = saved_together({ns});
  if (!found) return {};
  return found->front();
}

// --- The scheduler itself ------------------------------------------------------------------------

Scenario writers_during_a_resize(std::shared_ptr<Namespace>& ns) {
  ns = std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, kHash));
  return {.bodies = {[ns] { EXPECT_TRUE(is_ok(ns->put("a", "1"))); },
                     [ns] { EXPECT_TRUE(is_ok(ns->put("b", "2"))); },
                     [ns] { EXPECT_TRUE(is_ok(ns->resize_shards(kMoreShards))); }}};
}

TEST(Scheduler, MakesTheSameOrderOfTheSameSeed) {
  std::shared_ptr<Namespace> ns;
  // What is made once in a process, for the first who asks.
  run_scheduled(0, 0, writers_during_a_resize(ns).bodies);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const auto first = run_scheduled(seed, 500, writers_during_a_resize(ns).bodies);
    const auto second = run_scheduled(seed, 500, writers_during_a_resize(ns).bodies);
    EXPECT_EQ(first.digest, second.digest) << seed;
    EXPECT_EQ(first.points, second.points) << seed;
    EXPECT_GT(first.points, 100u);
  }
}

TEST(Scheduler, RunsOneThreadAtATime) {
  int running = 0;
  const auto body = [&running] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(++running, 1);
      --running;
      RKVS_SCHEDULE_POINT();
    }
  };
  for (uint64_t seed = 0; seed < 200; ++seed) run_scheduled(seed, 60, {body, body, body});
}

// Both ways of choosing, the seeds of each by themselves.
TEST(Scheduler, FindsTheOneOrderInWhichAnUpdateIsLost) {
  for (const uint64_t parity : {0u, 1u}) {
    int lost = 0;
    for (uint64_t seed = 2 + parity; seed < 402; seed += 2) {
      int number = 0;
      const auto body = [&number] {
        for (int i = 0; i < 10; ++i) RKVS_SCHEDULE_POINT();
        const int seen = number;
        RKVS_SCHEDULE_POINT();
        number = seen + 1;
        for (int i = 0; i < 10; ++i) RKVS_SCHEDULE_POINT();
      };
      run_scheduled(seed, 42, {body, body});
      lost += number == 1;
    }
    EXPECT_GT(lost, 0) << parity;
    EXPECT_LT(lost, 200) << parity;
  }
}

TEST(Scheduler, SaysWhereThreadsWaitForEachOtherForEver) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto lock_crosswise = [] {
    for (uint64_t seed = 1; seed < 400; ++seed) {
      Mutex a;
      Mutex b;
      const auto both = [](Mutex& first, Mutex& second) {
        const internal::MutexLock one(first);
        const internal::MutexLock two(second);
      };
      run_scheduled(seed, 20, {[&] { both(a, b); }, [&] { both(b, a); }});
    }
  };
  EXPECT_EXIT(lock_crosswise(), ::testing::ExitedWithCode(1), "");
}

// --- The lock ------------------------------------------------------------------------------------

TEST(Schedules, OfTheLockLetNobodyInTwiceAndWakeEverybody) {
  struct World {
    SharedMutex mutex;
    int writers = 0;
    int readers = 0;
    int value = 0;
  };
  explore(4000, [](uint64_t seed) {
    auto world = std::make_shared<World>();
    const auto write = [world] {
      for (int i = 0; i < 2; ++i) {
        world->mutex.lock();
        EXPECT_EQ(world->readers, 0);
        EXPECT_EQ(++world->writers, 1);
        RKVS_SCHEDULE_POINT();
        --world->writers;
        ++world->value;
        world->mutex.unlock();
      }
    };
    const auto read = [world] {
      for (int i = 0; i < 2; ++i) {
        world->mutex.lock_shared();
        EXPECT_EQ(world->writers, 0);
        ++world->readers;
        const int seen = world->value;
        RKVS_SCHEDULE_POINT();
        EXPECT_EQ(world->value, seen);
        --world->readers;
        world->mutex.unlock_shared();
      }
    };
    // Whose time is up before it begins: it gives up as soon as it would have to sleep.
    const auto hasty = [world, shared = seed % 3 == 0]() RKVS_NO_THREAD_SAFETY_ANALYSIS {
      Deadline deadline{std::chrono::nanoseconds(0)};
      if (shared) {
        if (world->mutex.lock_shared_until(deadline)) world->mutex.unlock_shared();
      } else if (world->mutex.lock_until(deadline)) {
        world->mutex.unlock();
      }
    };
    return Scenario{.bodies = {write, read, write, read, hasty}, .check = [world] {
                      EXPECT_EQ(world->value, 4);
                      EXPECT_TRUE(world->mutex.is_free());
                    }};
  });
}

// --- Limits --------------------------------------------------------------------------------------

TEST(Schedules, OfABudgetNeverGiveOutMoreThanThereIs) {
  explore(2000, [](uint64_t seed) {
    auto budget = std::make_shared<Budget>();
    auto granted = std::make_shared<uint64_t>(0);
    budget->set(5, 0);
    const auto reserve = [=](uint64_t amount) {
      return [=] {
        uint64_t fitting = 0;
        int64_t room = 0;
        const auto peak = static_cast<int64_t>(amount);
        const bool done = seed % 2 == 0 ? budget->reserve(amount, &fitting)
                                        : budget->reserve_peak(peak, peak, &room);
        if (done) {
          *granted += amount;
        } else {
          EXPECT_LT(seed % 2 == 0 ? static_cast<int64_t>(fitting) : room, peak);
        }
      };
    };
    return Scenario{.bodies = {reserve(3), reserve(3), reserve(2)}, .check = [=] {
                      EXPECT_LE(*granted, 5u);
                      EXPECT_GE(*granted, 3u);
                      EXPECT_EQ(budget->used(), *granted);
                    }};
  });
}

// A budget from which threads take in advance, with one that only the operations that have ended
// change.
struct KeptBudget {
  static constexpr uint64_t kLimit = 6 * kThreadSlots;

  explicit KeptBudget(uint64_t used) : in_use(used), most(used) { budget.set(kLimit, used); }

  // Must be granted if it would have fitted all the time.
  void reserve(uint64_t amount) {
    most = in_use;
    if (budget.reserve(amount)) {
      in_use += amount;
      most = std::max(most, in_use);
      EXPECT_LE(in_use, kLimit);
    } else {
      EXPECT_GT(most + amount, kLimit);
    }
  }
  void give_back() {
    budget.charge(-1);
    --in_use;
    ++given_back;
  }

  Budget budget;
  uint64_t in_use;
  uint64_t most;  // since the last reserve() began
  uint64_t given_back = 0;
};

TEST(Schedules, OfABudgetRefuseNothingThatOthersOnlyKeep) {
  explore(20000, [](uint64_t) {
    auto kept = std::make_shared<KeptBudget>(10);
    return Scenario{.bodies = {[=] { kept->give_back(); },
                               [=] {
                                 kept->reserve(1);
                                 kept->reserve(1);
                               },
                               [=] {
                                 kept->reserve(KeptBudget::kLimit - 12);
                                 kept->reserve(1);
                               }},
                    .check = [=] { EXPECT_EQ(kept->budget.used(), kept->in_use); }};
  });
}

TEST(Schedules, OfABudgetFindAllThatWasGivenBack) {
  explore(20000, [](uint64_t) {
    auto kept = std::make_shared<KeptBudget>(5);
    return Scenario{.bodies = {[=] {
                                 for (int i = 0; i < 5; ++i) kept->give_back();
                               },
                               [=] {
                                 kept->reserve(KeptBudget::kLimit - 5);
                                 // Whatever has been given back by now.
                                 if (kept->given_back != 0) kept->reserve(kept->given_back);
                               }},
                    .check = [=] { EXPECT_EQ(kept->budget.used(), kept->in_use); }};
  });
}

TEST(Schedules, OfWritersAtALimitOfBytesKeepTheAccount) {
  explore(1500, [](uint64_t seed) {
    auto ns = std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, kHash));
    // Tables for all keys are there already.
    for (const char* key : {"a", "b", "c"}) {
      EXPECT_TRUE(is_ok(ns->put(key, "")));
      EXPECT_TRUE(is_ok(ns->delete_key(key)));
    }
    const uint64_t before = stats_of(*ns).memory_bytes;
    EXPECT_TRUE(is_ok(ns->set_max_bytes(before + 2500)));
    auto written = std::make_shared<int>(0);
    const auto put = [=](const char* key) {
      return [=] {
        const Status status = ns->put(key, std::string(1000, '.'));
        EXPECT_TRUE(status.ok() || status.code() == StatusCode::kMemoryLimit) << status.to_string();
        if (status.ok()) ++*written;
      };
    };
    std::vector<std::function<void()>> bodies = {put("a"), put("b"), put("c")};
    if (seed % 2 == 0)
      bodies.push_back([=] { EXPECT_TRUE(is_ok(ns->resize_shards(kMoreShards))); });
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      const auto& usage = NamespaceImpl::of(*ns).usage();
                      const uint64_t used = usage.max_bytes() - usage.byte_headroom();
                      EXPECT_EQ(used, stats_of(*ns).memory_bytes);
                      EXPECT_GE(*written, 1);
                      EXPECT_LE(*written, 2);
                    }};
  });
}

TEST(Schedules, OfAtomicBatchesAtALimitOfKeysAreWholeAndWithinIt) {
  static constexpr uint64_t kMaxKeys = 3;
  explore(1500, [](uint64_t) {
    auto ns = std::make_shared<Namespace>(
        make_namespace({.max_keys = kMaxKeys, .shard_count = kMoreShards}, kHash));
    // Each thread has a shard of its own, or they would wait for each other.
    auto key = [=, last = 0](uint32_t shard) mutable {
      const auto& routing = NamespaceImpl::of(*ns).shards().routing();
      for (;;) {
        std::string found = std::to_string(++last);
        if (routing.shard_of(internal::bucket_of(kHash(found).hash)) == shard) return found;
      }
    };
    auto stored = std::make_shared<uint64_t>(0);
    const auto note = [=](const Status& status, uint64_t count) {
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kTooManyKeys) << status.to_string();
      if (status.ok()) *stored += count;
    };
    const auto apply = [=](std::string first, std::string second) {
      return [=] {
        AtomicBatch batch;
        batch.set(first, "1").set(second, "1");
        const BatchResult result = ns->apply(batch);
        EXPECT_EQ(result.is_success(), result.status.ok());
        note(result.status, 2);
      };
    };
    const auto put = [=](std::string name) { return [=] { note(ns->put(name, "1"), 1); }; };
    const std::string first = key(0);
    const std::string second = key(1);
    return Scenario{.bodies = {apply(first, key(0)), apply(second, key(1)), put(key(2))},
                    .check = [=] {
                      EXPECT_EQ(entries_in(*ns), *stored);
                      EXPECT_LE(*stored, kMaxKeys);
                      EXPECT_EQ(NamespaceImpl::of(*ns).usage().headroom(), kMaxKeys - *stored);
                      expect_at_rest(*ns);
                    }};
  });
}

// --- Histories of operations ---------------------------------------------------------------------

struct HistoryCase {
  Mix mix = kMix;
  uint32_t max_keys = 0;
  bool resizes = false;
  bool saves = false;
  uint32_t shards = kShards;
  uint32_t other_shards = kMoreShards;
  uint64_t hash_mask = ~uint64_t{0};
  bool same_hash = false;
  int threads = 3;
  int ops = 3;
};

void explore_histories(int count, const HistoryCase& c) {
  const KeyHash hash(0x5EED, c.hash_mask);
  const Keys keys = moving_keys(hash, c.shards, c.other_shards, c.same_hash);
  struct World {
    World(Namespace of, const Keys& keys, ManualTime* time, bool counts)
        : ns(std::move(of)), store(ns, keys, 0, time, counts) {}
    Namespace ns;
    Store store;
    std::vector<History> histories;
    Model model;
  };
  auto time = std::make_shared<ManualTime>();
  const bool counts = c.mix[static_cast<size_t>(OpKind::kIncrement)] != 0;
  explore(count, [=](uint64_t seed) {
    auto world = std::make_shared<World>(
        make_history_namespace({.shard_count = c.shards}, hash, *time), keys, time.get(), counts);
    const size_t threads = static_cast<size_t>(c.threads);
    world->histories.resize(threads + 1);
    const auto run = [world](size_t thread, Op op) {
      op.thread = static_cast<int>(thread);
      op.called = schedule_time();
      world->store.run(op);
      op.returned = schedule_time();
      world->histories[thread].push_back(op);
      return op;
    };
    // Some of the keys are there.
    world->model.max_keys = c.max_keys;
    std::mt19937_64 random(seed);
    for (uint8_t k = 0; k < kKeys; ++k) {
      if (random() % 2 == 0 || (c.max_keys != 0 && k >= c.max_keys)) continue;
      Op op;
      op.kind = OpKind::kPut;
      op.keys[0] = k;
      op.written[0] = static_cast<uint16_t>(1 + k);
      world->store.run(op);
      world->model.initial[k] = op.written[0];
    }
    if (c.max_keys != 0) {
      EXPECT_TRUE(is_ok(world->ns.set_max_keys(c.max_keys)));
    }
    std::vector<std::function<void()>> bodies;
    for (size_t thread = 0; thread < threads; ++thread) {
      bodies.push_back([=] {
        std::mt19937_64 own(seed * 16 + thread);
        OpDraw::Kinds kinds(c.mix.begin(), c.mix.end());
        OpDraw draw(kinds, own);
        for (int i = 0; i < c.ops; ++i) {
          const auto value = static_cast<uint16_t>(11 + (static_cast<int>(thread) * c.ops + i) * 2);
          draw.note(run(thread, draw.next(value)));
        }
      });
    }
    if (c.resizes) {
      bodies.push_back([=] {
        EXPECT_TRUE(is_ok(world->ns.resize_shards(c.other_shards)));
        if (seed % 4 == 0) {
          EXPECT_TRUE(is_ok(world->ns.resize_shards(c.shards)));
        }
      });
    }
    if (c.saves) bodies.push_back([=] { saved(world->ns); });
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      for (uint8_t k = 0; k < kKeys; ++k) {
                        Op op;
                        op.kind = OpKind::kGet;
                        op.keys[0] = k;
                        op.thread = c.threads;
                        op.called = op.returned = schedule_time() + 1 + k;
                        world->store.run(op);
                        world->histories[threads].push_back(op);
                      }
                      History history;
                      for (const History& own : world->histories) {
                        history.insert(history.end(), own.begin(), own.end());
                      }
                      EXPECT_TRUE(is_linearizable(history, world->model))
                          << to_string(history, world->model);
                      expect_at_rest(world->ns);
                    }};
  });
}

TEST(Schedules, OfOperationsAndAResizeAreLinearizable) {
  explore_histories(2500, {.resizes = true});
  explore_histories(500, {.resizes = true, .shards = 1, .other_shards = 2});
}

TEST(Schedules, OfOperationsAResizeAndASaveAreLinearizable) {
  explore_histories(1500, {.resizes = true, .saves = true});
}

TEST(Schedules, OfOperationsOnKeysWithOneHashAreLinearizable) {
  explore_histories(
      800, {.resizes = true, .saves = true, .hash_mask = uint64_t{7} << 40 | 1, .same_hash = true});
}

TEST(Schedules, OfPairsOfKeysAreLinearizable) {
  constexpr Mix kPairs = {2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5, 1, 2, 2, 2};
  explore_histories(1500, {.mix = kPairs});
  explore_histories(1000, {.mix = kPairs, .resizes = true});
}

TEST(Schedules, OfComparesCountersAndExpiriesAreLinearizable) {
  explore_histories(700, {.mix = kMixOfCompares, .resizes = true});
  explore_histories(500, {.mix = kMixOfCounters, .saves = true});
  explore_histories(700, {.mix = kMixOfExpiries, .resizes = true});
}

TEST(Schedules, OfWritersAtALimitOfKeysAreLinearizable) {
  explore_histories(1500, {.mix = kMixWithLimit, .max_keys = 2, .resizes = true});
  explore_histories(1000, {.mix = kMixWithCounts, .max_keys = 1});
}

// --- Saves ---------------------------------------------------------------------------------------

TEST(Schedules, OfASaveFindOneInstant) {
  const Keys keys = moving_keys(kHash, kShards, kMoreShards);
  explore(2500, [&keys](uint64_t seed) {
    auto ns = std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, kHash));
    const auto set_both = [=](const char* value) {
      const std::array<KeyValue, 2> items = {
          {{.key = keys[0], .value = value}, {.key = keys[1], .value = value}}};
      EXPECT_TRUE(is_ok(ns->set_multiple(items, BatchMode::kAllOrNothing).status));
    };
    set_both("0");
    EXPECT_TRUE(is_ok(ns->put("gone", "0")));
    const auto write_pairs = [=] {
      set_both("1");
      set_both("2");
    };
    // One after the other, into one shard or several.
    const auto write_chain = [=] {
      EXPECT_TRUE(is_ok(ns->put("first", "1")));
      EXPECT_TRUE(is_ok(ns->put(keys[2], "1")));
      EXPECT_TRUE(is_ok(ns->delete_key("gone")));
      EXPECT_TRUE(is_ok(ns->put("last", "1")));
    };
    const auto save = [=] {
      const auto found = saved(*ns);
      ASSERT_TRUE(found.has_value());
      ASSERT_TRUE(found->contains(keys[0]) && found->contains(keys[1]));
      EXPECT_EQ(found->at(keys[0]), found->at(keys[1]));
      const std::array<bool, 4> chain = {found->contains("first"), found->contains(keys[2]),
                                         !found->contains("gone"), found->contains("last")};
      EXPECT_TRUE(std::is_sorted(chain.rbegin(), chain.rend()))
          << chain[0] << chain[1] << chain[2] << chain[3];
    };
    std::vector<std::function<void()>> bodies = {write_pairs, write_chain, save};
    if (seed % 2 == 0)
      bodies.push_back([=] { EXPECT_TRUE(is_ok(ns->resize_shards(kMoreShards))); });
    if (seed % 3 == 0) bodies.push_back(save);
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      EXPECT_EQ(value_of(*ns, keys[0]), "2");
                      EXPECT_EQ(value_of(*ns, keys[1]), "2");
                      EXPECT_EQ(count_of(*ns), 5u);
                      expect_at_rest(*ns);
                    }};
  });
}

// One of all namespaces: a writer gives each number to the first, then to the second.
TEST(Schedules, OfASaveOfTwoNamespacesFindOneInstant) {
  explore(1000, [](uint64_t seed) {
    const auto make = [] {
      return std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, kHash));
    };
    const auto first = make();
    const auto second = make();
    const auto write = [=](int number) {
      EXPECT_TRUE(is_ok(first->put("number", std::to_string(number))));
      EXPECT_TRUE(is_ok(second->put("number", std::to_string(number))));
    };
    write(0);
    const auto save = [=] {
      const auto found = saved_together({*first, *second});
      ASSERT_TRUE(found.has_value());
      const int ahead = std::stoi(found->at(0).at("number"));
      const int behind = std::stoi(found->at(1).at("number"));
      EXPECT_TRUE(ahead == behind || ahead == behind + 1) << ahead << ' ' << behind;
    };
    std::vector<std::function<void()>> bodies = {[=] {
                                                   write(1);
                                                   write(2);
                                                 },
                                                 save};
    if (seed % 2 == 0) {
      bodies.push_back([=] { EXPECT_TRUE(is_ok(second->resize_shards(kMoreShards))); });
    }
    if (seed % 3 == 0) bodies.push_back(save);
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      EXPECT_EQ(value_of(*first, "number"), "2");
                      EXPECT_EQ(value_of(*second, "number"), "2");
                      expect_at_rest(*first);
                      expect_at_rest(*second);
                    }};
  });
}

// Whatever becomes of the entries that it has not come to, is looking at, or is through with.
TEST(Schedules, OfSavesFindAStateThatThereWas) {
  explore(2500, [](uint64_t seed) {
    const KeyHash hash(0x5EED, seed % 5 == 0 ? testing::kWeakMask : ~uint64_t{0});
    auto ns = std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, hash));
    auto writer = std::make_shared<OneWriter>(*ns, seed, 5);
    for (int i = 0; i < 6; ++i) writer->change();
    const auto write = [=] {
      for (int i = 0; i < 6; ++i) writer->change();
    };
    const auto save = [=] {
      const size_t from = writer->done();
      const auto cut = Cut::take({impl_of(*ns)});
      const size_t to = writer->begun();
      ASSERT_TRUE(is_ok(cut));
      const auto found = OneWriter::content(**cut, [](uint32_t) { RKVS_SCHEDULE_POINT(); });
      writer->expect_was_there(found, from, to);
    };
    const auto cancel = CancelToken::create();
    std::vector<std::function<void()>> bodies = {write, save};
    if (seed % 2 == 0) {
      bodies.push_back([=] {
        // Up, and maybe back on the way.
        const StatusCode code = ns->resize_shards(kMoreShards, {.cancel = cancel}).code();
        EXPECT_TRUE(code == StatusCode::kOk || code == StatusCode::kCancelled);
        EXPECT_TRUE(is_ok(ns->resize_shards(1)));
      });
    }
    if (seed % 4 == 0) bodies.push_back([=] { cancel.cancel(); });
    if (seed % 3 == 0) bodies.push_back(save);
    return Scenario{.bodies = std::move(bodies), .check = [=] { expect_at_rest(*ns); }};
  });
}

// --- Ends ----------------------------------------------------------------------------------------

bool is_ok_or(StatusCode code, StatusCode end) { return code == StatusCode::kOk || code == end; }

TEST(Schedules, OfADeleteLetNothingBeWrittenIntoTheVoid) {
  const Keys keys = moving_keys(kHash, kShards, kMoreShards);
  explore(2000, [&keys](uint64_t seed) {
    auto ns = std::make_shared<Namespace>(make_namespace({.shard_count = kShards}, kHash));
    EXPECT_TRUE(is_ok(ns->put("a", "1")));
    constexpr StatusCode kEnd = StatusCode::kNamespaceDeleted;
    auto ended = std::make_shared<bool>(false);
    // What begins after the end is refused.
    const auto expect_end = [=](bool was_ended, StatusCode code) {
      EXPECT_TRUE(was_ended ? code == kEnd : is_ok_or(code, kEnd)) << status_code_name(code);
    };
    const auto write = [=] {
      for (const std::string& key : {keys[0], std::string("a")}) {
        const bool was_ended = *ended;
        expect_end(was_ended, ns->put(key, "2").code());
      }
    };
    const auto write_batch = [=] {
      const std::array<KeyValue, 2> items = {
          {{.key = keys[1], .value = "3"}, {.key = keys[2], .value = "3"}}};
      const bool was_ended = *ended;
      expect_end(was_ended, ns->set_multiple(items, BatchMode::kAllOrNothing).status.code());
    };
    const auto end = [=] {
      NamespaceImpl::of(*ns).close(kEnd);
      *ended = true;
      EXPECT_EQ(ns->get("a").code(), kEnd);
    };
    std::vector<std::function<void()>> bodies = {write, write_batch, end};
    if (seed % 2 == 0) {
      bodies.push_back([=] {
        const bool was_ended = *ended;
        expect_end(was_ended, ns->resize_shards(kMoreShards).code());
      });
    }
    if (seed % 3 == 0) bodies.push_back([=] { saved(*ns); });
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      EXPECT_EQ(entries_in(*ns), 0u);
                      EXPECT_EQ(ns->put("a", "4").code(), kEnd);
                      expect_at_rest(*ns);
                    }};
  });
}

TEST(Schedules, OfAManagerThatDeletesAndCreatesKeepNamesAndBytesRight) {
  explore(1500, [](uint64_t seed) {
    auto manager = std::make_shared<StorageManager>(StorageOptions{});
    EXPECT_TRUE(is_ok(manager->initialize()));
    EXPECT_TRUE(is_ok(manager->update_config({.max_namespaces = 2, .max_bytes = 1 << 30})));
    const NamespaceConfig config = patient({.shard_count = kShards});
    auto old = std::make_shared<Namespace>(*manager->create_namespace("a", config));
    EXPECT_TRUE(is_ok(old->put("k", "1")));
    const auto write = [=] {
      const StatusCode code = old->put("k2", std::string(500, '.')).code();
      EXPECT_TRUE(is_ok_or(code, StatusCode::kNamespaceDeleted)) << status_code_name(code);
    };
    const auto replace = [=] {
      EXPECT_TRUE(is_ok(manager->delete_namespace("a")));
      EXPECT_EQ(old->get("k").code(), StatusCode::kNamespaceDeleted);
      const auto made = manager->create_namespace("a", config);
      EXPECT_TRUE(is_ok(made));
      if (made.ok()) {
        EXPECT_EQ(made->get("k").code(), StatusCode::kNotFound);
      }
    };
    auto created = std::make_shared<int>(0);
    const auto create = [=](const char* name) {
      return [=] {
        const StatusCode code = manager->create_namespace(name, config).code();
        EXPECT_TRUE(is_ok_or(code, StatusCode::kTooManyNamespaces)) << status_code_name(code);
        *created += code == StatusCode::kOk;
      };
    };
    std::vector<std::function<void()>> bodies = {write, create("b")};
    // With both there are three names for two places, so that `replace` could find its own taken.
    bodies.push_back(seed % 2 == 0 ? std::function<void()>(replace) : create("c"));
    if (seed % 3 == 0) {
      bodies.push_back([=] {
        EXPECT_TRUE(is_ok(manager->update_config({.max_namespaces = 2, .max_bytes = 1 << 29})));
      });
    }
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      const auto names = manager->list_namespaces();
                      ASSERT_TRUE(is_ok(names));
                      EXPECT_LE(names->size(), 2u);
                      uint64_t used = 0;
                      const Budget* shared = nullptr;
                      for (const std::string& name : *names) {
                        const auto ns = manager->get_namespace(name);
                        ASSERT_TRUE(is_ok(ns));
                        used += stats_of(*ns).memory_bytes;
                        shared = NamespaceImpl::of(*ns).usage().shared();
                      }
                      ASSERT_NE(shared, nullptr);
                      EXPECT_EQ(shared->used(), used);
                    }};
  });
}

TEST(Schedules, OfACloseEndEverythingOnce) {
  explore(1500, [](uint64_t seed) {
    auto manager = std::make_shared<StorageManager>(StorageOptions{});
    EXPECT_TRUE(is_ok(manager->initialize()));
    const NamespaceConfig config = patient({.shard_count = kShards});
    auto ns = std::make_shared<Namespace>(*manager->create_namespace("a", config));
    auto made = std::make_shared<std::optional<Namespace>>();
    constexpr StatusCode kEnd = StatusCode::kClosed;
    const bool deletes = seed % 3 == 0;
    // Whichever of the two comes first.
    const auto is_end = [=](StatusCode code) {
      return code == kEnd || (deletes && code == StatusCode::kNamespaceDeleted);
    };
    const auto close = [=] {
      EXPECT_TRUE(is_ok(manager->close()));
      EXPECT_TRUE(is_end(ns->put("k", "0").code()));
      EXPECT_EQ(manager->list_namespaces().code(), kEnd);
    };
    const auto write = [=] {
      for (const char* key : {"a", "b"}) {
        const StatusCode code = ns->put(key, "1").code();
        EXPECT_TRUE(code == StatusCode::kOk || is_end(code)) << status_code_name(code);
      }
    };
    const auto create = [=] {
      auto created = manager->create_namespace("b", config);
      EXPECT_TRUE(is_ok_or(created.code(), kEnd)) << status_code_name(created.code());
      if (!created.ok()) return;
      const StatusCode code = created->put("k", "1").code();
      EXPECT_TRUE(is_ok_or(code, kEnd)) << status_code_name(code);
      *made = *std::move(created);
    };
    std::vector<std::function<void()>> bodies = {close, write, create};
    if (seed % 2 == 0) bodies.push_back(close);
    // Never as if there were no namespaces any more.
    if (seed % 5 == 0) {
      bodies.push_back([=] {
        const auto found = manager->get_namespace("a");
        EXPECT_TRUE(is_ok_or(found.code(), kEnd) ||
                    (deletes && found.code() == StatusCode::kNamespaceNotFound))
            << status_code_name(found.code());
        const auto count = manager->namespace_count();
        EXPECT_TRUE(is_ok_or(count.code(), kEnd)) << status_code_name(count.code());
        EXPECT_TRUE(!count.ok() || *count >= (deletes ? 0u : 1u));
        const auto names = manager->list_namespaces();
        EXPECT_TRUE(is_ok_or(names.code(), kEnd)) << status_code_name(names.code());
        EXPECT_TRUE(!names.ok() || names->size() >= (deletes ? 0u : 1u));
      });
    }
    if (deletes) {
      bodies.push_back([=] {
        const StatusCode code = manager->delete_namespace("a").code();
        EXPECT_TRUE(is_ok_or(code, kEnd)) << status_code_name(code);
      });
    }
    return Scenario{.bodies = std::move(bodies), .check = [=] {
                      EXPECT_EQ(entries_in(*ns), 0u);
                      if (!made->has_value()) return;
                      EXPECT_EQ((*made)->put("k", "2").code(), kEnd);
                      EXPECT_EQ(entries_in(**made), 0u);
                    }};
  });
}

}  // namespace
}  // namespace rkvs::testing
