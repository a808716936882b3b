// What the synchronous functions of the C API give out: items of batches and scans one by one and
// in columns, values that outlive what they came from, what a transform makes of a key; and queues
// where the system has nothing to give.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/capi/world.h"

namespace rkvs::capi_test {
namespace {

using Contents = std::map<std::string, std::string>;

template <typename T>
T sized() {
  T structure = {};
  structure.struct_size = sizeof structure;
  return structure;
}

std::string text_of(const void* bytes, size_t size) {
  return {static_cast<const char*>(bytes), size};
}

std::string text_of(const rkvs_value* value) {
  return text_of(rkvs_value_data(value), rkvs_value_size(value));
}

rkvs_status put(rkvs_namespace* ns, const std::string& key, const std::string& value) {
  return rkvs_namespace_put(ns, key.data(), key.size(), value.data(), value.size(), nullptr,
                            nullptr);
}

// The key's value; "<none>" where there is no such key.
std::string get(rkvs_namespace* ns, const std::string& key) {
  rkvs_value* value = nullptr;
  const rkvs_status status = rkvs_namespace_get(ns, key.data(), key.size(), &value, nullptr);
  const std::string text = status == RKVS_OK ? text_of(value) : "<none>";
  rkvs_value_release(value);
  return text;
}

// --- Scans
// -------------------------------------------------------------------------------------------

// All that a scan gives, in steps of `limit`, which are checked.
Contents scan_all(World& world, const rkvs_scan_options& options, size_t limit, bool with_values) {
  Contents found;
  rkvs_scan* scan = nullptr;
  EXPECT_EQ(rkvs_namespace_scan_open(world.ns, &options, &scan, nullptr), RKVS_OK);
  for (int steps = 0; rkvs_scan_is_done(scan) == 0 && steps < 1000; ++steps) {
    rkvs_batch_result* items = nullptr;
    EXPECT_EQ(rkvs_scan_next(scan, limit, &items, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_batch_result_status(items), RKVS_OK);
    for (size_t i = 0; i < rkvs_batch_result_count(items); ++i) {
      auto item = sized<rkvs_batch_item>();
      EXPECT_EQ(rkvs_batch_result_item(items, i, &item, nullptr), RKVS_OK);
      EXPECT_EQ(item.status, RKVS_OK);
      EXPECT_EQ(item.has_value, with_values ? 1 : 0);
      EXPECT_GT(item.version, 0U);
      const std::string key = text_of(item.key, item.key_size);
      EXPECT_EQ(found.count(key), 0U) << key << " comes twice";
      found[key] = text_of(item.value, item.value_size);
    }
    rkvs_batch_result_release(items);
  }
  EXPECT_EQ(rkvs_scan_is_done(scan), 1);
  rkvs_scan_release(scan);
  return found;
}

TEST(CApiResults, AScanGivesEveryKeyOnceInStepsOfAnySize) {
  World world;
  Contents all;
  for (int i = 0; i < 10; ++i) all["k" + std::to_string(i)] = "value";
  all["n"] = "5";
  for (const size_t limit : {size_t{1}, size_t{3}, size_t{1000}}) {
    EXPECT_EQ(scan_all(world, sized<rkvs_scan_options>(), limit, true), all) << limit;
  }
}

TEST(CApiResults, AScanOfKeysWithAPrefixBringsThoseKeysAndNoValues) {
  World world;
  auto options = sized<rkvs_scan_options>();
  options.flags = RKVS_SCAN_KEYS_ONLY;
  options.prefix = "k";
  options.prefix_size = 1;
  const Contents found = scan_all(world, options, 4, false);
  EXPECT_EQ(found.size(), 10U);
  EXPECT_EQ(found.count("n"), 0U);
  for (const auto& [key, value] : found) EXPECT_EQ(value, "") << key;
  options.prefix = "nothing like it";
  options.prefix_size = 15;
  EXPECT_TRUE(scan_all(world, options, 4, false).empty());
}

// --- Batches
// -----------------------------------------------------------------------------------------

TEST(CApiResults, ItemsAndColumnsOfABatchSayTheSame) {
  World world;
  ASSERT_EQ(put(world.ns, "k2", ""), RKVS_OK);
  const rkvs_slice keys[] = {{"k1", 2}, {"absent", 6}, {"k2", 2}, {"n", 1}};
  rkvs_batch_result* result = nullptr;
  ASSERT_EQ(rkvs_namespace_get_multiple(world.ns, keys, 4, RKVS_BEST_EFFORT, &result, nullptr),
            RKVS_OK);
  auto view = sized<rkvs_batch_view>();
  ASSERT_EQ(rkvs_batch_result_view(result, &view, nullptr), RKVS_OK);
  ASSERT_EQ(view.count, 4U);
  EXPECT_EQ(view.total_processed, 3U);
  EXPECT_EQ(view.status, RKVS_OK);
  EXPECT_EQ(view.keys, nullptr) << "only a scan has keys";
  const std::vector<std::string> values = {"value", "", "", "5"};
  for (size_t i = 0; i < 4; ++i) {
    SCOPED_TRACE(i);
    auto item = sized<rkvs_batch_item>();
    ASSERT_EQ(rkvs_batch_result_item(result, i, &item, nullptr), RKVS_OK);
    EXPECT_EQ(item.status, i == 1 ? RKVS_NOT_FOUND : RKVS_OK);
    EXPECT_EQ(item.status, view.statuses[i]);
    EXPECT_EQ(item.status, rkvs_batch_result_item_status(result, i));
    EXPECT_EQ(item.has_value, i == 1 ? 0 : 1);
    EXPECT_EQ(item.has_value, view.has_value[i]);
    EXPECT_EQ(item.value != nullptr, i != 1) << "an empty value is a value";
    EXPECT_EQ(item.key, nullptr);
    EXPECT_EQ(text_of(item.value, item.value_size), values[i]);
    const auto* const bytes = static_cast<const char*>(view.values) + view.value_offsets[i];
    EXPECT_EQ(text_of(bytes, view.value_offsets[i + 1] - view.value_offsets[i]), values[i]);
  }
  // The columns are made once.
  auto again = sized<rkvs_batch_view>();
  ASSERT_EQ(rkvs_batch_result_view(result, &again, nullptr), RKVS_OK);
  EXPECT_EQ(again.values, view.values);
  rkvs_batch_result_release(result);
}

TEST(CApiResults, ValuesOutliveTheResultTheKeyAndTheStore) {
  World world;
  const rkvs_slice keys[] = {{"k1", 2}, {"absent", 6}};
  rkvs_batch_result* result = nullptr;
  ASSERT_EQ(rkvs_namespace_get_multiple(world.ns, keys, 2, RKVS_BEST_EFFORT, &result, nullptr),
            RKVS_OK);
  rkvs_value* const value = rkvs_batch_result_value(result, 0);
  EXPECT_EQ(rkvs_batch_result_value(result, 1), nullptr) << "there is none";
  rkvs_value* const shared = rkvs_value_retain(value);
  EXPECT_EQ(shared, value);
  rkvs_batch_result_release(result);
  ASSERT_EQ(put(world.ns, "k1", "changed"), RKVS_OK);
  rkvs_value_release(value);
  ASSERT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
  EXPECT_EQ(text_of(shared), "value");
  rkvs_value_release(shared);
  EXPECT_EQ(rkvs_value_retain(nullptr), nullptr);
  rkvs_value_release(nullptr);
}

TEST(CApiResults, AnAllOrNothingBatchThatFailsHasNoItemDone) {
  World world;
  const std::string before = world.content();
  auto limits = sized<rkvs_namespace_config>();
  ASSERT_EQ(rkvs_namespace_get_config(world.ns, &limits, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_namespace_set_max_value_size(world.ns, 5, nullptr), RKVS_OK);
  const rkvs_slice keys[] = {{"k1", 2}, {"k2", 2}, {"k3", 2}};
  const rkvs_slice values[] = {{"1", 1}, {"longer than five", 16}, {"3", 1}};
  rkvs_batch_result* result = nullptr;
  rkvs_error* error = nullptr;
  EXPECT_EQ(rkvs_namespace_set_multiple(world.ns, keys, values, 3, RKVS_ALL_OR_NOTHING, nullptr,
                                        &result, &error),
            RKVS_E_VALUE_TOO_LARGE);
  EXPECT_EQ(rkvs_error_index(error), 1);
  rkvs_error_release(error);
  EXPECT_EQ(rkvs_batch_result_status(result), RKVS_E_VALUE_TOO_LARGE);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 0), RKVS_NOT_APPLIED);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 1), RKVS_E_VALUE_TOO_LARGE);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 2), RKVS_NOT_APPLIED);
  rkvs_batch_result_release(result);
  EXPECT_EQ(world.content(), before);
}

TEST(CApiResults, AnAtomicBatchOfNothingIsOkAndOneThatIsClearedIsEmpty) {
  World world;
  const std::string before = world.content();
  ASSERT_EQ(rkvs_atomic_batch_clear(world.atomic, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_atomic_batch_size(world.atomic), 0U);
  rkvs_batch_result* result = nullptr;
  EXPECT_EQ(rkvs_namespace_apply(world.ns, world.atomic, &result, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_count(result), 0U);
  rkvs_batch_result_release(result);
  EXPECT_EQ(world.content(), before);
}

// --- Transforms
// --------------------------------------------------------------------------------------

// What a callback saw, and what it is to do.
struct Change {
  std::string seen = "<not called>";
  bool sets = false;
  bool removes = false;
  std::string to = {};
  rkvs_status answer = RKVS_OK;
};

rkvs_status change(void* user, const void* value, size_t size, rkvs_transform* transform) {
  Change& what = *static_cast<Change*>(user);
  what.seen = value == nullptr ? "<none>" : text_of(value, size);
  if (what.sets) {
    EXPECT_EQ(rkvs_transform_set(transform, what.to.data(), what.to.size()), RKVS_OK);
  }
  if (what.removes) {
    EXPECT_EQ(rkvs_transform_remove(transform), RKVS_OK);
  }
  return what.answer;
}

// The value afterwards as the function gives it out; "<none>" for none.
std::string transform(World& world, const std::string& key, Change& what, rkvs_status expected) {
  rkvs_value* value = nullptr;
  EXPECT_EQ(
      rkvs_namespace_transform(world.ns, key.data(), key.size(), change, &what, &value, nullptr),
      expected);
  const std::string text = value == nullptr ? "<none>" : text_of(value);
  rkvs_value_release(value);
  return text;
}

TEST(CApiResults, ATransformSetsRemovesOrLeavesWhatItSees) {
  World world;
  Change set = {.sets = true, .to = "new"};
  EXPECT_EQ(transform(world, "k1", set, RKVS_OK), "new");
  EXPECT_EQ(set.seen, "value");
  EXPECT_EQ(get(world.ns, "k1"), "new");

  Change make = {.sets = true, .to = ""};
  EXPECT_EQ(transform(world, "made", make, RKVS_OK), "");
  EXPECT_EQ(make.seen, "<none>");
  EXPECT_EQ(get(world.ns, "made"), "");

  Change leave;
  EXPECT_EQ(transform(world, "made", leave, RKVS_OK), "");
  EXPECT_EQ(leave.seen, "") << "an empty value is not NULL";
  EXPECT_EQ(transform(world, "absent", leave, RKVS_OK), "<none>");
  EXPECT_EQ(leave.seen, "<none>");
  EXPECT_EQ(get(world.ns, "absent"), "<none>");

  Change remove = {.removes = true};
  EXPECT_EQ(transform(world, "k2", remove, RKVS_OK), "<none>");
  EXPECT_EQ(get(world.ns, "k2"), "<none>");
  Change last_counts = {.sets = true, .removes = true, .to = "x"};
  EXPECT_EQ(transform(world, "k3", last_counts, RKVS_OK), "<none>");
  EXPECT_EQ(get(world.ns, "k3"), "<none>");
}

TEST(CApiResults, ATransformThatAnswersAnErrorChangesNothingAndReturnsIt) {
  World world;
  const std::string before = world.content();
  for (const rkvs_status answer : {RKVS_E_BUSY, RKVS_NOT_FOUND, RKVS_E_INVALID_ARGUMENT}) {
    Change refuse = {.sets = true, .to = "new", .answer = answer};
    EXPECT_EQ(transform(world, "k1", refuse, answer), "<none>");
    EXPECT_EQ(refuse.seen, "value");
  }
  EXPECT_EQ(world.content(), before);
}

TEST(CApiResults, ATransformCannotSetWhatCannotBeAValue) {
  World world;
  const std::string before = world.content();
  const auto refused = [](void*, const void*, size_t, rkvs_transform* out) -> rkvs_status {
    EXPECT_EQ(rkvs_transform_set(out, "x", (size_t{1} << 30) + 1), RKVS_E_VALUE_TOO_LARGE);
    EXPECT_EQ(rkvs_transform_set(out, nullptr, 1), RKVS_E_INVALID_ARGUMENT);
    return RKVS_OK;
  };
  EXPECT_EQ(rkvs_namespace_transform(world.ns, "k1", 2, refused, nullptr, nullptr, nullptr),
            RKVS_OK);
  EXPECT_EQ(world.content(), before) << "nothing was asked for";
}

// --- Queues and errors
// ---------------------------------------------------------------------------------

TEST(CApiResults, WithoutAFileDescriptorThereIsNoQueueAndItIsSaid) {
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  rkvs_queue* queue = nullptr;
  rkvs_error* error = nullptr;
  const rkvs_status status = rkvs_queue_create(&queue, &error);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(status, RKVS_E_IO);
  EXPECT_EQ(queue, nullptr);
  EXPECT_EQ(rkvs_error_code(error), RKVS_E_IO);
  EXPECT_NE(std::string(rkvs_error_message(error)).find("descriptor"), std::string::npos);
  rkvs_error_release(error);
}

TEST(CApiResults, AQueueIsReadableAsLongAsItHoldsSomething) {
  World world;
  const auto readable = [&] {
    pollfd fd = {rkvs_queue_fd(world.queue), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 1;
  };
  EXPECT_FALSE(readable());
  for (uint64_t tag : {1, 2}) {
    world.how.tag = tag;
    ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &world.how, nullptr, nullptr, nullptr),
              RKVS_PENDING);
  }
  // Longer than any clock counts: until there is something.
  ASSERT_EQ(rkvs_queue_wait(world.queue, INT64_MAX, nullptr), RKVS_OK);
  EXPECT_TRUE(readable());
  size_t taken = 0;
  std::vector<uint64_t> tags;
  while (tags.size() < 2) {
    ASSERT_EQ(rkvs_queue_wait(world.queue, -1, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_queue_poll(world.queue, nullptr, 0, &taken, nullptr), RKVS_OK);
    EXPECT_EQ(taken, 0U) << "there is room for none";
    rkvs_completion completion = {};
    ASSERT_EQ(rkvs_queue_poll(world.queue, &completion, 1, &taken, nullptr), RKVS_OK);
    ASSERT_EQ(taken, 1U);
    EXPECT_EQ(completion.status, RKVS_OK);
    tags.push_back(completion.tag);
    rkvs_completion_clear(&completion);
    EXPECT_EQ(completion.value, nullptr);
  }
  EXPECT_FALSE(readable());
  EXPECT_EQ(rkvs_queue_wait(world.queue, 0, nullptr), RKVS_E_TIMEOUT);
}

TEST(CApiResults, AQueueThatIsReleasedReleasesWhatNobodyTook) {
  World world;
  rkvs_queue* queue = nullptr;
  ASSERT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
  world.how.queue = queue;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &world.how, nullptr, nullptr, nullptr),
              RKVS_PENDING);
  }
  ASSERT_EQ(rkvs_queue_wait(queue, -1, nullptr), RKVS_OK);
  // AddressSanitizer sees what would be left.
  rkvs_queue_release(queue);
  EXPECT_EQ(get(world.ns, "k1"), "value");
}

TEST(CApiResults, AnErrorIsSharedByThoseThatRetainIt) {
  World world;
  rkvs_error* error = nullptr;
  ASSERT_EQ(rkvs_manager_delete_namespace(world.manager, "nobody", &error),
            RKVS_E_NAMESPACE_NOT_FOUND);
  rkvs_error* const shared = rkvs_error_retain(error);
  rkvs_error_release(error);
  EXPECT_EQ(rkvs_error_code(shared), RKVS_E_NAMESPACE_NOT_FOUND);
  EXPECT_NE(std::string(rkvs_error_message(shared)).find("nobody"), std::string::npos);
  EXPECT_EQ(rkvs_error_index(shared), -1);
  rkvs_error_release(shared);
  EXPECT_EQ(rkvs_error_code(reinterpret_cast<rkvs_error*>(world.manager)), RKVS_E_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace rkvs::capi_test
