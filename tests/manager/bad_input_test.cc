// What a caller can get wrong: one row each, with the code and a message that names the value and
// the limit.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;

// A store with a namespace "users" of three keys, four shards and a few limits, and the files
// "store.rkvs" (it) and "garbage".
struct Store {
  Store() {
    EXPECT_OK(manager.initialize());
    users = *manager.create_namespace(
        "users", {.max_keys = 3, .max_value_size = 100, .max_key_size = 10, .shard_count = 4});
    fill(users, {{"a", "1"}, {"b", "2"}, {"c", "3"}});
    EXPECT_OK(manager.save_all("store.rkvs"));
    write_file(directory / "garbage", "this is not a snapshot, whatever its name says");
  }

  TempDir directory;
  StorageManager manager = manager_in(directory, {.max_namespaces = 2});
  Namespace users;
};

struct BadInput {
  const char* name;
  std::function<Status(Store&)> call;
  StatusCode code;
  // All of them are in the message.
  std::vector<std::string> words;

  friend void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }
};

class BadInputTest : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, IsRefusedWithItsCodeAndChangesNothing) {
  Store store;
  const Contents contents = contents_of(store.users);
  const NamespaceConfig config = store.users.get_config();
  const auto names = store.directory.names();

  const Status status = GetParam().call(store);
  EXPECT_TRUE(has_code(status, GetParam().code));
  EXPECT_TRUE(status.is_error());
  for (const std::string& word : GetParam().words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' is not in: " << status.message();
  }
  EXPECT_LT(status.message().size(), 600U);

  EXPECT_EQ(contents_of(store.users), contents);
  EXPECT_EQ(store.users.get_config(), config);
  EXPECT_EQ(*store.manager.list_namespaces(), std::vector<std::string>{"users"});
  EXPECT_EQ(store.manager.get_config().max_namespaces, 2U);
  EXPECT_EQ(store.directory.names(), names);
}

// For rows about one field of a configuration: both ways to set it.
Status created_with(Store& s, const NamespaceConfig& config) {
  const Status updated = s.manager.update_namespace_config("users", config);
  const Status created = s.manager.create_namespace("new", config).status();
  EXPECT_EQ(updated, created);
  EXPECT_EQ(updated.message(), created.message());
  return created;
}

const std::string kLongName(129, 'n');

INSTANTIATE_TEST_SUITE_P(
    All, BadInputTest,
    ::testing::Values(
        // Namespaces.
        BadInput{"UnknownNamespace",
                 [](Store& s) { return s.manager.get_namespace("uesrs").status(); },
                 StatusCode::kNamespaceNotFound,
                 {"\"uesrs\""}},
        BadInput{"UnknownNamespaceDeleted",
                 [](Store& s) { return s.manager.delete_namespace("uesrs"); },
                 StatusCode::kNamespaceNotFound,
                 {"\"uesrs\""}},
        BadInput{"UnknownNamespaceSaved",
                 [](Store& s) { return s.manager.save_namespace("uesrs", "f"); },
                 StatusCode::kNamespaceNotFound,
                 {"\"uesrs\""}},
        BadInput{"UnknownNamespaceOfAFile",
                 [](Store& s) {
                   return s.manager.load_namespace_as("store.rkvs", "copy", "uesrs").status();
                 },
                 StatusCode::kNamespaceNotFound,
                 {"\"uesrs\"", "\"store.rkvs\""}},
        BadInput{
            "UnknownNamespaceOfAnySize",
            [](Store& s) { return s.manager.get_namespace(std::string(1 << 20, 'x')).status(); },
            StatusCode::kNamespaceNotFound,
            {"xxxx"}},
        BadInput{"DuplicateName",
                 [](Store& s) { return s.manager.create_namespace("users").status(); },
                 StatusCode::kNamespaceExists,
                 {"\"users\""}},
        BadInput{"DuplicateNameLoaded",
                 [](Store& s) { return s.manager.load_namespace("store.rkvs").status(); },
                 StatusCode::kNamespaceExists,
                 {"\"users\""}},
        BadInput{"TooManyNamespaces",
                 [](Store& s) {
                   EXPECT_OK(s.manager.create_namespace("second"));
                   const Status status = s.manager.create_namespace("third").status();
                   EXPECT_OK(s.manager.delete_namespace("second"));
                   return status;
                 },
                 StatusCode::kTooManyNamespaces,
                 {"\"third\"", "max_namespaces = 2"}},
        BadInput{"MaxNamespacesBelowUse",
                 [](Store& s) {
                   EXPECT_OK(s.manager.create_namespace("second"));
                   const Status status = s.manager.update_config({.max_namespaces = 1});
                   EXPECT_OK(s.manager.delete_namespace("second"));
                   return status;
                 },
                 StatusCode::kLimitBelowUse,
                 {"max_namespaces 1", "2 namespaces"}},

        // Names.
        BadInput{"EmptyName",
                 [](Store& s) { return s.manager.create_namespace("").status(); },
                 StatusCode::kInvalidName,
                 {"empty"}},
        BadInput{"TooLongName",
                 [](Store& s) { return s.manager.create_namespace(kLongName).status(); },
                 StatusCode::kInvalidName,
                 {"129", "128", "nnn"}},
        BadInput{
            "TooLongNameOfALoad",
            [](Store& s) { return s.manager.load_namespace_as("store.rkvs", kLongName).status(); },
            StatusCode::kInvalidName,
            {"129", "128"}},
        BadInput{"NameThatIsNotUtf8",
                 [](Store& s) { return s.manager.create_namespace("ab\xFF").status(); },
                 StatusCode::kInvalidName,
                 {"UTF-8", "byte 2"}},
        BadInput{"NameWithAControlCharacter",
                 [](Store& s) { return s.manager.create_namespace("abc\n").status(); },
                 StatusCode::kInvalidName,
                 {"control character", "byte 3"}},

        // Configurations.
        BadInput{"ShardCountAboveTheCap",
                 [](Store& s) { return created_with(s, {.shard_count = 4097}); },
                 StatusCode::kInvalidArgument,
                 {"shard_count 4097", "4096"}},
        BadInput{"ShardCountAboveTheCapOfAResize",
                 [](Store& s) { return s.users.resize_shards(UINT32_MAX); },
                 StatusCode::kInvalidArgument,
                 {"4294967295", "4096"}},
        BadInput{"LockTimeoutZero",
                 [](Store& s) { return created_with(s, {.lock_timeout = 0ms}); },
                 StatusCode::kInvalidArgument,
                 {"lock_timeout 0 ms", "1", "3600000"}},
        BadInput{"LockTimeoutNegative",
                 [](Store& s) { return s.users.set_lock_timeout(-1ms); },
                 StatusCode::kInvalidArgument,
                 {"lock_timeout -1 ms"}},
        BadInput{"LockTimeoutAboveAnHour",
                 [](Store& s) { return s.users.set_lock_timeout(1h + 1ms); },
                 StatusCode::kInvalidArgument,
                 {"3600001", "3600000"}},
        BadInput{"MaxValueSizeAboveAGibibyte",
                 [](Store& s) { return created_with(s, {.max_value_size = (1U << 30) + 1}); },
                 StatusCode::kInvalidArgument,
                 {"max_value_size 1073741825", "1073741824"}},
        BadInput{"MaxValueSizeSetAboveAGibibyte",
                 [](Store& s) { return s.users.set_max_value_size(UINT64_MAX); },
                 StatusCode::kInvalidArgument,
                 {"18446744073709551615", "1073741824"}},
        BadInput{"MaxKeySizeZero",
                 [](Store& s) { return created_with(s, {.max_key_size = 0}); },
                 StatusCode::kInvalidArgument,
                 {"max_key_size 0", "1048576"}},
        BadInput{"MaxKeySizeAboveAMebibyte",
                 [](Store& s) { return created_with(s, {.max_key_size = (1U << 20) + 1}); },
                 StatusCode::kInvalidArgument,
                 {"max_key_size 1048577", "1048576"}},
        BadInput{"MaxKeysBelowUse",
                 [](Store& s) { return s.users.set_max_keys(2); },
                 StatusCode::kLimitBelowUse,
                 {"max_keys 2", "3 keys", "\"users\""}},
        BadInput{
            "MaxKeysBelowUseOfAnUpdate",
            [](Store& s) { return s.manager.update_namespace_config("users", {.max_keys = 1}); },
            StatusCode::kLimitBelowUse,
            {"max_keys 1", "3 keys"}},

        // Keys and values.
        BadInput{"KeyTooLarge",
                 [](Store& s) { return s.users.put("12345678901", "v"); },
                 StatusCode::kKeyTooLarge,
                 {"11", "10"}},
        BadInput{"ValueTooLarge",
                 [](Store& s) { return s.users.set("a", std::string(101, 'v')).status(); },
                 StatusCode::kValueTooLarge,
                 {"101", "100"}},
        BadInput{"TooManyKeys",
                 [](Store& s) { return s.users.put("d", "4"); },
                 StatusCode::kTooManyKeys,
                 {"\"users\"", "max_keys = 3"}},
        BadInput{"TooManyKeysOfABatch",
                 [](Store& s) {
                   return s.users.set_multiple({{"a", "x"}, {"d", "4"}}, BatchMode::kAllOrNothing)
                       .status;
                 },
                 StatusCode::kTooManyKeys,
                 {"item 1 of 2", "max_keys = 3"}},

        // Files.
        BadInput{"FileNameWithASlash",
                 [](Store& s) { return s.manager.save_all("a/b"); },
                 StatusCode::kInvalidName,
                 {"\"a/b\"", "slash"}},
        BadInput{"FileNameThatClimbs",
                 [](Store& s) { return s.manager.save_namespace("users", "../f"); },
                 StatusCode::kInvalidName,
                 {"\"../f\""}},
        BadInput{"FileNameDotDot",
                 [](Store& s) { return s.manager.save_all(".."); },
                 StatusCode::kInvalidName,
                 {"\"..\"", "dot"}},
        BadInput{"FileNameAbsolute",
                 [](Store& s) { return s.manager.load_namespace("/etc/passwd").status(); },
                 StatusCode::kInvalidName,
                 {"\"/etc/passwd\"", "slash"}},
        BadInput{"FileNameTooLong",
                 [](Store& s) { return s.manager.save_all(std::string(201, 'f')); },
                 StatusCode::kInvalidName,
                 {"201", "200"}},
        BadInput{"FileNameEmpty",
                 [](Store& s) { return s.manager.save_all(""); },
                 StatusCode::kInvalidName,
                 {"empty"}},
        BadInput{"FileNameOfAGeneration",
                 [](Store& s) { return s.manager.save_all("store.rkvs.1"); },
                 StatusCode::kInvalidName,
                 {"\"store.rkvs.1\"", "\"store.rkvs\""}},
        BadInput{"FileThatIsNotASnapshot",
                 [](Store& s) { return s.manager.load_namespace("garbage").status(); },
                 StatusCode::kSnapshotCorrupt,
                 {"garbage"}},
        BadInput{"FileThatIsNotThere",
                 [](Store& s) { return s.manager.load_namespace("nowhere").status(); },
                 StatusCode::kSnapshotNotFound,
                 {"nowhere"}}),
    [](const auto& row) { return std::string(row.param.name); });

// What fails while a manager is made ready.
TEST(BadInput, InitializeNamesTheFileAndTheReason) {
  Store store;
  StorageManager other = manager_in(store.directory);
  const Status garbage = other.initialize("garbage");
  EXPECT_CODE(garbage, kSnapshotCorrupt);
  EXPECT_NE(garbage.message().find("garbage"), std::string::npos) << garbage.message();
  const Status climbing = other.initialize("../f");
  EXPECT_CODE(climbing, kInvalidName);
  EXPECT_NE(climbing.message().find("\"../f\""), std::string::npos) << climbing.message();
  EXPECT_CODE(StorageManager().initialize("f"), kNoPersistence);
  EXPECT_NE(StorageManager().initialize("f").message(), "");
  EXPECT_EQ(other.create_namespace("n").status().message(),
            "call StorageManager::initialize() first");
}

}  // namespace
}  // namespace rkvs
