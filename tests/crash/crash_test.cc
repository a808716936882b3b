// Savers that are killed at any moment, hundreds of times over: the file is always whole, and what
// was acknowledged is in it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/crash/crash_contents.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs::crash {
namespace {

using namespace std::chrono_literals;
using manager_test::Contents;
using manager_test::TempDir;
using testing::scaled_down;
using testing::test_scale;

// How a saver ends: by itself at the n-th call of a kind, or from outside after so many
// acknowledgements and a moment more.
struct End {
  Phase phase = Phase::kNone;
  uint64_t number = 0;
  int acknowledgements = 0;
  bool in_a_save = false;  // wait for one to begin first
  std::chrono::microseconds moment{0};
};

// One run of crash_saver.
class Saver {
 public:
  Saver(const char* mode, const std::filesystem::path& directory, const End& end) {
    shared_fd_ = memfd_create("crash_test", 0);
    if (shared_fd_ < 0 || ftruncate(shared_fd_, sizeof(Shared)) != 0) std::abort();
    shared_ = static_cast<Shared*>(
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd_, 0));
    int ends[2];
    if (shared_ == MAP_FAILED || pipe(ends) != 0) std::abort();
    const std::vector<std::string> texts = {
        RKVS_CRASH_SAVER,           mode,
        directory.string(),         std::to_string(ends[1]),
        std::to_string(shared_fd_), std::to_string(static_cast<uint32_t>(end.phase)),
        std::to_string(end.number)};
    std::vector<char*> arguments;
    for (const std::string& text : texts) arguments.push_back(const_cast<char*>(text.c_str()));
    arguments.push_back(nullptr);
    process_ = fork();
    if (process_ == 0) {
      close(ends[0]);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(ends[1]);
    acknowledgements_ = ends[0];
  }
  ~Saver() {
    if (process_ > 0) end();
    close(acknowledgements_);
    munmap(shared_, sizeof(Shared));
    close(shared_fd_);
  }
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // The next serial number that it acknowledges; nothing when it is dead.
  std::optional<uint64_t> acknowledged() {
    uint64_t serial = 0;
    return read(acknowledgements_, &serial, sizeof serial) == sizeof serial
               ? std::optional<uint64_t>(serial)
               : std::nullopt;
  }
  void kill() { ::kill(process_, SIGKILL); }
  // Waits for it; whether it was killed rather than ended by an error.
  bool end() {
    kill();
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  size_t phase() const { return shared_->phase.load(); }
  uint64_t changing() const { return shared_->changing.load(); }
  void await_save() const {
    const auto give_up = std::chrono::steady_clock::now() + 1s;
    while (phase() == 0 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  }

 private:
  pid_t process_ = -1;
  int acknowledgements_ = -1;
  int shared_fd_ = -1;
  Shared* shared_ = nullptr;
};

StoreContents everything_in(const StorageManager& manager) {
  StoreContents store;
  const auto names = manager.list_namespaces();
  EXPECT_OK(names);
  for (const std::string& name : *names) {
    store[name] = manager_test::contents_of(manager_test::find(manager, name));
  }
  return store;
}

// The first key that is not as it should be, and the beginning of what it is; "" where all are.
std::string difference(const StoreContents& found, const StoreContents& expected) {
  for (const auto& [name, contents] : expected) {
    const auto ns = found.find(name);
    if (ns == found.end()) return "no namespace " + name;
    for (const auto& [key, value] : contents) {
      const auto entry = ns->second.find(key);
      if (entry == ns->second.end()) return "no " + key + " in " + name;
      if (entry->second != value) {
        return key + " in " + name + ": " + std::to_string(entry->second.size()) + " bytes, " +
               entry->second.substr(0, 40) + ", instead of " + std::to_string(value.size()) +
               " bytes, " + value.substr(0, 40);
      }
    }
    if (ns->second.size() != contents.size()) return "too many keys in " + name;
  }
  return found.size() == expected.size() ? "" : "too many namespaces";
}

// What a new process finds in `file`: exactly the contents of some serial number, which is
// returned.
std::optional<uint64_t> load(const TempDir& directory, std::string_view file,
                             StoreContents (*contents)(uint64_t)) {
  const StorageManager loaded = [&] {
    StorageManager manager = manager_test::manager_in(directory);
    EXPECT_OK(manager.initialize(file));
    return manager;
  }();
  if (!loaded.is_initialized()) return std::nullopt;
  EXPECT_TRUE(loaded.load_report()->skipped.empty());
  StoreContents found = everything_in(loaded);
  // Saved between the creation of the namespace and the first change.
  if (const auto always = found.find("always"); always != found.end() && always->second.empty()) {
    found.erase(always);
  }
  uint64_t serial = 0;
  if (const auto always = found.find("always"); always != found.end()) {
    const auto text = always->second.find("serial");
    if (text == always->second.end()) {
      ADD_FAILURE() << "half of a state";
      return std::nullopt;
    }
    serial = std::stoull(text->second);
  }
  EXPECT_EQ(difference(found, contents(serial)), "") << "serial number " << serial;
  return serial;
}

size_t temporaries_in(const TempDir& directory) {
  const auto names = directory.names();
  return static_cast<size_t>(
      std::count_if(names.begin(), names.end(), [](const auto& name) { return name[0] == '.'; }));
}

End end_of(int cycle, std::mt19937& random) {
  // Every other one at a call, all kinds in turn.
  static constexpr std::array<Phase, 7> phases = {
      Phase::kCreate, Phase::kWrite,         Phase::kSync,  Phase::kRename,
      Phase::kLink,   Phase::kSyncDirectory, Phase::kUnlink};
  End end;
  if (cycle % 2 == 0) {
    end.phase = phases[static_cast<size_t>(cycle) / 2 % phases.size()];
    end.number = 1 + random() % 6;
  } else {
    end.acknowledgements = static_cast<int>(random() % 4);
    end.in_a_save = cycle % 8 != 1;
    end.moment = std::chrono::microseconds(random() % (end.in_a_save ? 500 : 3000));
  }
  return end;
}

// Kills savers until `cycles` are dead, and looks after each at what is left.
void kill_savers(const char* mode, StoreContents (*contents)(uint64_t), int cycles) {
  constexpr int kCyclesPerDirectory = 25;
  const bool by_itself = std::string_view(mode) == "autosave";
  const unsigned seed =
      static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()) + 20260102U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::array<int, static_cast<size_t>(Phase::kCount)> killed_in{};
  std::unique_ptr<TempDir> directory;
  uint64_t saved = 0;  // what the file must hold at least
  uint64_t acknowledged = 0;
  size_t left_behind = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    SCOPED_TRACE("cycle " + std::to_string(cycle));
    if (cycle % kCyclesPerDirectory == 0) {
      directory = std::make_unique<TempDir>();
      saved = 0;
    }
    const size_t temporaries = temporaries_in(*directory);
    const End end = end_of(cycle, random);
    Saver saver(mode, directory->path(), end);
    int count = 0;
    const auto take = [&] {
      const auto serial = saver.acknowledged();
      if (!serial) return false;
      EXPECT_GT(*serial, saved);
      saved = *serial;
      ++count;
      return true;
    };
    if (end.phase == Phase::kNone) {
      while (count < end.acknowledgements && take()) {
      }
      if (end.in_a_save) saver.await_save();
      const auto until = std::chrono::steady_clock::now() + end.moment;
      while (std::chrono::steady_clock::now() < until) {  // sleeping takes too long
      }
      saver.kill();
    }
    while (take()) {  // until it is dead
    }
    ASSERT_TRUE(saver.end()) << "the saver failed";
    acknowledged += static_cast<uint64_t>(count);
    ++killed_in[saver.phase()];
    // Those that were there before are gone once one save has got through.
    const size_t now = temporaries_in(*directory);
    ASSERT_LE(now, count > 0 ? 1U : temporaries + 1);
    left_behind += now;

    const auto loaded = load(*directory, kFile, contents);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_GE(*loaded, saved) << "an acknowledged save is lost";
    ASSERT_LE(*loaded, by_itself ? std::max(saved, saver.changing()) : saved + 1);
    saved = *loaded;
    // The older generations are whole as well, and older.
    uint64_t newer = saved;
    for (const std::string& name : directory->names()) {
      if (name[0] == '.' || name == kFile) continue;
      const auto older = load(*directory, name, contents);
      ASSERT_TRUE(older.has_value()) << name;
      ASSERT_LE(*older, newer) << name;
      newer = *older;
    }
    ASSERT_FALSE(::testing::Test::HasFailure());
  }

  std::string figures;
  for (size_t phase = 0; phase < killed_in.size(); ++phase) {
    figures += std::string(phase_name(phase)) + " " + std::to_string(killed_in[phase]) + ", ";
  }
  ::testing::Test::RecordProperty("killed_in", figures);
  std::cout << cycles << " kills; in the middle of: " << figures << left_behind
            << " temporary files left, " << acknowledged << " saves acknowledged\n";
  // The kills were where they matter.
  EXPECT_GT(cycles - killed_in[0], cycles / 2) << "too few were in the middle of a save";
  EXPECT_GT(left_behind, 0U);
  EXPECT_GT(acknowledged, 0U);
  for (const Phase phase : {Phase::kCreate, Phase::kWrite, Phase::kSync, Phase::kRename,
                            Phase::kLink, Phase::kSyncDirectory, Phase::kUnlink}) {
    EXPECT_GT(killed_in[static_cast<size_t>(phase)], 0) << phase_name(static_cast<size_t>(phase));
  }
}

int cycles_of(int most) { return std::max(scaled_down(most, 10), 42) * test_scale(); }

TEST(Crash, D2_ASaverThatIsKilledLeavesTheNewestAcknowledgedStateOrALaterOne) {
  kill_savers("save", contents_of, cycles_of(300));
}

TEST(Crash, D3_AnAutosaveThatIsKilledLeavesTheNewestAcknowledgedStateOrALaterOne) {
  kill_savers("autosave", background_contents_of, cycles_of(300));
}

}  // namespace
}  // namespace rkvs::crash
