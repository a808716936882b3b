// The tool where the system gives it less than it asks for: room, temporary files, a patient
// reader; and what it reads and holds back, by itself.
#include <fcntl.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/entry_spool.h"
#include "cli/input.h"
#include "tests/cli/tool.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

// No file of this process, or of those that it starts, grows beyond so many bytes: writing more is
// an error of the system, as on a full disk.
class FilesOfAtMost {
 public:
  explicit FilesOfAtMost(rlim_t bytes) {
    // Else a signal ends the writer.
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit = {bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FilesOfAtMost() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FilesOfAtMost(const FilesOfAtMost&) = delete;
  FilesOfAtMost& operator=(const FilesOfAtMost&) = delete;

 private:
  rlimit before_ = {};
  void (*handler_)(int) = SIG_DFL;
};

class ToolEnvironmentTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  // So many namespaces, of 2 MiB each.
  std::string large_file(int namespaces) const {
    Model model;
    for (int n = 0; n < namespaces; ++n) {
      ModelNamespace& ns = model.add("ns" + std::to_string(n));
      for (int i = 0; i < 64; ++i) {
        ns.entries.push_back({"key" + std::to_string(i), std::string(32 << 10, 'v'), 0, 0});
      }
    }
    return file_of(model.announce());
  }

  TempDir directory_;
};

// --- Room
// ------------------------------------------------------------------------------------------

TEST_F(ToolEnvironmentTest, AnImportThatDoesNotFitIsFourAndLeavesNothing) {
  std::string lines;
  for (int i = 0; i < 64; ++i) {
    lines += "{\"key\":\"" + std::to_string(i) + "\",\"value\":\"" + std::string(64 << 10, 'v') +
             "\"}\n";
  }
  const FilesOfAtMost limit(2 << 20);
  const ToolResult result = run_tool({"import", "-", "--namespace", "n", "--to", path("x")}, lines);
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_NE(result.err.find("temporary file"), std::string::npos) << result.err;
  EXPECT_TRUE(names_in(directory_.path()).empty());
}

TEST_F(ToolEnvironmentTest, WhatIsSavedOfADamagedFileIsWholeOrNotThere) {
  std::string damaged = large_file(3);
  damaged[5000] ^= 1;
  write_file(path("bad"), damaged);
  {
    // Each namespace fits, all together do not.
    const FilesOfAtMost limit(4 << 20);
    const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
    EXPECT_EQ(result.exit_code, 4) << result.err;
    EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"bad"});
  }
  {
    const FilesOfAtMost limit(1 << 20);
    EXPECT_EQ(run_tool({"salvage", path("bad"), "--to", path("good")}).exit_code, 4);
    EXPECT_EQ(names_in(directory_.path()), std::vector<std::string>{"bad"});
  }
  const ToolResult result = run_tool({"salvage", path("bad"), "--to", path("good")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(ToolEnvironmentTest, AnExportThatDoesNotFitLeavesTheFileThatWasThere) {
  write_file(path("snapshot"), large_file(1));
  write_file(path("lines"), "what was there");
  const FilesOfAtMost limit(1 << 20);
  const ToolResult result =
      run_tool({"export", path("snapshot"), "--namespace", "ns0", "--output", path("lines")});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(read_file(path("lines")), "what was there");
  EXPECT_EQ(names_in(directory_.path()), (std::vector<std::string>{"lines", "snapshot"}));
}

TEST_F(ToolEnvironmentTest, AStoreOfManyEntriesIsHeldBackInPiecesAndComesOutInOrder) {
  const auto spool =
      cli::EntrySpool::create(directory_.path(), cli::DuplicateRule::kHighestVersion);
  ASSERT_TRUE(is_ok(spool));
  // More than the buffer holds, every third superseded from far behind.
  const std::string value(3000, 'v');
  for (uint64_t i = 0; i < 1500; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(is_ok((*spool)->add({key, value, i + 1, 0})));
  }
  for (uint64_t i = 0; i < 1500; i += 3) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(is_ok((*spool)->add({key, "older", 0, 0})));
    ASSERT_TRUE(is_ok((*spool)->add({key, "newer", 5000 + i, 0})));
  }
  EXPECT_EQ((*spool)->duplicates(), 1000U);
  EXPECT_EQ((*spool)->totals().entries, 1500U);
  EXPECT_EQ((*spool)->last_version(), 5000U + 1497);
  StringSink sink;
  internal::SnapshotWriter writer(sink);
  internal::SnapshotHeader header;
  header.namespace_count = 1;
  internal::SnapshotNamespace info;
  info.name = "n";
  info.entry_count = (*spool)->totals().entries;
  info.value_bytes = (*spool)->totals().value_bytes;
  info.last_version = (*spool)->last_version();
  cli::Progress progress("test");
  ASSERT_TRUE(is_ok(writer.begin(header)));
  ASSERT_TRUE(is_ok(writer.begin_namespace(info)));
  ASSERT_TRUE(is_ok((*spool)->write_to(writer, progress)));
  ASSERT_TRUE(is_ok(writer.end_namespace()));
  ASSERT_TRUE(is_ok(writer.finish()));
  const auto model = read_model(sink.bytes());
  ASSERT_TRUE(is_ok(model));
  ASSERT_EQ(model->namespaces[0].entries.size(), 1500U);
  for (const ModelEntry& entry : model->namespaces[0].entries) {
    EXPECT_EQ(entry.value == "newer", std::stoi(entry.key.substr(3)) % 3 == 0) << entry.key;
  }
}

TEST_F(ToolEnvironmentTest, WhereNoTemporaryFileCanBeMadeIsSaid) {
  // A file system without unnamed files, and without room for named ones.
  for (const std::string& place : {std::string("/proc"), path("nowhere")}) {
    const auto spool = cli::EntrySpool::create(place, cli::DuplicateRule::kLast);
    EXPECT_EQ(spool.code(), StatusCode::kIo) << place;
    EXPECT_NE(spool.status().message().find(place), std::string::npos);
  }
}

// --- Input and output
// ----------------------------------------------------------------------------------

TEST_F(ToolEnvironmentTest, LinesAreReadOneByOneUpToTheLongest) {
  write_file(path("lines"), "\xEF\xBB\xBFone\r\ntwo\n\nlast");
  const auto reader = cli::LineReader::open(path("lines"), 6);
  ASSERT_TRUE(is_ok(reader));
  EXPECT_EQ((*reader)->size(), read_file(path("lines")).size());
  std::vector<std::string> lines;
  for (;;) {
    auto line = (*reader)->next();
    if (!line.ok()) {
      // The mark and the carriage return count: what is too long is told before it is looked at.
      EXPECT_EQ(line.code(), StatusCode::kInvalidArgument);
      break;
    }
    if (!line->has_value()) break;
    lines.emplace_back(**line);
  }
  EXPECT_TRUE(lines.empty());
  EXPECT_EQ((*reader)->line_number(), 1U);

  const auto longer = cli::LineReader::open(path("lines"), 7);
  ASSERT_TRUE(is_ok(longer));
  for (;;) {
    auto line = (*longer)->next();
    ASSERT_TRUE(is_ok(line));
    if (!line->has_value()) break;
    lines.emplace_back(**line);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "last"}));
  EXPECT_EQ((*longer)->offset(), (*longer)->size());
}

TEST_F(ToolEnvironmentTest, InputThatCannotBeOpenedIsToldFromInputThatIsNotThere) {
  write_file(path("file"), "x");
  EXPECT_EQ(cli::LineReader::open(path("nothing"), 100).code(), StatusCode::kSnapshotNotFound);
  EXPECT_EQ(cli::LineReader::open(path("file") + "/within", 100).code(), StatusCode::kIo);
}

TEST_F(ToolEnvironmentTest, AReaderThatLagsBehindGetsEverythingThoughTheOutputDoesNotBlock) {
  write_file(path("snapshot"), large_file(1));
  const std::string expected = run_tool({"dump", path("snapshot")}).out;
  ASSERT_GT(expected.size(), size_t{1} << 20);
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  ASSERT_EQ(::fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
  const std::string snapshot = path("snapshot");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(fds[1], STDOUT_FILENO);
    ::execl(RKVS_TOOL, RKVS_TOOL, "dump", snapshot.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(fds[1]);
  std::string out;
  std::vector<char> buffer(200'000);
  for (int reads = 0;; ++reads) {
    // Long enough for the pipe to be full, a few times.
    if (reads < 5) std::this_thread::sleep_for(std::chrono::milliseconds(40));
    const ssize_t n = ::read(fds[0], buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    out.append(buffer.data(), static_cast<size_t>(n));
  }
  ::close(fds[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(out == expected) << out.size() << " bytes of " << expected.size();
}

TEST_F(ToolEnvironmentTest, ASignalThatIsIgnoredFromTheStartStaysIgnored) {
  void (*const before)(int) = ::signal(SIGINT, SIG_IGN);
  Tool tool({"import", "-", "--namespace", "n", "--to", path("x")}, /*terminal*/ true);
  ::signal(SIGINT, before);
  for (int i = 0; i < 3000 && tool.err().empty(); ++i) {
    ASSERT_TRUE(tool.write("{\"key\":\"" + std::to_string(i) + "\",\"value\":\"\"}\n"));
    tool.poll_err(/*milliseconds*/ 10);
  }
  tool.send_signal(SIGINT);
  tool.close_input();
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::exists(path("x")));
}

// --- What info says
// ----------------------------------------------------------------------------------

TEST_F(ToolEnvironmentTest, InfoSpellsOutLimitsShardsAndTasksOfEveryForm) {
  Model model;
  model.header.max_bytes = 5'000'000'000;
  ModelNamespace& by_time = model.add("by time");
  by_time.info.max_keys = 0;
  by_time.info.max_value_size = 100;
  by_time.info.max_bytes = 3 << 20;
  by_time.info.shard_count = 0;
  by_time.info.shards_in_use = 32;
  by_time.info.autosave = internal::SnapshotAutosave{60000, 0, "t"};
  ModelNamespace& by_changes = model.add("by changes");
  by_changes.info.max_keys = 1'234'567;
  by_changes.info.shard_count = 8;
  by_changes.info.autosave = internal::SnapshotAutosave{0, 500, "c"};
  model.add("none").info.last_version = 1'000'000;
  write_file(path("x"), file_of(model.announce()));
  const ToolResult result = run_tool({"info", path("x")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const size_t second = result.out.find("namespace \"by changes\"");
  const size_t third = result.out.find("namespace \"none\"");
  ASSERT_NE(third, std::string::npos) << result.out;
  const std::string head = result.out.substr(0, result.out.find("\nnamespace"));
  const std::string first_part = result.out.substr(head.size(), second - head.size());
  const std::string second_part = result.out.substr(second, third - second);
  const std::string third_part = result.out.substr(third);
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                : ::testing::AssertionFailure()
                                                      << part << " is not in\n"
                                                      << text;
  };
  EXPECT_TRUE(has(head, "max bytes         5,000,000,000 B (4.7 GiB)"));
  EXPECT_TRUE(has(head, "max namespaces    none"));
  EXPECT_TRUE(has(first_part, "max keys          none"));
  EXPECT_TRUE(has(first_part, "max value size    100 B\n"));
  EXPECT_TRUE(has(first_part, "max bytes         3,145,728 B (3.0 MiB)"));
  EXPECT_TRUE(has(first_part, "shards            automatic, 32 in use\n"));
  EXPECT_TRUE(has(first_part, "autosave          to \"t\", every 60,000 ms\n"));
  EXPECT_TRUE(has(second_part, "max keys          1,234,567\n"));
  EXPECT_TRUE(has(second_part, "shards            8\n"));
  EXPECT_TRUE(has(second_part, "autosave          to \"c\", after 500 changes\n"));
  EXPECT_TRUE(has(third_part, "autosave          none\n"));
  EXPECT_TRUE(has(third_part, "last version      1,000,000\n"));
}

}  // namespace
}  // namespace rkvs::testing
