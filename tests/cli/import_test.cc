// rkvs import, and export -> import -> export.
#include <rkvs/all.h>
#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/cli/tool.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

class ImportTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  // Imports lines from standard input into path("x"), namespace "n".
  ToolResult import(std::string_view lines, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"import", "-", "--namespace", "n", "--to", path("x")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_tool(arguments, lines);
  }
  std::string exported(const std::string& file = "x") const {
    const ToolResult result = run_tool({"export", path(file), "--namespace", "n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  TempDir directory_;
};

constexpr std::string_view kA = "{\"key\":\"a\",\"value\":\"1\"}\n";
constexpr std::string_view kB = "{\"key\":\"b\",\"value\":\"2\"}\n";

TEST_F(ImportTest, ExportedLinesMakeTheSameSnapshotAgain) {
  std::mt19937_64 random(2);
  Model model;
  ModelNamespace& ns = model.add("n");
  for (uint64_t i = 0; i < 3000; ++i) {
    std::string key = std::to_string(i);
    for (auto left = random() % 12; left > 0; --left) key += static_cast<char>(random());
    std::string value;
    for (auto left = random() % 200; left > 0; --left) {
      value += static_cast<char>(i % 2 == 0 ? random() : random() % 128);
    }
    ns.entries.push_back({std::move(key), std::move(value), i % 3 == 0 ? 0 : random() >> 2,
                          i % 5 == 0 ? static_cast<int64_t>(random() >> 1) : 0});
  }
  ns.entries.push_back({"", "", 0, 0});
  ns.entries.push_back({"large", std::string(3 << 20, '\xfe'), 5, 0});
  ns.entries.push_back({"behind it", "x", 6, 0});
  write_file(path("first"), file_of(model.announce()));

  const std::string lines = exported("first");
  const ToolResult result = import(lines);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(exported(), lines);
  EXPECT_EQ(run_tool({"verify", path("x")}).exit_code, 0);
  const auto back = read_model(read_file(path("x")));
  ASSERT_TRUE(is_ok(back));
  ASSERT_EQ(back->namespaces.size(), 1U);
  EXPECT_EQ(back->namespaces[0].entries, ns.entries);
  EXPECT_EQ(back->namespaces[0].info.entry_count, ns.info.entry_count);
  EXPECT_EQ(back->namespaces[0].info.value_bytes, ns.info.value_bytes);
  EXPECT_EQ(back->namespaces[0].info.last_version, ns.info.last_version);
  EXPECT_EQ(names_in(directory_.path()), (std::vector<std::string>{"first", "x"}));
}

TEST_F(ImportTest, TheLibraryLoadsTheResult) {
  ASSERT_EQ(import("{\"key\":\"a\",\"value\":\"1\",\"version\":9}\n{\"key_base64\":\"/w==\","
                   "\"value_base64\":\"AA==\"}\n",
                   {"--max-keys", "10"})
                .exit_code,
            0);
  StorageOptions options;
  options.directory = directory_.path();
  StorageManager manager(std::move(options));
  ASSERT_TRUE(is_ok(manager.initialize("x")));
  auto ns = manager.get_namespace("n");
  ASSERT_TRUE(is_ok(ns));
  const auto a = (*ns).get("a");
  ASSERT_TRUE(is_ok(a));
  EXPECT_EQ((*a).view(), "1");
  const auto binary = (*ns).get("\xff");
  ASSERT_TRUE(is_ok(binary));
  EXPECT_EQ((*binary).view(), std::string_view("\0", 1));
  EXPECT_EQ((*ns).get_config().max_keys, 10U);
}

TEST_F(ImportTest, TheLastLineOfAKeyWins) {
  const std::string lines = std::string(kA) + std::string(kB) +
                            "{\"key_base64\":\"YQ==\",\"value\":\"3\",\"version\":2}\n";
  const ToolResult result = import(lines, {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(exported(), std::string(kB) + "{\"key\":\"a\",\"value\":\"3\",\"version\":2}\n");
  const auto summary = nlohmann::json::parse(result.out);
  EXPECT_EQ(summary["entries"], 2);
  EXPECT_EQ(summary["lines"], 3);
  EXPECT_EQ(summary["superseded_lines"], 1);
  EXPECT_EQ(summary["value_bytes"], 2);
  EXPECT_EQ(run_tool({"verify", path("x")}).exit_code, 0);
}

TEST_F(ImportTest, ManyDuplicatesOfAnySizeLeaveOneEntryEach) {
  std::mt19937_64 random(3);
  std::map<std::string, std::string> last;
  std::string lines;
  for (int i = 0; i < 4000; ++i) {
    const std::string key = "k" + std::to_string(random() % 700);
    // Some wait for their successor in the file, some in memory.
    std::string value =
        std::to_string(i) + std::string(i % 1000 == 1 ? 2 << 20 : random() % 1500, 'v');
    lines += "{\"key\":\"" + key + "\",\"value\":\"" + value + "\"}\n";
    last[key] = std::move(value);
  }
  ASSERT_EQ(import(lines).exit_code, 0);
  EXPECT_EQ(run_tool({"verify", path("x")}).exit_code, 0);
  const auto back = read_model(read_file(path("x")));
  ASSERT_TRUE(is_ok(back));
  std::map<std::string, std::string> found;
  for (const ModelEntry& entry : back->namespaces[0].entries) found[entry.key] = entry.value;
  EXPECT_EQ(found, last);
  EXPECT_EQ(back->namespaces[0].entries.size(), last.size());
  EXPECT_EQ(back->namespaces[0].info.entry_count, last.size());
}

TEST_F(ImportTest, ABadLineIsNamedAndNothingIsWritten) {
  write_file(path("x"), "what was there");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"key\":\"a\"}\n", "line 1: neither \"value\" nor"},
      {std::string(kA) + "\n{\"key\":\"a\",\"value\":\"b\",\"ttl\":1}\n" + std::string(kB),
       "line 3: unknown field \"ttl\""},
      {std::string(kA) + "oops", "line 2: not JSON at byte 1"},
      {std::string(kA) + "{\"key\":\"\\ud800\",\"value\":\"\"}\n", "line 2: not JSON"},
      {std::string(kA) + "\xEF\xBB\xBF" + std::string(kB), "line 2: not JSON at byte 1"},
      {std::string(kA) + std::string("\0\n", 2), "line 2: not JSON at byte 1: a NUL"},
      {std::string(kA.substr(0, kA.size() - 1)) + std::string(kB), "line 1: not JSON"},
      {"{\"key\":\"a\",\"value\":\"b\",\"version\":4611686018427387905}\n", "line 1: \"version\""}};
  for (const auto& [lines, complaint] : cases) {
    const ToolResult result = import(lines);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find("rkvs: standard input, " + complaint), std::string::npos)
        << result.err << "\nexpected: " << complaint;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(read_file(path("x")), "what was there");
    EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"x"});
  }
}

TEST_F(ImportTest, LinesEndAsTheyDoElsewhere) {
  const std::string a(kA.substr(0, kA.size() - 1));
  const std::string b(kB.substr(0, kB.size() - 1));
  for (const std::string& lines :
       {a + "\n" + b + "\n", a + "\n" + b, a + "\r\n" + b + "\r\n", "\xEF\xBB\xBF" + a + "\n" + b,
        "\n\n" + a + "\n \t\r\n" + b + "\n\n"}) {
    const ToolResult result = import(lines);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(exported(), std::string(kA) + std::string(kB));
  }
}

TEST_F(ImportTest, NoLinesMakeAnEmptyNamespace) {
  ASSERT_EQ(import("").exit_code, 0);
  EXPECT_EQ(exported(), "");
  const auto back = read_model(read_file(path("x")));
  ASSERT_TRUE(is_ok(back));
  ASSERT_EQ(back->namespaces.size(), 1U);
  EXPECT_EQ(back->namespaces[0].info.name, "n");
}

TEST_F(ImportTest, HugeLinesAreLinesLikeOthers) {
  const std::string value(5 << 20, 'v');
  const std::string lines =
      std::string(kA) + "{\"key\":\"huge\",\"value\":\"" + value + "\"}\n" + std::string(kB);
  ASSERT_EQ(import(lines).exit_code, 0);
  EXPECT_EQ(exported(), lines);
}

TEST_F(ImportTest, LimitsAreWrittenAndKept) {
  const ToolResult good = import(std::string(kA) + std::string(kB) + std::string(kA),
                                 {"--max-keys", "2", "--max-key-size", "1", "--max-value-size", "1",
                                  "--shard-count", "8", "--lock-timeout-ms", "77"});
  ASSERT_EQ(good.exit_code, 0) << good.err;
  const auto back = read_model(read_file(path("x")));
  ASSERT_TRUE(is_ok(back));
  const SnapshotNamespace& info = back->namespaces[0].info;
  EXPECT_EQ(info.max_keys, 2U);
  EXPECT_EQ(info.max_key_size, 1U);
  EXPECT_EQ(info.max_value_size, 1U);
  EXPECT_EQ(info.shard_count, 8U);
  EXPECT_EQ(info.lock_timeout_ms, 77U);

  const std::string lines = std::string(kA) + "{\"key\":\"long\",\"value\":\"long\"}\n";
  for (const auto& [option, complaint] : std::vector<std::pair<std::string, std::string>>{
           {"--max-keys", "line 2: more keys than"},
           {"--max-key-size", "line 2: the key has 4 bytes"},
           {"--max-value-size", "line 2: the value has 4 bytes"}}) {
    const ToolResult result = import(lines, {option, "1"});
    EXPECT_EQ(result.exit_code, 2) << option;
    EXPECT_NE(result.err.find(complaint), std::string::npos) << result.err;
  }
  EXPECT_EQ(exported(), std::string(kB) + std::string(kA));
  // As in a namespace of the library, keys end at 64 KiB unless told otherwise.
  const std::string large = "{\"key\":\"" + std::string(65537, 'k') + "\",\"value\":\"\"}\n";
  EXPECT_EQ(import(large).exit_code, 2);
  EXPECT_EQ(import(large, {"--max-key-size", "65537"}).exit_code, 0);
}

TEST_F(ImportTest, ReplacesExactlyTheFileAndKeepsNoGenerations) {
  ASSERT_EQ(import(kA).exit_code, 0);
  ASSERT_EQ(import(kB).exit_code, 0);
  EXPECT_EQ(exported(), kB);
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"x"});
  struct stat info = {};
  ASSERT_EQ(stat(path("x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ImportTest, LinksAndSpecialFilesAreNotReplaced) {
  write_file(path("target"), "kept");
  std::filesystem::create_symlink(path("target"), path("x"));
  const ToolResult link = import(kA);
  EXPECT_EQ(link.exit_code, 1) << link.err;
  EXPECT_TRUE(std::filesystem::is_symlink(path("x")));
  EXPECT_EQ(read_file(path("target")), "kept");

  // One of our own stands for all devices: should this test ever fail, nothing else is harmed.
  std::filesystem::remove(path("x"));
  ASSERT_EQ(mkfifo(path("x").c_str(), 0600), 0);
  const ToolResult special = import(kA);
  EXPECT_EQ(special.exit_code, 1) << special.err;
  EXPECT_TRUE(std::filesystem::is_fifo(path("x")));
}

TEST_F(ImportTest, ReadsFilesToo) {
  write_file(path("in.jsonl"), std::string(kA) + std::string(kB));
  const ToolResult result = run_tool({"import", path("in.jsonl"), "-n", "n", "-t", path("x")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(exported(), std::string(kA) + std::string(kB));
  const ToolResult same = run_tool({"import", path("in.jsonl"), "-n", "n", "-t", path("in.jsonl")});
  EXPECT_EQ(same.exit_code, 1);
  EXPECT_EQ(read_file(path("in.jsonl")), std::string(kA) + std::string(kB));
}

}  // namespace
}  // namespace rkvs::testing
