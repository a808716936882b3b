// The tool as people and scripts meet it: help, exit codes, pipes, signals, progress.
#include "tests/cli/tool.h"

#include <rkvs/all.h>
#include <rkvs/version.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using nlohmann::json;

class ToolTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  // A snapshot of small_model().
  std::string small_snapshot() const {
    write_file(path("small.rkvs"), file_of(small_model()));
    return path("small.rkvs");
  }
  // One whose export takes more than any pipe holds.
  std::string large_snapshot() const {
    Model model;
    ModelNamespace& ns = model.add("large");
    for (int i = 0; i < 4000; ++i) {
      ns.entries.push_back({"key" + std::to_string(i), std::string(500, 'v'), 0, 0});
    }
    write_file(path("large.rkvs"), file_of(model.announce()));
    return path("large.rkvs");
  }

  TempDir directory_;
};

const std::vector<std::string> kCommands = {"info", "verify", "export", "import",
                                            "dump", "get",    "salvage"};

TEST_F(ToolTest, EveryCommandExplainsItself) {
  for (const std::string& command : kCommands) {
    const ToolResult result = run_tool({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_EQ(result.err, "") << command;
    EXPECT_NE(result.out.find("Usage: rkvs " + command), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("EXAMPLES\n  "), std::string::npos) << command;
    EXPECT_NE(result.out.find("rkvs " + command + " "), std::string::npos) << command;
    EXPECT_NE(result.out.find("EXIT CODES\n  0  good\n"), std::string::npos) << command;
  }
}

TEST_F(ToolTest, TheListOfCommandsHasALineForEach) {
  const ToolResult help = run_tool({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const std::string& command : kCommands) {
    EXPECT_NE(help.out.find("\n  " + command + " "), std::string::npos) << help.out;
  }
  // Without a command, the same where errors go.
  const ToolResult nothing = run_tool({});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_EQ(nothing.out, "");
  EXPECT_EQ(nothing.err, help.out);
}

TEST_F(ToolTest, SaysItsVersion) {
  const ToolResult result = run_tool({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "rkvs " RKVS_VERSION_STRING "\n");
}

TEST_F(ToolTest, WrongCommandLinesAreOne) {
  const std::string snapshot = small_snapshot();
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"frobnicate"},
           {"info"},
           {"info", snapshot, "more"},
           {"info", snapshot, "--frobnicate"},
           {"export", snapshot},
           {"export", snapshot, "--namespace"},
           {"get", snapshot, "alice"},
           {"get", snapshot, "--namespace", "users"},
           {"get", snapshot, "--namespace", "users", "--key-base64", "A"},
           {"import", "-", "--namespace", "n"},
           {"import", "-", "--to", path("x")},
           {"import", "-", "--to", path("x"), "--namespace", ""},
           {"import", "-", "--to", path("x"), "--namespace", "a\nb"},
           {"import", "-", "--to", path("x"), "--namespace", "n", "--max-keys", "-1"},
           {"import", "-", "--to", path("x"), "--namespace", "n", "--max-key-size", "0"},
           {"import", "-", "--to", path("x"), "--namespace", "n", "--max-key-size", "1048577"},
           {"import", "-", "--to", path("x"), "--namespace", "n", "--shard-count", "4097"},
           {"import", "-", "--to", path(""), "--namespace", "n"},
           {"salvage", snapshot, "--to", snapshot},
           {"export", snapshot, "--namespace", "users", "--output", snapshot}}) {
    const ToolResult result = run_tool(arguments);
    EXPECT_EQ(result.exit_code, 1) << ::testing::PrintToString(arguments) << result.err;
    EXPECT_EQ(result.err.substr(0, 6), "rkvs: ") << result.err;
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(read_file(snapshot), file_of(small_model()));
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"small.rkvs"});
}

TEST_F(ToolTest, WhatIsMissingIsThree) {
  const std::string snapshot = small_snapshot();
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"info", path("none")},
           {"verify", path("none")},
           {"dump", path("none")},
           {"salvage", path("none"), "--to", path("x")},
           {"import", path("none"), "--namespace", "n", "--to", path("x")},
           {"export", snapshot, "--namespace", "none"},
           {"get", snapshot, "--namespace", "none", "alice"},
           {"get", snapshot, "--namespace", "empty", "alice"},
           {"get", snapshot, "--namespace", "users", "alic"}}) {
    const ToolResult result = run_tool(arguments);
    EXPECT_EQ(result.exit_code, 3) << ::testing::PrintToString(arguments) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err.substr(0, 6), "rkvs: ");
  }
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"small.rkvs"});
}

TEST_F(ToolTest, WhatTheSystemRefusesIsFour) {
  const std::string snapshot = small_snapshot();
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"info", directory_.path().string()},
           {"verify", directory_.path().string()},
           {"import", directory_.path().string(), "--namespace", "n", "--to", path("x")},
           {"import", "-", "--namespace", "n", "--to", path("no/where/x")},
           {"salvage", snapshot, "--to", path("no/where/x")},
           {"export", snapshot, "--namespace", "users", "--output", path("no/where/x")}}) {
    const ToolResult result = run_tool(arguments);
    EXPECT_EQ(result.exit_code, 4) << ::testing::PrintToString(arguments) << result.err;
  }
}

TEST_F(ToolTest, AFullDiskIsFour) {
  const std::string command =
      std::string(RKVS_TOOL) + " dump " + large_snapshot() + " >/dev/full 2>" + path("err");
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 4);
  EXPECT_NE(read_file(path("err")).find("standard output"), std::string::npos);
}

TEST_F(ToolTest, AClosedPipeEndsQuietly) {
  Tool tool({"dump", large_snapshot()});
  tool.close_output();
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.exit_code, 0) << result.signal;
}

TEST_F(ToolTest, InfoSaysWhatIsThere) {
  const std::string snapshot = small_snapshot();
  const ToolResult text = run_tool({"info", snapshot});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* part :
       {"namespace \"users\"", "namespace \"zähler\"", "2026-01-02T03:04:05.678Z", "{ns}.rkvs",
        "every 60,000 ms", "rkvs 0.9.0"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }

  const ToolResult result = run_tool({"info", "--json", snapshot});
  EXPECT_EQ(result.exit_code, 0);
  const json info = json::parse(result.out);
  EXPECT_EQ(info["file_size"], read_file(snapshot).size());
  EXPECT_EQ(info["created_unix_ms"], 1767323045678);
  EXPECT_EQ(info["max_namespaces"], 100);
  EXPECT_EQ(info["format_version"], 1);
  EXPECT_EQ(info["totals"], (json{{"entries", 4}, {"key_bytes", 10}, {"value_bytes", 7}}));
  ASSERT_EQ(info["namespaces"].size(), 3U);
  const json& users = info["namespaces"][0];
  EXPECT_EQ(users["name"], "users");
  EXPECT_EQ(users["entries"], 3);
  EXPECT_EQ(users["key_bytes"], 8);
  EXPECT_EQ(users["value_bytes"], 6);
  EXPECT_EQ(users["max_keys"], 1000);
  EXPECT_EQ(users["last_version"], 90);
  EXPECT_EQ(users["autosave"],
            (json{{"interval_ms", 60000}, {"changes", 500}, {"pattern", "{ns}.rkvs"}}));
  EXPECT_EQ(info["namespaces"][1]["entries"], 0);
  EXPECT_EQ(info["namespaces"][1]["autosave"], nullptr);
  EXPECT_EQ(info["namespaces"][2]["shard_count"], 16);
}

TEST_F(ToolTest, GetPrintsTheBytesAndNothingElse) {
  const std::string snapshot = small_snapshot();
  const auto get = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"get", snapshot});
    const ToolResult result = run_tool(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  };
  EXPECT_EQ(get({"--namespace", "users", "alice"}), "admin");
  EXPECT_EQ(get({"--namespace", "users", "bob"}), "");
  EXPECT_EQ(get({"--namespace", "users", ""}), "x");
  EXPECT_EQ(get({"--namespace", "zähler", "--key-base64", "AP8="}), "1");
  EXPECT_EQ(get({"-n", "users", "--json", "bob"}),
            "{\"key\":\"bob\",\"value\":\"\",\"expires_at\":1893456000000}\n");
}

TEST_F(ToolTest, DumpWritesEveryNamespace) {
  const ToolResult result = run_tool({"dump", small_snapshot()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(
      result.out,
      "{\"namespace\":\"users\",\"key\":\"alice\",\"value\":\"admin\",\"version\":3}\n"
      "{\"namespace\":\"users\",\"key\":\"bob\",\"value\":\"\",\"expires_at\":1893456000000}\n"
      "{\"namespace\":\"users\",\"key\":\"\",\"value\":\"x\",\"version\":77}\n"
      "{\"namespace\":\"zähler\",\"key_base64\":\"AP8=\",\"value\":\"1\"}\n");
  const ToolResult to_file = run_tool({"dump", path("small.rkvs"), "--output", path("lines")});
  EXPECT_EQ(to_file.exit_code, 0) << to_file.err;
  EXPECT_EQ(to_file.out, "");
  EXPECT_EQ(read_file(path("lines")), result.out);
}

TEST_F(ToolTest, ReadsWhatTheLibrarySaves) {
  StorageOptions options;
  options.directory = directory_.path();
  StorageManager manager(std::move(options));
  ASSERT_TRUE(is_ok(manager.initialize()));
  auto ns = manager.create_namespace("users");
  ASSERT_TRUE(is_ok(ns));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(is_ok((*ns).set("key" + std::to_string(i), std::to_string(i * i))));
  }
  ASSERT_TRUE(is_ok(manager.save_all("store.rkvs")));
  EXPECT_EQ(run_tool({"verify", path("store.rkvs")}).exit_code, 0);
  EXPECT_EQ(run_tool({"get", path("store.rkvs"), "-n", "users", "key12"}).out, "144");
  EXPECT_EQ(json::parse(run_tool({"info", "--json", path("store.rkvs")}).out)["totals"]["entries"],
            100);
}

// --- Long work -----------------------------------------------------------------------------------

TEST_F(ToolTest, ATerminalSeesProgressAndAFileDoesNot) {
  for (const bool terminal : {true, false}) {
    Tool tool({"import", "-", "--namespace", "n", "--to", path("x")}, terminal);
    // The line shows once the work has taken some time. Without a terminal, twice that time.
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 3000 && tool.err().empty(); ++i) {
      ASSERT_TRUE(tool.write("{\"key\":\"" + std::to_string(i) + "\",\"value\":\"\"}\n"));
      tool.poll_err(/*milliseconds*/ 10);
      if (!terminal && std::chrono::steady_clock::now() - start > std::chrono::seconds(1)) break;
    }
    tool.close_input();
    const ToolResult result = tool.wait();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    if (terminal) {
      EXPECT_NE(result.err.find("\rimport  "), std::string::npos) << result.err;
      EXPECT_TRUE(result.err.ends_with("\r\x1b[K")) << result.err;
    } else {
      EXPECT_EQ(result.err, "");
    }
  }
}

TEST_F(ToolTest, ProgressShowsHowFarHowMuchAndHowFast) {
  using std::chrono::milliseconds;
  EXPECT_EQ(cli::progress_text("scan", 512, 2048, milliseconds(0)),
            "scan   25 %  512 B of 2.0 KiB");
  EXPECT_EQ(cli::progress_text("scan", 2048, 2048, milliseconds(500)),
            "scan  100 %  2.0 KiB of 2.0 KiB  4.0 KiB/s");
  EXPECT_EQ(cli::progress_text("import", 1 << 20, 0, milliseconds(1000)),
            "import  1.0 MiB  1.0 MiB/s");
}

TEST_F(ToolTest, ASignalEndsItAndLeavesNothingBehind) {
  write_file(path("x"), "what was there");
  Tool tool({"import", "-", "--namespace", "n", "--to", path("x")}, /*terminal*/ true);
  // When progress shows, the tool waits for input in the middle of its work.
  for (int i = 0; i < 3000 && tool.err().empty(); ++i) {
    ASSERT_TRUE(tool.write("{\"key\":\"" + std::to_string(i) + "\",\"value\":\"\"}\n"));
    tool.poll_err(/*milliseconds*/ 10);
  }
  ASSERT_FALSE(tool.err().empty());
  tool.send_signal(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.signal, SIGTERM) << result.err;
  EXPECT_EQ(read_file(path("x")), "what was there");
  EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace rkvs::testing
