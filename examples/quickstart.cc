// A first use of rkvs, in nine steps, on the system's word list: every word is a key, its length
// and line number are the value. Prints what it does and checks what comes back.
//
//   quickstart [WORD_LIST]      default: /usr/share/dict/words
#include <rkvs/all.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using rkvs::BatchMode;

// The demo's own way with errors: the first one ends it.
void check(bool holds, std::string_view what) {
  if (!holds) throw std::runtime_error("this should hold: " + std::string(what));
}
void check(const rkvs::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.to_string());
}
template <typename T>
T check(rkvs::Result<T> result) {
  check(result.status());
  return *std::move(result);
}

void step(int number, std::string_view what) {
  std::cout << "\n" << number << ". " << what << "\n";
}

void report_speed(std::string_view what, size_t operations, Clock::time_point since) {
  const std::chrono::duration<double> took = Clock::now() - since;
  std::cout << "   " << std::left << std::setw(34) << what << std::right << std::setw(9)
            << operations << " in " << std::fixed << std::setprecision(1) << std::setw(7)
            << took.count() * 1e3 << " ms: " << std::setprecision(2)
            << static_cast<double>(operations) / took.count() / 1e6 << " M/s\n";
}

void report_balance(const rkvs::Namespace& ns) {
  const std::vector<uint64_t> counts = check(ns.shard_key_counts());
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  std::cout << "   " << counts.size() << " shards, " << *least << " to " << *most
            << " keys in each\n";
}

std::vector<std::string> read_words(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw std::runtime_error("cannot read " + path +
                             " (Debian's package wamerican installs the usual word list)");
  }
  std::vector<std::string> words;
  for (std::string line; std::getline(file, line);) words.push_back(line);
  return words;
}

std::map<std::string, std::string> content(const rkvs::Namespace& ns) {
  std::map<std::string, std::string> all;
  for (const std::string& key : check(ns.list_keys())) {
    all.emplace(key, check(ns.get(key)).to_string());
  }
  return all;
}

// A directory of its own for the demo, gone at the end.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "rkvs-demo-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Waits for the first save of the only task.
rkvs::AutosaveStatus await_autosave(const rkvs::StorageManager& manager) {
  const auto give_up = Clock::now() + 30s;
  for (;;) {
    const rkvs::AutosaveStatus task = check(manager.list_autosave_tasks()).at(0);
    check(task.failures == 0, "autosave does not fail: " + task.last_error.to_string());
    if (task.saves > 0) return task;
    check(Clock::now() < give_up, "autosave comes to save within half a minute");
    std::this_thread::sleep_for(20ms);
  }
}

// Timestamps in names sort by time.
std::string newest_file(const std::filesystem::path& directory, std::string_view prefix) {
  std::string newest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(prefix)) newest = std::max(newest, name);
  }
  return newest;
}

void run(const std::string& word_list) {
  const ScratchDirectory directory;
  const std::vector<std::string> words = read_words(word_list);

  step(1, "Open a store with a directory");
  rkvs::StorageManager manager =
      rkvs::StorageManagerBuilder().with_persistence(directory.path()).build();
  check(manager.has_persistence() && !manager.is_initialized(), "persistent, not yet initialised");

  step(2, "Initialise it from a snapshot that does not exist yet");
  check(manager.initialize("words.rkvs"));
  std::cout << "   " << check(manager.namespace_count()) << " namespaces\n";

  step(3, "Create a namespace with a key limit and 16 shards");
  const uint64_t limit = words.size();
  rkvs::Namespace ns =
      check(manager.create_namespace("words", {.max_keys = limit, .shard_count = 16}));

  step(4, "Single keys: set, get, update, exists, consume, delete");
  const auto value_of = [&](size_t line) {
    return std::to_string(words[line].size()) + ":" + std::to_string(line + 1);
  };
  std::vector<std::string> values;
  for (size_t i = 0; i < words.size(); ++i) values.push_back(value_of(i));
  auto started = Clock::now();
  for (size_t i = 0; i < words.size(); ++i) check(ns.set(words[i], values[i]).status());
  report_speed("set", words.size(), started);
  started = Clock::now();
  for (size_t i = 0; i < words.size(); ++i)
    check(check(ns.get(words[i])) == values[i], "the value");
  report_speed("get", words.size(), started);
  report_balance(ns);

  check(check(ns.update(words[0], "changed")) == values[0], "update returns the old value");
  check(check(ns.exists(words[0])), "the key is there");
  check(check(ns.consume(words[0])) == "changed", "consume returns the value");
  check(!check(ns.exists(words[0])), "a consumed key is gone");
  check(ns.get(words[0]).code() == rkvs::StatusCode::kNotFound, "get of an absent key");
  check(check(ns.delete_key(words[1])), "delete says that the key was there");
  check(!check(ns.delete_key(words[1])), "and the second time that it was not");
  check(ns.set(words[0], values[0]).status());
  check(ns.set(words[1], values[1]).status());
  const rkvs::Status full = ns.set("one key too many", "x").status();
  check(full.code() == rkvs::StatusCode::kTooManyKeys, "the limit holds");
  std::cout << "   one key more: " << full.to_string() << "\n";

  step(5, "Batches: all-or-nothing and best effort");
  constexpr size_t kBatch = 500;
  std::vector<std::string_view> keys(words.begin(), words.end());
  started = Clock::now();
  for (size_t i = 0; i < keys.size(); i += kBatch) {
    const std::span batch = std::span(keys).subspan(i, std::min(kBatch, keys.size() - i));
    check(ns.get_multiple(batch, BatchMode::kAllOrNothing).is_success(), "every word is there");
  }
  report_speed("get in batches of 500", keys.size(), started);
  const auto failing = ns.set_multiple({{words[2], "overwritten"}, {"one key too many", "x"}},
                                       BatchMode::kAllOrNothing);
  check(failing.status.code() == rkvs::StatusCode::kTooManyKeys, "a batch that must fail");
  check(check(ns.get(words[2])) == values[2], "and has changed nothing");
  std::cout << "   all-or-nothing: " << failing.status.to_string() << "\n";
  const auto partial =
      ns.consume_multiple({words[3], "no such word", words[4]}, BatchMode::kBestEffort);
  check(partial.status.ok() && partial.total_processed == 2, "best effort does what it can");
  std::cout << "   best effort: " << partial.total_processed << " of " << partial.items.size()
            << " items, the second is " << status_code_name(partial.items[1].code) << "\n";
  check(ns.set_multiple({{words[3], values[3]}, {words[4], values[4]}}, BatchMode::kAllOrNothing)
            .status);

  step(6, "Resize to twice the shards");
  started = Clock::now();
  check(ns.resize_shards(32));
  report_speed("resize from 16 to 32", words.size(), started);
  report_balance(ns);

  step(7, "Save all namespaces and one, and load them back");
  started = Clock::now();
  check(manager.save_all("words.rkvs"));
  report_speed("save_all", words.size(), started);
  check(manager.save_namespace("words", "one.rkvs"));
  for (const char* file : {"words.rkvs", "one.rkvs"}) {
    std::cout << "   " << file << ": " << std::filesystem::file_size(directory.path() / file)
              << " bytes\n";
  }
  rkvs::StorageManager second({.directory = directory.path()});
  started = Clock::now();
  check(second.initialize("words.rkvs"));
  report_speed("initialize from the file", words.size(), started);
  check(second.load_namespace_as("one.rkvs", "copy"));
  const auto original = content(ns);
  check(original.size() == words.size(), "every word is there once");
  check(content(check(second.get_namespace("words"))) == original, "the same after save_all");
  check(content(check(second.get_namespace("copy"))) == original, "the same after save_namespace");
  check(check(second.get_namespace("words")).get_config() == ns.get_config(), "limits as well");
  std::cout << "   the loaded stores equal the first, key by key\n";

  step(8, "Autosave: every 200 ms, and once more at the end");
  check(manager.add_namespace_autosave_task(
      "words", {.interval = 200ms, .file = "{ns}-{ts}.rkvs", .final_save = true}));
  const rkvs::AutosaveStatus saved = await_autosave(manager);
  std::cout << "   saved to " << saved.last_file << " in " << saved.last_duration.count()
            << " ms\n";
  check(second.load_namespace_as(saved.last_file, "autosaved"));
  check(content(check(second.get_namespace("autosaved"))) == original, "the same after autosave");
  check(ns.update(words[0], "written last").status());
  check(manager.close());  // no need to wait for the next 200 ms
  check(ns.get(words[0]).code() == rkvs::StatusCode::kClosed, "handles know");
  check(second.load_namespace_as(newest_file(directory.path(), "words-"), "closed"));
  check(check(check(second.get_namespace("closed")).get(words[0])) == "written last",
        "the last change is in the last save");
  std::cout << "   the loaded stores equal the first again, its last change included\n";

  step(9, "Figures, and clean up");
  for (const rkvs::NamespaceStats& stats : check(second.all_namespace_stats())) {
    std::cout << "   " << stats.name << ": " << stats.key_count << " keys, " << stats.total_size
              << " bytes of values, " << stats.memory_bytes << " bytes of memory, "
              << stats.shard_count << " shards\n";
  }
  const rkvs::Namespace copy = check(second.get_namespace("copy"));
  check(second.delete_namespace("copy"));
  check(copy.get(words[0]).code() == rkvs::StatusCode::kNamespaceDeleted, "handles know");
  std::cout << "   done\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? argv[1] : "/usr/share/dict/words");
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::cerr << "quickstart: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
}
