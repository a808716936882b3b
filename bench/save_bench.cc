// What a save costs: the writers, the memory and the time; and how fast loads are.
//
//   save_bench [--keys=4000000] [--rounds=5] [--load_keys=1000000,4000000] [--shards=0]
//              [--directory=.] [--peer=PROGRAM] [--json=FILE]
//              [cut] [latency] [memory] [save] [load]
//
// Without names all five. Keys have 14 bytes; values 64, those of loads 100; configurations are
// the defaults, --shards aside, which is for all but load. What is compared takes turns within a
// round, and printed are medians over the rounds, those of ratios taken within each round. PROGRAM
// is peers/rkvs_rs, the Rust crate of the same name; run_save_bench.sh builds it. Files are in the
// page cache when they are loaded.
//
//   cut      20 times a round, beside a thread that writes all the time: how long Cut::take() took
//            in all (the time that all locks are held is less), and the longest write around it.
//   latency  of overwrites of random keys by one thread: while a save runs, and for as long without
//            one. Control: a thread that reads the clock instead, while a save runs; what it sees
//            is the machine's doing.
//   memory   every entry overwritten once, all right after the cut of one save, which is the most
//            that a save can cost. Extra is what the arena and malloc gave beyond the superseded
//            entries.
//   save     save_all(), synced, against the same entries as two lengths, key and value through a
//            buffer of 1 MiB, synced; against the peer, which syncs nothing.
//   load     initialize(file), into memory fresh from the system, against the peer.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "bench/measure.h"
#include "bench/peer_process.h"
#include "bench/workload.h"
#include "bench/write_watch.h"
#include "rkvs/all.h"
#include "store/namespace_image.h"
#include "store/namespace_impl.h"

namespace rkvs::bench {
namespace {

using internal::Arena;
using internal::Cut;
using internal::Entry;
using internal::NamespaceImpl;
using nlohmann::json;

constexpr size_t kValueSize = 64;
constexpr size_t kLoadValueSize = 100;
constexpr const char* kFile = "bench.rkvs";
constexpr double kMegabyte = 1e6;

struct Settings {
  size_t keys = 4'000'000;
  size_t rounds = 5;
  uint32_t shards = 0;
  std::vector<size_t> load_keys = {1'000'000, 4'000'000};
  std::string directory = ".";
  std::string peer;
  std::string json_file;
  std::vector<std::string> parts;

  bool wants(const char* part) const {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  }
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "save_bench: %s\n", what.c_str());
  std::exit(1);
}
void check(const Status& status) {
  if (!status.ok()) die(status.to_string());
}

struct Store {
  StorageManager manager;
  Namespace ns;

  Store(const std::string& directory, size_t keys, size_t value_size, uint32_t shards = 0)
      : manager({.directory = directory}) {
    check(manager.initialize());
    auto created = manager.create_namespace("bench", {.shard_count = shards});
    if (!created.ok()) check(created.status());
    ns = *created;
    const auto names = make_keys(keys);
    const std::string value(value_size, 'v');
    for (const uint32_t i : random_order(keys, 1)) check(ns.put(names[i], value));
  }
  // A reference that owns nothing: the manager does.
  std::vector<std::shared_ptr<NamespaceImpl>> impls() const {
    return {std::shared_ptr<NamespaceImpl>(std::shared_ptr<void>(), &NamespaceImpl::of(ns))};
  }
};

void remove_files(const Settings& settings) {
  for (const char* suffix : {"", ".1", ".2", ".raw"}) {
    std::filesystem::remove(std::filesystem::path(settings.directory) /
                            (std::string(kFile) + suffix));
  }
}

// One line and one JSON value for each figure.
class Report {
 public:
  void add(const std::string& part, const std::string& name, const std::vector<double>& rounds,
           const char* unit, std::optional<double> goal = {}, bool at_least = false) {
    const double middle = median(rounds);
    const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
    json figure = {
        {"median", middle}, {"min", *least}, {"max", *most}, {"unit", unit}, {"rounds", rounds}};
    std::printf("%-8s %-46s %10.3f %-9s (%.3f to %.3f)", part.c_str(), name.c_str(), middle, unit,
                *least, *most);
    if (goal.has_value()) {
      const bool met = at_least ? middle >= *goal : middle <= *goal;
      figure["goal"] = *goal;
      figure["met"] = met;
      std::printf("  goal %s %g: %s", at_least ? ">=" : "<=", *goal, met ? "met" : "MISSED");
    }
    std::printf("\n");
    std::fflush(stdout);
    root_[part][name] = std::move(figure);
  }
  json& root() { return root_; }

 private:
  json root_;
};

// --- cut -----------------------------------------------------------------------------------------

double longest_us(const std::vector<WriteWatch::Sample>& samples, bool unless_preempted) {
  uint32_t longest = 0;
  for (const auto& sample : samples) {
    if (!(unless_preempted && sample.preempted)) longest = std::max(longest, sample.duration);
  }
  return longest / 1e3;
}

void bench_cut(const Settings& settings, const Store& store, Report& report) {
  constexpr int kCuts = 20;
  const auto keys = make_keys(settings.keys);
  const auto order = random_order(settings.keys, 3);
  const std::string value(kValueSize, 'w');
  Namespace ns = store.ns;
  WriteWatch watch(8'000'000);
  std::vector<double> alone, beside, all_writes, writes, control;
  const auto time_cuts = [&](std::vector<double>* takes, std::vector<double>* any,
                             std::vector<double>* not_preempted) {
    std::vector<double> take, longest, longest_running;
    std::vector<std::pair<Clock::time_point, Clock::time_point>> cuts;
    for (int i = 0; i < kCuts; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const auto begin = Clock::now();
      const auto cut = Cut::take(store.impls());
      const auto end = Clock::now();
      if (!cut.ok()) check(cut.status());
      cuts.emplace_back(begin, end);
      take.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    }
    if (takes != nullptr) takes->push_back(median(take));
    if (any == nullptr) return;
    watch.stop();
    for (const auto& [begin, end] : cuts) {
      const auto samples = watch.between(begin, end);
      longest.push_back(longest_us(samples, false));
      longest_running.push_back(longest_us(samples, true));
    }
    any->push_back(median(longest));
    if (not_preempted != nullptr) {
      not_preempted->push_back(*std::max_element(longest_running.begin(), longest_running.end()));
    }
  };
  for (size_t round = 0; round < settings.rounds; ++round) {
    time_cuts(&alone, nullptr, nullptr);
    watch.start([&](size_t i) { check(ns.put(keys[order[i % order.size()]], value)); });
    time_cuts(&beside, &all_writes, &writes);
    watch.start([](size_t) {});
    time_cuts(nullptr, &control, nullptr);
  }
  report.add("cut", "stall, nobody writes", alone, "us", 1000.0);
  report.add("cut", "stall, one thread writes", beside, "us", 1000.0);
  report.add("cut", "longest write around it, worst, not preempted", writes, "us", 1000.0);
  report.add("cut", "longest write around it, preempted or not", all_writes, "us");
  report.add("cut", "control: longest gap around it", control, "us");
}

// --- latency -------------------------------------------------------------------------------------

struct Latencies {
  std::vector<double> p50, p99, p999, most, held, slow, per_second;

  void add(const std::vector<WriteWatch::Sample>& samples, double seconds) {
    std::vector<double> us;
    us.reserve(samples.size());
    size_t over = 0;
    for (const auto& sample : samples) {
      us.push_back(sample.duration / 1e3);
      if (sample.duration > 250'000 && !sample.preempted) ++over;
    }
    p50.push_back(percentile(us, 0.5));
    p99.push_back(us[static_cast<size_t>(0.99 * static_cast<double>(us.size()))]);
    p999.push_back(us[static_cast<size_t>(0.999 * static_cast<double>(us.size()))]);
    most.push_back(us.back());
    held.push_back(longest_us(samples, true));
    slow.push_back(static_cast<double>(over));
    per_second.push_back(static_cast<double>(samples.size()) / seconds / 1e6);
  }
  void show(Report& report, const std::string& name) const {
    report.add("latency", name + ": writes", per_second, "M/s");
    report.add("latency", name + ": p50", p50, "us");
    report.add("latency", name + ": p99", p99, "us");
    report.add("latency", name + ": p99.9", p999, "us");
    report.add("latency", name + ": max", most, "us");
    report.add("latency", name + ": max, not preempted", held, "us");
    report.add("latency", name + ": over 250 us, not preempted", slow, "writes");
  }
};

void bench_latency(const Settings& settings, Store& store, Report& report) {
  const auto keys = make_keys(settings.keys);
  const auto order = random_order(settings.keys, 4);
  const std::string value(kValueSize, 'x');
  WriteWatch watch(16'000'000);
  Latencies during, without, control;
  double window = 0;
  size_t at = 0;
  // Lets the thread run a little before what is measured.
  const auto run = [&](bool writes, bool saves, Latencies& into) {
    remove_files(settings);
    if (writes) {
      at += 1'000'003;
      watch.start(
          [&, at](size_t i) { check(store.ns.put(keys[order[(at + i) % order.size()]], value)); });
    } else {
      watch.start([](size_t) {});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto begin = Clock::now();
    if (saves) {
      check(store.manager.save_all(kFile));
    } else {
      std::this_thread::sleep_for(std::chrono::duration<double>(window));
    }
    const auto end = Clock::now();
    watch.stop();
    const double seconds = std::chrono::duration<double>(end - begin).count();
    if (saves && writes) window = seconds;
    into.add(watch.between(begin, end), seconds);
  };
  std::vector<double> ratios;
  for (size_t round = 0; round < settings.rounds; ++round) {
    if (round % 2 == 0) run(true, true, during);
    run(true, false, without);
    if (round % 2 != 0) run(true, true, during);
    run(false, true, control);
    ratios.push_back(during.p999.back() / without.p999.back());
  }
  report.add("latency", "p99.9 during a save against without", ratios, "x", 4.0);
  std::vector<double> held = during.slow;
  for (size_t i = 0; i < held.size(); ++i) held[i] = std::max(0.0, held[i] - control.slow[i]);
  report.add("latency", "writes over 250 us beyond the control's", held, "writes", 0.0);
  during.show(report, "during a save");
  without.show(report, "without");
  control.show(report, "control during a save");
  remove_files(settings);
}

// --- memory --------------------------------------------------------------------------------------

size_t malloc_in_use() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
size_t resident() {
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t pages = 0;
  file >> size >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

void bench_memory(const Settings& settings, Store& store, Report& report) {
  const auto keys = make_keys(settings.keys);
  const auto order = random_order(settings.keys, 5);
  const std::string value(kValueSize, 'y');
  const auto stats = store.manager.namespace_stats("bench");
  if (!stats.ok()) check(stats.status());
  const auto in_store = static_cast<double>(stats->memory_bytes);
  const auto superseded = static_cast<double>(
      settings.keys * Arena::packed_block_size(Entry::size_of(keys[0].size(), kValueSize, false)));
  std::vector<double> extras, arena_extras, malloc_extras, growths;
  for (size_t round = 0; round < settings.rounds; ++round) {
    remove_files(settings);
    Arena::trim();
    ::malloc_trim(0);
    // The hook is called first when the cut has been taken and nothing is written yet.
    std::atomic<bool> cut{false};
    std::atomic<bool> overwritten{false};
    OperationOptions options;
    options.progress = [&](const Progress&) {
      cut = true;
      cut.notify_all();
      overwritten.wait(false);
    };
    std::thread saver([&] { check(store.manager.save_all(kFile, options)); });
    cut.wait(false);
    const size_t arena = Arena::stats().bytes_in_use;
    const size_t allocated = malloc_in_use();
    const size_t pages = resident();
    for (const uint32_t i : order) check(store.ns.put(keys[i], value));
    const double arena_extra =
        static_cast<double>(Arena::stats().bytes_in_use - arena) - superseded;
    const double malloc_extra = static_cast<double>(malloc_in_use() - allocated);
    const double growth = static_cast<double>(resident() - pages) - superseded;
    overwritten = true;
    overwritten.notify_all();
    saver.join();
    arena_extras.push_back(100 * arena_extra / in_store);
    malloc_extras.push_back(100 * malloc_extra / in_store);
    extras.push_back(arena_extras.back() + malloc_extras.back());
    growths.push_back(100 * growth / in_store);
  }
  report.add("memory", "the store", {in_store / kMegabyte}, "MB");
  report.add("memory", "superseded entries", {superseded / kMegabyte}, "MB");
  report.add("memory", "extra, net, of the store", extras, "%", 15.0);
  report.add("memory", "  of it from the arena", arena_extras, "%");
  report.add("memory", "  of it from malloc", malloc_extras, "%");
  report.add("memory", "growth of resident memory, net", growths, "%");
  remove_files(settings);
}

// --- save ----------------------------------------------------------------------------------------

// In the order of a save. They stay where they are as long as nobody writes.
std::vector<const Entry*> all_entries(const Store& store) {
  auto cut = Cut::take(store.impls());
  if (!cut.ok()) check(cut.status());
  std::vector<const Entry*> result;
  auto& image = (*cut)->namespaces().front();
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    const auto entries = image.entries(shard);
    if (!entries.ok()) check(entries.status());
    result.insert(result.end(), entries->begin(), entries->end());
    image.release(shard);
  }
  return result;
}

void raw_save(const std::vector<const Entry*>& entries, const std::string& path) {
  constexpr size_t kBuffer = size_t{1} << 20;
  constexpr size_t kAhead = 16;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) die("cannot create " + path);
  std::string buffer;
  buffer.reserve(kBuffer + 1024);
  const auto flush = [&] {
    if (::write(fd, buffer.data(), buffer.size()) != static_cast<ssize_t>(buffer.size())) {
      die("short write");
    }
    buffer.clear();
  };
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      const char* const ahead = reinterpret_cast<const char*>(entries[i + kAhead]);
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + 64);
    }
    const std::string_view key = entries[i]->key();
    const std::string_view value = entries[i]->value();
    const uint32_t lengths[2] = {static_cast<uint32_t>(key.size()),
                                 static_cast<uint32_t>(value.size())};
    buffer.append(reinterpret_cast<const char*>(lengths), sizeof lengths);
    buffer.append(key).append(value);
    if (buffer.size() >= kBuffer) flush();
  }
  flush();
  if (::fsync(fd) != 0) die("fsync");
  ::close(fd);
}

void fill_peer(PeerProcess& peer, size_t keys, size_t value_size) {
  const std::string command = "fill " + std::to_string(keys) + " " + std::to_string(value_size);
  if (peer.ask(command) != "ok") die("the peer failed to fill its store");
}

std::pair<double, double> ask_two(PeerProcess& peer, const char* command) {
  std::istringstream answer(peer.ask(command));
  std::pair<double, double> result;
  if (!(answer >> result.first >> result.second)) die(std::string("the peer failed to ") + command);
  return result;
}

void bench_save(const Settings& settings, const Store& store, PeerProcess* peer, Report& report) {
  const auto entries = all_entries(store);
  const std::string raw = settings.directory + "/" + kFile + ".raw";
  Namespace ns = store.ns;
  auto& manager = const_cast<StorageManager&>(store.manager);
  if (peer != nullptr) fill_peer(*peer, settings.keys, kValueSize);
  std::vector<double> saves, raws, raw_ratios, peers, peer_ratios, synced_ratios, speeds;
  for (size_t round = 0; round < settings.rounds; ++round) {
    remove_files(settings);
    const auto save = [&] {
      const auto start = Clock::now();
      check(manager.save_all(kFile));
      saves.push_back(seconds_since(start));
    };
    const auto save_raw = [&] {
      const auto start = Clock::now();
      raw_save(entries, raw);
      raws.push_back(seconds_since(start));
    };
    if (round % 2 == 0) save_raw();
    save();
    if (round % 2 != 0) save_raw();
    raw_ratios.push_back(raws.back() / saves.back());
    speeds.push_back(static_cast<double>(settings.keys) / saves.back() / 1e6);
    if (peer == nullptr) continue;
    const auto [unsynced, synced] = ask_two(*peer, "save");
    peers.push_back(unsynced);
    peer_ratios.push_back(unsynced / saves.back());
    synced_ratios.push_back(synced / saves.back());
  }
  report.add("save", "speed against a raw file", raw_ratios, "x", 0.8, true);
  if (peer != nullptr) {
    report.add("save", "speed against rkvs-rs", peer_ratios, "x", 6.0, true);
    report.add("save", "speed against rkvs-rs, synced too", synced_ratios, "x");
    report.add("save", "rkvs-rs, not synced", peers, "s");
  }
  report.add("save", "entries", speeds, "M/s");
  report.add("save", "save_all", saves, "s");
  report.add("save", "raw file", raws, "s");
  remove_files(settings);
}

// --- load ----------------------------------------------------------------------------------------

void bench_load(const Settings& settings, size_t keys, PeerProcess* peer, Report& report) {
  remove_files(settings);
  {
    Store store(settings.directory, keys, kLoadValueSize);
    check(store.manager.save_all(kFile));
  }
  if (peer != nullptr) {
    fill_peer(*peer, keys, kLoadValueSize);
    ask_two(*peer, "save");
    peer->ask("drop");
  }
  std::vector<double> loads, speeds, peers, ratios;
  for (size_t round = 0; round < settings.rounds; ++round) {
    Arena::trim();
    {
      StorageManager manager({.directory = settings.directory});
      const auto start = Clock::now();
      check(manager.initialize(kFile));
      loads.push_back(seconds_since(start));
      if (*manager.total_key_count() != keys) die("a load brought another number of keys");
      const auto ns = manager.get_namespace("bench");
      for (const std::string& key : make_keys(1000)) {
        const auto value = ns->get(key);
        if (!value.ok() || value->view() != std::string(kLoadValueSize, 'v'))
          die("a load lost " + key);
      }
    }
    speeds.push_back(static_cast<double>(keys) / loads.back() / 1e6);
    if (peer == nullptr) continue;
    const auto [seconds, loaded] = ask_two(*peer, "load");
    if (loaded != static_cast<double>(keys)) die("the peer loaded another number of keys");
    peers.push_back(seconds);
    ratios.push_back(seconds / loads.back());
  }
  const std::string part = "load " + std::to_string(keys);
  if (peer != nullptr) {
    report.add(part, "speed against rkvs-rs", ratios, "x", 6.0, true);
    report.add(part, "rkvs-rs", peers, "s");
  }
  report.add(part, "keys", speeds, "M/s", 5.0, true);
  report.add(part, "initialize", loads, "s");
  remove_files(settings);
}

bool parse(int argc, char** argv, Settings& settings) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (name == "--keys") {
      settings.keys = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--shards") {
      settings.shards = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (name == "--rounds") {
      settings.rounds = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--load_keys") {
      settings.load_keys.clear();
      std::istringstream list(value);
      for (std::string one; std::getline(list, one, ',');) {
        settings.load_keys.push_back(std::strtoull(one.c_str(), nullptr, 10));
      }
    } else if (name == "--directory") {
      settings.directory = value;
    } else if (name == "--peer") {
      settings.peer = value;
    } else if (name == "--json") {
      settings.json_file = value;
    } else if (word == "cut" || word == "latency" || word == "memory" || word == "save" ||
               word == "load") {
      settings.parts.push_back(word);
    } else {
      return false;
    }
  }
  return settings.keys != 0 && settings.rounds != 0 &&
         std::find(settings.load_keys.begin(), settings.load_keys.end(), 0U) ==
             settings.load_keys.end();
}

int main_of(int argc, char** argv) {
  Settings settings;
  if (!parse(argc, argv, settings)) {
    std::fprintf(stderr,
                 "usage: %s [--keys=N] [--rounds=N] [--load_keys=N,N...] [--shards=N]\n"
                 "       [--directory=D] [--peer=PROGRAM] [--json=FILE] [cut] [latency] [memory] "
                 "[save] [load]\n",
                 argv[0]);
    return 2;
  }
  std::unique_ptr<PeerProcess> peer;
  std::string no_peer = "no program was given";
  if (!settings.peer.empty()) {
    peer = PeerProcess::start(settings.peer, settings.directory);
    if (peer == nullptr) no_peer = "\"" + settings.peer + "\" cannot be started";
  }
  if (peer == nullptr) std::printf("without rkvs-rs: %s\n", no_peer.c_str());

  Report report;
  report.root()["keys"] = settings.keys;
  report.root()["rounds"] = settings.rounds;
  report.root()["processors"] = std::thread::hardware_concurrency();
  report.root()["peer"] = peer == nullptr ? json(nullptr) : json("rkvs-rs 0.4.0");
  if (settings.wants("cut") || settings.wants("latency") || settings.wants("memory") ||
      settings.wants("save")) {
    Store store(settings.directory, settings.keys, kValueSize, settings.shards);
    std::printf("%zu keys in %u shards, %zu rounds\n", settings.keys,
                store.ns.metadata()->shard_count, settings.rounds);
    if (settings.wants("cut")) bench_cut(settings, store, report);
    if (settings.wants("latency")) bench_latency(settings, store, report);
    if (settings.wants("memory")) bench_memory(settings, store, report);
    if (settings.wants("save")) bench_save(settings, store, peer.get(), report);
  }
  if (settings.wants("load")) {
    for (const size_t keys : settings.load_keys) bench_load(settings, keys, peer.get(), report);
  }
  if (peer != nullptr) {
    peer.reset();
    std::filesystem::remove(std::filesystem::path(settings.directory) / "peer.bin");
  }
  if (!settings.json_file.empty()) {
    std::ofstream file(settings.json_file);
    file << report.root().dump(2) << '\n';
    if (!file.flush()) die("cannot write " + settings.json_file);
  }
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
