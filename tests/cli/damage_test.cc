// What the tool says about files that are not whole.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/tool.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using nlohmann::json;

class DamageTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  ToolResult run_on(const std::string& bytes, std::vector<std::string> arguments) const {
    write_file(path("x"), bytes);
    arguments.insert(arguments.begin() + 1, path("x"));
    return run_tool(arguments);
  }

  TempDir directory_;
};

TEST_F(DamageTest, EveryFlippedByteAndEveryCutIsTwo) {
  const std::string good = file_of(small_model());
  ASSERT_EQ(run_on(good, {"verify"}).exit_code, 0);
  const size_t step = is_instrumented() ? 41 : 7;
  for (size_t i = 0; i < good.size(); i += step) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    const ToolResult result = run_on(flipped, {"verify"});
    EXPECT_EQ(result.exit_code, 2) << "flipped at " << i << ": " << result.err;
    EXPECT_NE(result.err.find("frame "), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(run_on(good.substr(0, i), {"verify"}).exit_code, 2) << "cut at " << i;
  }
  EXPECT_EQ(run_on(good + std::string(8, '\0'), {"verify"}).exit_code, 2);
}

TEST_F(DamageTest, EveryCommandTells) {
  std::string bad = file_of(small_model());
  bad[bad.size() - 1] = static_cast<char>(bad[bad.size() - 1] ^ 1);
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"info"},
                                             {"info", "--json"},
                                             {"verify"},
                                             {"dump"},
                                             {"export", "--namespace", "users"},
                                             {"get", "--namespace", "users", "alice"}}) {
    const ToolResult result = run_on(bad, arguments);
    EXPECT_EQ(result.exit_code, 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(result.err.find("frame 6 at offset"), std::string::npos) << result.err;
    // What was read before the damage may be out, but a single value is not.
    if (arguments[0] == "get" || arguments[0] == "info") {
      EXPECT_EQ(result.out, "");
    }
  }
}

TEST_F(DamageTest, AnOutputFileIsNotLeftWithHalfOfIt) {
  const std::string good = file_of(small_model());
  write_file(path("lines"), "what was there");
  const ToolResult result =
      run_on(good.substr(0, good.size() - 8), {"dump", "--output", path("lines")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(read_file(path("lines")), "what was there");
  EXPECT_EQ(names_in(directory_.path()), (std::vector<std::string>{"lines", "x"}));
}

TEST_F(DamageTest, OtherFilesAndOtherVersionsAreTwo) {
  EXPECT_EQ(run_on("", {"verify"}).exit_code, 2);
  const ToolResult text = run_on(std::string(1000, 'x'), {"info"});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_NE(text.err.find("not a snapshot"), std::string::npos) << text.err;
}

TEST_F(DamageTest, VerifyFindsKeysThatStandTwice) {
  Model model = small_model();
  model.namespaces[0].entries.push_back({"bob", "another", 2, 0});
  // The same key in another namespace is no duplicate.
  model.namespaces[1].entries.push_back({"bob", "", 0, 0});
  const std::string bytes = file_of(model.announce());
  const ToolResult result = run_on(bytes, {"verify"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "rkvs: namespace \"users\": the key \"bob\" twice\n");
  EXPECT_EQ(result.out, "");

  const ToolResult as_json = run_on(bytes, {"verify", "--json"});
  EXPECT_EQ(as_json.exit_code, 2);
  const json report = json::parse(as_json.out);
  EXPECT_EQ(report["valid"], false);
  EXPECT_EQ(report["problem_count"], 1);
  EXPECT_EQ(report["namespaces"][0]["duplicate_keys"], 1);
  EXPECT_EQ(report["namespaces"][1]["duplicate_keys"], 0);
  EXPECT_EQ(run_on(bytes, {"get", "--namespace", "users", "bob"}).exit_code, 2);
}

TEST_F(DamageTest, OfALongKeyThatStandsTwiceVerifyShowsTheBeginning) {
  Model model;
  ModelNamespace& ns = model.add("n");
  const std::string key = "the beginning" + std::string(5000, 'x');
  ns.entries = {{key, "1", 1, 0}, {key, "2", 2, 0}};
  const ToolResult result = run_on(file_of(model.announce()), {"verify"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("the key \"the beginningxxx"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("xxx...\" twice\n"), std::string::npos) << result.err;
  EXPECT_LT(result.err.size(), 500U);
}

TEST_F(DamageTest, ComplaintsDoNotFloodTheTerminal) {
  Model model;
  ModelNamespace& ns = model.add("n");
  for (int i = 0; i < 1000; ++i) ns.entries.push_back({"k\x1b[2J", "", 0, 0});
  const ToolResult result = run_on(file_of(model.announce()), {"verify"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 21);
  EXPECT_NE(result.err.find("979 more"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos);
}

TEST_F(DamageTest, VerifyChecksTheFilesOwnLimits) {
  Model model = small_model();
  model.namespaces[0].info.max_keys = 2;
  ToolResult result = run_on(file_of(model), {"verify"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("max_keys is 2"), std::string::npos) << result.err;

  model = small_model();
  model.header.max_namespaces = 2;
  result = run_on(file_of(model), {"verify"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("max_namespaces is 2"), std::string::npos) << result.err;

  // Limits of sizes may be newer than the entries: that is worth a note.
  model = small_model();
  model.namespaces[0].info.max_value_size = 3;
  model.namespaces[0].info.max_key_size = 4;
  result = run_on(file_of(model), {"verify"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("1 value larger than max_value_size"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("1 key longer than max_key_size"), std::string::npos) << result.out;
}

TEST_F(DamageTest, VerifyReportsGoodFilesAsJson) {
  const std::string good = file_of(small_model());
  const ToolResult result = run_on(good, {"verify", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["valid"], true);
  EXPECT_EQ(report["problems"], json::array());
  EXPECT_EQ(report["file_size"], good.size());
  EXPECT_EQ(report["totals"], (json{{"entries", 4}, {"key_bytes", 10}, {"value_bytes", 7}}));
}

TEST_F(DamageTest, NamespaceNamesMustBeUtf8) {
  Model model;
  model.add("n\xff").entries = {{"a", "b", 0, 0}};
  const std::string bytes = file_of(model.announce());
  for (const char* command : {"info", "verify", "dump"}) {
    const ToolResult result = run_on(bytes, {command});
    EXPECT_EQ(result.exit_code, 2) << command;
    EXPECT_NE(result.err.find("not UTF-8"), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace rkvs::testing
