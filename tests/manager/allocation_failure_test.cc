// Every operation, with each of its allocations failing in turn: the n-th call of operator new, or
// the n-th block of the Arena, once or from then on, for every n until the operation needs no more.
// It answers NoMemory or succeeds, throws nothing, changes all or nothing, leaks nothing, and
// leaves a store that works. The same while a save is on, which finds what was there when it began.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "store/namespace_image.h"
#include "tests/manager/failing_new.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;
using internal::Arena;
using internal::NamespaceImpl;

constexpr uint64_t kMaxKeys = 1000;
constexpr int kKeys = 60;

// Longer than what strings hold without an allocation.
std::string long_name(std::string_view name) {
  return "a name that is too long for the small string optimisation: " + std::string(name);
}
std::string key(int i) { return long_name(std::to_string(i)); }

// What operations are called with, made before failures begin.
struct Arguments {
  std::string users = long_name("users");
  std::string fresh = long_name("fresh");
  std::string file = long_name("file");
  std::string present = key(1);
  std::string absent = long_name("absent");
  std::string other = long_name("other");
  std::string value = std::string(500, 'v');
  std::vector<std::string> keys;   // half of them there
  std::vector<std::string> there;  // all of them there
  std::vector<std::string_view> key_views;
  std::vector<std::string_view> there_views;
  std::vector<KeyValue> items;
  AutosaveConfig autosave = {.interval = 10min, .file = "{ns}, saved now and then"};

  Arguments() {
    for (int i = 0; i < 2 * kKeys; i += 5) keys.push_back(key(i));
    for (int i = 0; i < kKeys; i += 5) there.push_back(key(i));
    key_views.assign(keys.begin(), keys.end());
    there_views.assign(there.begin(), there.end());
    for (const std::string& k : keys) items.push_back({k, value});
  }
};

const Arguments& args() {
  static const Arguments arguments;
  return arguments;
}

// A directory with a file that holds one namespace, "saved", made once.
const TempDir& directory() {
  static const auto* const made = [] {
    auto* const dir = new TempDir;
    StorageManager manager = manager_in(*dir);
    EXPECT_OK(manager.initialize());
    Namespace saved = *manager.create_namespace(long_name("saved"), {.shard_count = 2});
    for (int i = 0; i < kKeys; ++i) EXPECT_OK(saved.put(key(i), "saved"));
    EXPECT_OK(manager.save_all(args().file));
    return dir;
  }();
  return *made;
}

struct Store {
  Store() : manager(manager_in(directory())) {
    EXPECT_OK(manager.initialize());
    users = *manager.create_namespace(args().users, {.max_keys = kMaxKeys, .shard_count = 3});
    for (int i = 0; i < kKeys; ++i) EXPECT_OK(users.put(key(i), "before"));
    EXPECT_OK(manager.create_namespace(args().other));
  }
  StorageManager manager;
  Namespace users;
};

struct Operation {
  const char* name;
  std::function<StatusCode(Store&)> call;
  StatusCode expected = StatusCode::kOk;
  // Without memory it may have done a part: best-effort batches, resizes.
  bool in_parts = false;

  friend void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }
};

// Everything that can be seen of a store.
struct View {
  std::vector<std::string> names;
  Contents contents;
  NamespaceConfig config;
  StorageConfig manager_config;
  std::vector<std::pair<std::string, AutosaveConfig>> tasks;

  explicit View(const Store& store)
      : names(*store.manager.list_namespaces()),
        config(store.users.get_config()),
        manager_config(store.manager.get_config()) {
    if (store.users.metadata().ok()) contents = contents_of(store.users);
    const auto list = store.manager.list_autosave_tasks();
    for (const AutosaveStatus& task : *list) tasks.emplace_back(task.namespace_name, task.config);
  }
  friend bool operator==(const View&, const View&) = default;
};

// That all accounts agree, and a little work to see that the store is alive.
void expect_sound(Store& store) {
  const auto stats = store.users.metadata();
  if (stats.code() == StatusCode::kNamespaceDeleted) return;
  ASSERT_OK(stats);
  const Contents contents = contents_of(store.users);
  uint64_t bytes = 0;
  for (const auto& [k, value] : contents) bytes += value.size();
  EXPECT_EQ(stats->key_count, contents.size());
  EXPECT_EQ(stats->total_size, bytes);
  const auto counts = store.users.shard_key_counts();
  EXPECT_EQ(std::accumulate(counts->begin(), counts->end(), uint64_t{0}), contents.size());
  NamespaceImpl& impl = NamespaceImpl::of(store.users);
  EXPECT_EQ(impl.usage().headroom(), impl.usage().max_keys() - contents.size());
  for (const Namespace& ns : {store.users, find(store.manager, args().other)}) {
    EXPECT_EQ(NamespaceImpl::of(ns).resizer().is_automatic(), ns.get_config().shard_count == 0);
  }

  EXPECT_OK(store.users.put("\x01 probe", "alive"));
  EXPECT_EQ(*store.users.consume("\x01 probe"), "alive");
  EXPECT_OK(store.manager.create_namespace("\x21 probe"));
  EXPECT_OK(store.manager.delete_namespace("\x21 probe"));
}

// A save of one namespace that has begun and gone no further.
std::unique_ptr<internal::Cut> begin_save(const Namespace& ns) {
  const std::shared_ptr<NamespaceImpl> impl(&NamespaceImpl::of(ns), [ns](NamespaceImpl*) {});
  auto cut = internal::Cut::take({impl});
  EXPECT_OK(cut);
  return cut.ok() ? *std::move(cut) : nullptr;
}

Contents content_of(internal::Cut& cut) {
  Contents found;
  internal::NamespaceImage& image = cut.namespaces().front();
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    const auto entries = image.entries(shard);
    EXPECT_OK(entries);
    if (!entries.ok()) return {};
    for (const internal::Entry* entry : *entries) found.emplace(entry->key(), entry->value());
    image.release(shard);
  }
  return found;
}

enum class During { kNothing, kSave };

// One run on a store of its own; true if it needed fewer than `n` allocations.
template <typename Arm, typename Disarm>
bool run_once(const Operation& operation, Arm arm, Disarm disarm,
              During during = During::kNothing) {
  Store store;
  const View before(store);
  const auto save = during == During::kSave ? begin_save(store.users) : nullptr;
  StatusCode code = StatusCode::kInternal;
  bool threw = false;
  arm();
  try {
    code = operation.call(store);
  } catch (...) {
    threw = true;  // which itself allocates nothing
  }
  const bool failed = disarm();
  EXPECT_FALSE(threw) << "an exception left the library";
  if (threw) return false;
  EXPECT_TRUE(code == operation.expected || (failed && code == StatusCode::kNoMemory))
      << status_code_name(code);
  if (code == StatusCode::kNoMemory && !operation.in_parts) {
    EXPECT_TRUE(View(store) == before) << "it changed something and then said NoMemory";
  }
  expect_sound(store);
  if (code == StatusCode::kNoMemory) {
    EXPECT_EQ(status_code_name(operation.call(store)), status_code_name(operation.expected))
        << "it does not work afterwards";
    expect_sound(store);
  }
  if (save != nullptr) {
    EXPECT_TRUE(content_of(*save) == before.contents) << "the save has found something else";
  }
  return !failed;
}

// Runs on a thread of its own, whose caches of blocks go with it: what the arena has in use
// afterwards must be what it had before.
template <typename Run>
void expect_no_leak(Run run) {
  const size_t before = Arena::stats().bytes_in_use;
  std::thread(run).join();
  EXPECT_EQ(Arena::stats().bytes_in_use, before) << "blocks of the arena leaked";
}

// Whether a save has anything to do with it.
bool changes_entries(const Operation& operation) {
  Store store;
  const NamespaceImpl& impl = NamespaceImpl::of(store.users);
  const uint64_t before = impl.changes();
  operation.call(store);
  return operation.in_parts || impl.changes() != before;
}

class AllocationFailure : public ::testing::TestWithParam<Operation> {};

TEST_P(AllocationFailure, OfOperatorNewIsNoMemoryOrHarmless) {
  directory();
  expect_no_leak([] {
    run_once(
        GetParam(), [] {}, [] { return false; });
  });
  for (const bool for_good : {false, true}) {
    bool done = false;
    for (int64_t n = 1; !done && !HasFailure(); n += for_good && is_instrumented() ? 3 : 1) {
      SCOPED_TRACE("allocation " + std::to_string(n) + (for_good ? " and all later ones" : ""));
      expect_no_leak([&] {
        done = run_once(
            GetParam(), [&] { fail_allocations_of_this_thread(n, for_good); },
            stop_failing_allocations);
      });
      ASSERT_LT(n, 20'000);
    }
  }
}

TEST_P(AllocationFailure, OfOperatorNewDuringASaveIsNoMemoryOrHarmless) {
  directory();
  bool done = !changes_entries(GetParam());
  for (int64_t n = 1; !done && !HasFailure(); ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    expect_no_leak([&] {
      done = run_once(
          GetParam(), [&] { fail_allocations_of_this_thread(n, false); }, stop_failing_allocations,
          During::kSave);
    });
    ASSERT_LT(n, 20'000);
  }
}

void sweep_arena(const Operation& operation, During during) {
  // The arena does not say whether the failure has come: the sweep ends where nothing has changed
  // for a while.
  constexpr int kEnough = 12;
  int unharmed = 0;
  for (int64_t n = 1; unharmed < kEnough && !::testing::Test::HasFailure(); ++n) {
    SCOPED_TRACE("block " + std::to_string(n));
    Operation watched = operation;
    bool first = true;
    StatusCode first_code = StatusCode::kInternal;
    watched.call = [&](Store& store) {
      const StatusCode code = operation.call(store);
      if (std::exchange(first, false)) first_code = code;
      return code;
    };
    expect_no_leak([&] {
      run_once(
          watched, [&] { Arena::fail_nth_allocation_for_testing(n); },
          [] {
            Arena::fail_nth_allocation_for_testing(0);
            return true;
          },
          during);
    });
    unharmed = first_code == StatusCode::kNoMemory ? 0 : unharmed + 1;
    ASSERT_LT(n, 20'000);
  }
}

TEST_P(AllocationFailure, OfTheArenaIsNoMemoryOrHarmless) {
  directory();
  sweep_arena(GetParam(), During::kNothing);
}

TEST_P(AllocationFailure, OfTheArenaDuringASaveIsNoMemoryOrHarmless) {
  directory();
  if (changes_entries(GetParam())) sweep_arena(GetParam(), During::kSave);
}

// Ok as well when the task is running already.
StatusCode add_autosave(Store& s) {
  const Status status = s.manager.add_namespace_autosave_task(args().users, args().autosave);
  return status.code() == StatusCode::kAutosaveExists ? StatusCode::kOk : status.code();
}

const Operation kOperations[] = {
    // The manager.
    {"CreateNamespace", [](Store& s) { return s.manager.create_namespace(args().fresh).code(); }},
    {"CreateNamespaceWithManyShards",
     [](Store& s) {
       return s.manager.create_namespace(args().fresh, {.shard_count = 100}).code();
     }},
    {"CreateNamespaceTwice",
     [](Store& s) { return s.manager.create_namespace(args().users).code(); },
     StatusCode::kNamespaceExists},
    {"CreateNamespaceWithABadName",
     [](Store& s) { return s.manager.create_namespace("\n").code(); }, StatusCode::kInvalidName},
    {"GetNamespace", [](Store& s) { return s.manager.get_namespace(args().users).code(); }},
    {"GetNamespaceThatIsNotThere",
     [](Store& s) { return s.manager.get_namespace(args().absent).code(); },
     StatusCode::kNamespaceNotFound},
    {"DeleteNamespace", [](Store& s) { return s.manager.delete_namespace(args().users).code(); }},
    {"ListNamespaces", [](Store& s) { return s.manager.list_namespaces().code(); }},
    {"NamespaceCount", [](Store& s) { return s.manager.namespace_count().code(); }},
    {"NamespaceStats", [](Store& s) { return s.manager.namespace_stats(args().users).code(); }},
    {"AllNamespaceStats", [](Store& s) { return s.manager.all_namespace_stats().code(); }},
    {"LoadReport", [](Store& s) { return s.manager.load_report().code(); }},
    {"MetricsText", [](Store& s) { return s.manager.metrics_text().code(); }},
    {"CloneNamespace",
     [](Store& s) { return s.manager.clone_namespace(args().users, args().fresh).code(); }},
    {"StopManagerAutosave", [](Store& s) { return s.manager.stop_manager_autosave().code(); },
     StatusCode::kAutosaveNotRunning},
    {"TotalKeyCount", [](Store& s) { return s.manager.total_key_count().code(); }},
    {"UpdateManagerConfig",
     [](Store& s) { return s.manager.update_config({.max_namespaces = 5}).code(); }},
    {"UpdateNamespaceConfig",
     [](Store& s) {
       return s.manager.update_namespace_config(args().users, {.max_keys = 500, .shard_count = 3})
           .code();
     }},

    // Files.
    {"SaveAll", [](Store& s) { return s.manager.save_all("saved by save_all").code(); }},
    {"SaveNamespace",
     [](Store& s) { return s.manager.save_namespace(args().users, "saved by itself").code(); }},
    {"LoadNamespace", [](Store& s) { return s.manager.load_namespace(args().file).code(); }},
    {"LoadNamespaceAs",
     [](Store& s) { return s.manager.load_namespace_as(args().file, args().fresh).code(); }},
    {"LoadNamespaceAsFrom",
     [](Store& s) {
       static const std::string saved = long_name("saved");
       return s.manager.load_namespace_as(args().file, args().fresh, saved).code();
     }},
    {"LoadNamespaceThatIsNotThere",
     [](Store& s) { return s.manager.load_namespace(args().absent).code(); },
     StatusCode::kSnapshotNotFound},

    // Autosave.
    {"AddAutosave", [](Store& s) { return add_autosave(s); }},
    {"ListAutosave",
     [](Store& s) {
       if (const StatusCode code = add_autosave(s); code != StatusCode::kOk) return code;
       return s.manager.list_autosave_tasks().code();
     },
     StatusCode::kOk, true},
    {"StopAndStartAutosave",
     [](Store& s) {
       if (const StatusCode code = add_autosave(s); code != StatusCode::kOk) return code;
       if (const Status stopped = s.manager.stop_namespace_autosave(args().users);
           !stopped.ok() && stopped.code() != StatusCode::kAutosaveNotRunning) {
         return stopped.code();
       }
       const auto started = s.manager.start_missing_autosave_tasks();
       EXPECT_EQ(started.ok() ? *started : 1U, 1U);
       return started.code();
     },
     StatusCode::kOk, true},
    {"DeleteNamespaceWithAutosave",
     [](Store& s) {
       if (s.users.metadata().code() == StatusCode::kNamespaceDeleted) return StatusCode::kOk;
       if (const StatusCode code = add_autosave(s); code != StatusCode::kOk) return code;
       return s.manager.delete_namespace(args().users).code();
     },
     StatusCode::kOk, true},

    // One key.
    {"Get", [](Store& s) { return s.users.get(args().present).code(); }},
    {"Exists", [](Store& s) { return s.users.exists(args().present).code(); }},
    {"SetOfAPresentKey", [](Store& s) { return s.users.set(args().present, args().value).code(); }},
    {"SetOfAnAbsentKey", [](Store& s) { return s.users.set(args().absent, args().value).code(); }},
    {"PutOfAPresentKey", [](Store& s) { return s.users.put(args().present, "beyond").code(); }},
    {"PutOfAnAbsentKey", [](Store& s) { return s.users.put(args().absent, args().value).code(); }},
    {"Update", [](Store& s) { return s.users.update(args().present, args().value).code(); }},
    {"DeleteKey", [](Store& s) { return s.users.delete_key(args().present).code(); }},
    {"Consume", [](Store& s) { return s.users.consume(args().present).code(); }},
    {"GetWithVersion", [](Store& s) { return s.users.get_with_version(args().present).code(); }},
    {"SetWithExpiry",
     [](Store& s) {
       return s.users.set(args().present, args().value, {.expire_after = 10min}).code();
     }},
    {"PutWithExpiryOfAnAbsentKey",
     [](Store& s) {
       return s.users.put(args().absent, args().value, {.expire_after = 10min}).code();
     }},
    {"Add", [](Store& s) { return s.users.add(args().absent, args().value).code(); }},
    {"AddOfAPresentKey", [](Store& s) { return s.users.add(args().present, args().value).code(); },
     StatusCode::kExists},
    {"UpdateKeepingTheExpiry",
     [](Store& s) {
       return s.users.update(args().present, args().value, {.keep_ttl = true}).code();
     }},
    {"CompareAndSet",
     [](Store& s) {
       const auto found = s.users.get_with_version(args().present);
       if (!found.ok()) return found.code();
       return s.users.compare_and_set(args().present, found->version, args().value).code();
     }},
    {"CompareAndSetOfAnOldVersion",
     [](Store& s) { return s.users.compare_and_set(args().present, 1'000'000, "v").code(); },
     StatusCode::kVersionMismatch},
    {"CompareAndDelete",
     [](Store& s) {
       const auto found = s.users.get_with_version(args().present);
       if (!found.ok()) return found.code();
       return s.users.compare_and_delete(args().present, found->version).code();
     }},
    {"Touch", [](Store& s) { return s.users.touch(args().present, 10min).code(); }},
    {"TtlAndPersist",
     [](Store& s) {
       if (Status status = s.users.touch(args().present, 10min); !status.ok()) {
         return status.code();
       }
       if (const auto ttl = s.users.ttl(args().present); !ttl.ok()) return ttl.code();
       return s.users.persist(args().present).code();
     },
     StatusCode::kOk, true},
    {"IncrementOfAnAbsentKey", [](Store& s) { return s.users.increment(args().absent).code(); }},
    {"DecrementOfWhatIsNoNumber", [](Store& s) { return s.users.decrement(args().present).code(); },
     StatusCode::kNotANumber},
    {"Transform",
     [](Store& s) {
       return s.users
           .transform(
               args().present,
               [](std::optional<std::string_view>) { return std::optional<std::string>("beyond"); })
           .code();
     }},
    {"TransformThatDeletes",
     [](Store& s) {
       return s.users
           .transform(args().present,
                      [](std::optional<std::string_view>) { return std::optional<std::string>(); })
           .code();
     }},
    {"SetOfATooLargeKey",
     [](Store& s) {
       static const std::string large(kDefaultMaxKeySize + 1, 'k');
       return s.users.set(large, "").code();
     },
     StatusCode::kKeyTooLarge},
    {"FillingAnEmptyNamespace",
     [](Store& s) {
       // Tables grow, and with them the number of shards is looked at.
       auto other = s.manager.get_namespace(args().other);
       if (!other.ok()) return other.code();
       for (const std::string& k : args().keys) {
         if (Status status = other->put(k, args().value); !status.ok()) return status.code();
       }
       return StatusCode::kOk;
     }},

    // Many keys.
    {"GetMultiple",
     [](Store& s) {
       return s.users.get_multiple(args().there_views, BatchMode::kAllOrNothing).status.code();
     }},
    {"GetMultipleWithMissingKeys",
     [](Store& s) {
       return s.users.get_multiple(args().key_views, BatchMode::kAllOrNothing).status.code();
     },
     StatusCode::kNotFound},
    {"GetMultipleBestEffort",
     [](Store& s) {
       return s.users.get_multiple(args().key_views, BatchMode::kBestEffort).status.code();
     }},
    {"SetMultiple",
     [](Store& s) {
       return s.users.set_multiple(args().items, BatchMode::kAllOrNothing).status.code();
     }},
    {"DeleteMultiple",
     [](Store& s) {
       return s.users.delete_multiple(args().there_views, BatchMode::kAllOrNothing).status.code();
     }},
    {"ConsumeMultiple",
     [](Store& s) {
       return s.users.consume_multiple(args().there_views, BatchMode::kAllOrNothing).status.code();
     }},
    {"SetMultipleBestEffort",
     [](Store& s) {
       const auto result = s.users.set_multiple(args().items, BatchMode::kBestEffort);
       for (const BatchItem& item : result.items) {
         if (item.code != StatusCode::kOk) return item.code;
       }
       return result.status.code();
     },
     StatusCode::kOk, true},
    {"DeleteMultipleBestEffort",
     [](Store& s) {
       return s.users.delete_multiple(args().key_views, BatchMode::kBestEffort).status.code();
     },
     StatusCode::kOk, true},
    {"ConsumeMultipleBestEffort",
     [](Store& s) {
       return s.users.consume_multiple(args().key_views, BatchMode::kBestEffort).status.code();
     },
     StatusCode::kOk, true},
    {"ExistsMultiple",
     [](Store& s) {
       return s.users.exists_multiple(args().key_views, BatchMode::kBestEffort).status.code();
     }},
    {"UpdateMultiple",
     [](Store& s) {
       static const std::vector<KeyValue> items = [] {
         std::vector<KeyValue> all;
         for (const std::string& k : args().there) all.push_back({k, args().value});
         return all;
       }();
       return s.users.update_multiple(items, BatchMode::kAllOrNothing).status.code();
     }},
    {"SetMultipleWithExpiry",
     [](Store& s) {
       return s.users.set_multiple(args().items, BatchMode::kAllOrNothing, {.expire_after = 10min})
           .status.code();
     }},
    {"Apply",
     [](Store& s) {
       static const AtomicBatch batch = [] {
         AtomicBatch made;
         made.set(args().present, args().value).add(args().absent, args().value);
         made.increment("counter").check_exists(args().there[2]).delete_key(args().there[2]);
         made.consume(args().there[3]).update(args().there[4], args().value);
         return made;
       }();
       return s.users.apply(batch).status.code();
     }},
    {"ApplyThatFails",
     [](Store& s) {
       static const AtomicBatch batch = [] {
         AtomicBatch made;
         made.set(args().present, args().value).update(args().absent, args().value);
         return made;
       }();
       return s.users.apply(batch).status.code();
     },
     StatusCode::kNotFound},
    {"Scan",
     [](Store& s) {
       auto scan = s.users.scan({.prefix = "a name", .with_values = true});
       if (!scan.ok()) return scan.code();
       while (!scan->is_done()) {
         if (const auto items = scan->next(7); !items.ok()) return items.code();
       }
       return StatusCode::kOk;
     }},
    {"DeletePrefix",
     [](Store& s) { return s.users.delete_prefix("a name that is too long").code(); },
     StatusCode::kOk, true},
    {"Clear", [](Store& s) { return s.users.clear().code(); }},
    {"ListKeys", [](Store& s) { return s.users.list_keys().code(); }},
    {"ScanThatGoesOn",
     [](Store& s) {
       auto scan = s.users.scan({.with_values = true});
       if (!scan.ok()) return scan.code();
       size_t seen = 0;
       while (!scan->is_done()) {
         // Without memory a step gives nothing and loses nothing: it can be tried again.
         auto items = scan->next(7);
         if (items.code() == StatusCode::kNoMemory) items = scan->next(7);
         if (!items.ok()) return items.code();
         seen += items->size();
       }
       return seen == kKeys ? StatusCode::kOk : StatusCode::kInternal;
     }},

    // Configuration, shards, figures.
    {"SetMaxKeys", [](Store& s) { return s.users.set_max_keys(200).code(); }},
    {"SetMaxKeysBelowUse", [](Store& s) { return s.users.set_max_keys(2).code(); },
     StatusCode::kLimitBelowUse},
    {"SetMaxBytes", [](Store& s) { return s.users.set_max_bytes(10'000'000).code(); }},
    {"SetMaxValueSize", [](Store& s) { return s.users.set_max_value_size(1000).code(); }},
    {"SetLockTimeout", [](Store& s) { return s.users.set_lock_timeout(700ms).code(); }},
    {"ShardStats", [](Store& s) { return s.users.shard_stats().code(); }},
    {"UpdateConfig",
     [](Store& s) { return s.users.update_config({.max_keys = 300, .shard_count = 3}).code(); }},
    {"ResizeUp", [](Store& s) { return s.users.resize_shards(37).code(); }, StatusCode::kOk, true},
    {"ResizeDown", [](Store& s) { return s.users.resize_shards(1).code(); }, StatusCode::kOk, true},
    {"ResizeToAutomatic", [](Store& s) { return s.users.resize_shards(0).code(); }, StatusCode::kOk,
     true},
    {"ResizeOfAnAutomaticNamespace",
     [](Store& s) {
       auto other = s.manager.get_namespace(args().other);
       return other.ok() ? other->resize_shards(40).code() : other.code();
     },
     StatusCode::kOk, true},
    {"Metadata", [](Store& s) { return s.users.metadata().code(); }},
    {"ShardKeyCounts", [](Store& s) { return s.users.shard_key_counts().code(); }},
};

INSTANTIATE_TEST_SUITE_P(All, AllocationFailure, ::testing::ValuesIn(kOperations),
                         [](const auto& row) { return std::string(row.param.name); });

// The one operation that cannot be tried again on the same manager once it has succeeded. `keys`:
// how many the file, or the generation of it that is whole, holds.
void sweep_initialize(const std::string& file, const std::string& whole, uint64_t keys) {
  StorageOptions options{.directory = directory().path(), .log = [](LogLevel, std::string_view) {}};
  for (const bool for_good : {false, true}) {
    bool done = false;
    for (int64_t n = 1; !done && !::testing::Test::HasFailure(); ++n) {
      SCOPED_TRACE("allocation " + std::to_string(n));
      expect_no_leak([&] {
        StorageManager manager(options);
        StatusCode code = StatusCode::kInternal;
        fail_allocations_of_this_thread(n, for_good);
        bool threw = false;
        try {
          code = manager.initialize(file).code();
        } catch (...) {
          threw = true;
        }
        const bool failed = stop_failing_allocations();
        ASSERT_FALSE(threw) << "an exception left the library";
        done = !failed;
        EXPECT_EQ(manager.is_initialized(), code == StatusCode::kOk);
        if (!manager.is_initialized()) {
          EXPECT_EQ(status_code_name(code), "NoMemory");
          EXPECT_TRUE(failed);
          EXPECT_OK(manager.initialize(file));
        }
        EXPECT_EQ(*manager.total_key_count(), keys);
        EXPECT_EQ(manager.load_report()->file, whole);
      });
      ASSERT_LT(n, 20'000);
    }
  }
}

TEST(AllocationFailureOfInitialize, LeavesTheManagerUninitialised) {
  directory();
  sweep_initialize(args().file, args().file, kKeys);
}

// Want of memory is not damage, and no reason to go back to an older file.
TEST(AllocationFailureOfInitialize, LoadsNoOlderGenerationThanItMust) {
  const std::string file = long_name("generations");
  StorageManager manager = manager_in(directory());
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace(long_name("ns"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(ns.put(key(i), "v"));
    ASSERT_OK(manager.save_all(file));
  }
  sweep_initialize(file, file, 3);
  write_file(directory() / file, "damaged");
  sweep_initialize(file, file + ".1", 2);
}

}  // namespace
}  // namespace rkvs
