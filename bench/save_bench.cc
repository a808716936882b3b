// What a save costs: the writers, the memory and the time; and how fast loads are.
//
//   save_bench [--keys=1e6] [--rounds=5] [--load_keys=1e6,4e6] [--shards=0] [--value=100]
//              [--directory=.] [--parts=cut,latency,memory,save,load] [--json=FILE]
//
// Keys have 14 bytes; configurations are the defaults, --shards aside, which is for all but load.
// What is compared takes turns within a round, and printed are medians over the rounds, those of
// ratios taken within each round. The peer is rkvs-rs, where it could be built. Files are in the
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
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/stores/process_contender.h"
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

constexpr const char* kFile = "bench.rkvs";
constexpr double kMegabyte = 1e6;

struct Settings {
  explicit Settings(const Options& options)
      : keys(options.number("keys")),
        rounds(options.number("rounds")),
        shards(static_cast<uint32_t>(options.number("shards"))),
        value_size(options.number("value")),
        load_keys(options.numbers("load_keys")),
        directory(options.text("directory")),
        parts(options.list("parts")) {}

  const size_t keys;
  const size_t rounds;
  const uint32_t shards;
  const size_t value_size;
  const std::vector<size_t> load_keys;
  const std::string directory;
  const std::vector<std::string> parts;

  bool wants(const char* part) const {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
  }
};

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

// One line and one row for each figure.
void add(Report& report, const std::string& part, const std::string& name,
         const std::vector<double>& rounds, const char* unit) {
  const double middle = median(rounds);
  const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
  std::printf("%-12s %-46s %10.3f %-9s (%.3f to %.3f)\n", part.c_str(), name.c_str(), middle, unit,
              *least, *most);
  std::fflush(stdout);
  report.row({{"part", part},
              {"name", name},
              {"median", middle},
              {"min", *least},
              {"max", *most},
              {"unit", unit},
              {"rounds", rounds}});
}

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
  const std::string value(settings.value_size, 'w');
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
  add(report, "cut", "stall, nobody writes", alone, "us");
  add(report, "cut", "stall, one thread writes", beside, "us");
  add(report, "cut", "longest write around it, worst, not preempted", writes, "us");
  add(report, "cut", "longest write around it, preempted or not", all_writes, "us");
  add(report, "cut", "control: longest gap around it", control, "us");
}

// --- latency -------------------------------------------------------------------------------------

constexpr uint32_t kSlow = 250'000;  // nanoseconds: the goal is that a save adds none of these

struct Latencies {
  std::vector<double> p50, p99, p999, most, held, slow, per_second;
  json slow_writes = json::array();  // when each began, by the steady clock, and how long it took

  void add(const std::vector<WriteWatch::Sample>& samples, double seconds) {
    std::vector<double> us;
    us.reserve(samples.size());
    size_t over = 0;
    for (const auto& sample : samples) {
      us.push_back(sample.duration / 1e3);
      if (sample.duration <= kSlow || sample.preempted) continue;
      ++over;
      slow_writes.push_back({static_cast<double>(sample.start) / 1e9, sample.duration / 1e3});
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
    bench::add(report, "latency", name + ": writes", per_second, "M/s");
    bench::add(report, "latency", name + ": p50", p50, "us");
    bench::add(report, "latency", name + ": p99", p99, "us");
    bench::add(report, "latency", name + ": p99.9", p999, "us");
    bench::add(report, "latency", name + ": max", most, "us");
    bench::add(report, "latency", name + ": max, not preempted", held, "us");
    bench::add(report, "latency", name + ": over 250 us, not preempted", slow, "writes");
  }
};

void bench_latency(const Settings& settings, Store& store, Report& report) {
  const auto keys = make_keys(settings.keys);
  const auto order = random_order(settings.keys, 4);
  const std::string value(settings.value_size, 'x');
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
  add(report, "latency", "p99.9 during a save against without", ratios, "x");
  report.target("self.save_p999", ratios, {}, "x");
  std::vector<double> held = during.slow;
  for (size_t i = 0; i < held.size(); ++i) held[i] = std::max(0.0, held[i] - control.slow[i]);
  add(report, "latency", "writes over 250 us beyond the control's", held, "writes");
  // None in any round: a median would hide one.
  const auto sum = [](const std::vector<double>& of) {
    return std::accumulate(of.begin(), of.end(), 0.0);
  };
  report.target("self.save_held",
                {std::max(0.0, sum(during.slow) - std::max(sum(control.slow), sum(without.slow)))},
                {}, "writes",
                "of those that were not preempted, in " + std::to_string(held.size()) +
                    " saves: " + std::to_string(static_cast<long>(sum(during.slow))) +
                    ", the control's " + std::to_string(static_cast<long>(sum(control.slow))) +
                    ", without a save " + std::to_string(static_cast<long>(sum(without.slow))));
  during.show(report, "during a save");
  without.show(report, "without");
  control.show(report, "control during a save");
  report.attach("slow_writes", {{"during a save", during.slow_writes},
                                {"without a save", without.slow_writes},
                                {"clock only, during a save", control.slow_writes}});
  remove_files(settings);
}

// --- memory --------------------------------------------------------------------------------------

size_t malloc_in_use() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void bench_memory(const Settings& settings, Store& store, Report& report) {
  const auto keys = make_keys(settings.keys);
  const auto order = random_order(settings.keys, 5);
  const std::string value(settings.value_size, 'y');
  const auto stats = store.manager.namespace_stats("bench");
  if (!stats.ok()) check(stats.status());
  const auto in_store = static_cast<double>(stats->memory_bytes);
  const auto superseded =
      static_cast<double>(settings.keys * Arena::packed_block_size(Entry::size_of(
                                              keys[0].size(), settings.value_size, false)));
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
    const size_t pages = resident_bytes();
    for (const uint32_t i : order) check(store.ns.put(keys[i], value));
    const double arena_extra =
        static_cast<double>(Arena::stats().bytes_in_use - arena) - superseded;
    const double malloc_extra = static_cast<double>(malloc_in_use() - allocated);
    const double growth = static_cast<double>(resident_bytes() - pages) - superseded;
    overwritten = true;
    overwritten.notify_all();
    saver.join();
    arena_extras.push_back(100 * arena_extra / in_store);
    malloc_extras.push_back(100 * malloc_extra / in_store);
    extras.push_back(arena_extras.back() + malloc_extras.back());
    growths.push_back(100 * growth / in_store);
  }
  add(report, "memory", "the store", {in_store / kMegabyte}, "MB");
  add(report, "memory", "superseded entries", {superseded / kMegabyte}, "MB");
  add(report, "memory", "extra, net, of the store", extras, "%");
  report.target("self.save_memory", extras, {}, "%", "every entry overwritten during the save");
  add(report, "memory", "  of it from the arena", arena_extras, "%");
  add(report, "memory", "  of it from malloc", malloc_extras, "%");
  add(report, "memory", "growth of resident memory, net", growths, "%");
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

void fill_peer(ProcessContender& peer, size_t keys, size_t value_size) {
  const std::string command = "fill " + std::to_string(keys) + " " + std::to_string(value_size);
  if (peer.answer(command) != "ok") die("the peer failed to fill its store");
}

std::pair<double, double> ask_two(ProcessContender& peer, const char* command) {
  std::istringstream answer(peer.answer(command));
  std::pair<double, double> result;
  if (!(answer >> result.first >> result.second)) die(std::string("the peer failed to ") + command);
  return result;
}

void bench_save(const Settings& settings, const Store& store, ProcessContender* peer,
                Report& report) {
  const auto entries = all_entries(store);
  const std::string raw = settings.directory + "/" + kFile + ".raw";
  Namespace ns = store.ns;
  auto& manager = const_cast<StorageManager&>(store.manager);
  if (peer != nullptr) fill_peer(*peer, settings.keys, settings.value_size);
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
  add(report, "save", "speed against a raw file", raw_ratios, "x");
  report.target("raw.save", saves, raws, "s");
  if (peer != nullptr) {
    add(report, "save", "speed against rkvs-rs", peer_ratios, "x");
    report.target("rkvs_rs.save", saves, peers, "s", "theirs syncs nothing");
    add(report, "save", "speed against rkvs-rs, synced too", synced_ratios, "x");
    add(report, "save", "rkvs-rs, not synced", peers, "s");
  }
  add(report, "save", "entries", speeds, "M/s");
  add(report, "save", "save_all", saves, "s");
  add(report, "save", "raw file", raws, "s");
  remove_files(settings);
}

// --- load ----------------------------------------------------------------------------------------

void bench_load(const Settings& settings, size_t keys, ProcessContender* peer, Report& report) {
  remove_files(settings);
  {
    Store store(settings.directory, keys, settings.value_size);
    check(store.manager.save_all(kFile));
  }
  if (peer != nullptr) {
    fill_peer(*peer, keys, settings.value_size);
    ask_two(*peer, "save");
    peer->answer("drop");
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
        if (!value.ok() || value->view() != std::string(settings.value_size, 'v'))
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
    add(report, part, "speed against rkvs-rs", ratios, "x");
    if (keys == settings.load_keys.front()) report.target("rkvs_rs.load", loads, peers, "s");
    add(report, part, "rkvs-rs", peers, "s");
  }
  add(report, part, "keys", speeds, "M/s");
  add(report, part, "initialize", loads, "s");
  remove_files(settings);
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"rounds", "5"},
                         {"load_keys", "1e6,4e6"},
                         {"shards", "0"},
                         {"value", "100"},
                         {"directory", "."},
                         {"parts", "cut,latency,memory,save,load"},
                         {"json", RKVS_BENCH_JSON}});
  const Settings settings(options);
  Report report("save_bench", options);
  std::string reason;
  Workload none(0, settings.value_size);
  none.directory = settings.directory;
  const auto contender = make_contender("rkvs_rs", none, reason);
  auto* const peer = dynamic_cast<ProcessContender*>(contender.get());
  if (peer == nullptr) report.missing("rkvs_rs", reason);

  if (settings.wants("cut") || settings.wants("latency") || settings.wants("memory") ||
      settings.wants("save")) {
    Store store(settings.directory, settings.keys, settings.value_size, settings.shards);
    std::printf("%zu keys in %u shards, %zu rounds\n", settings.keys,
                store.ns.metadata()->shard_count, settings.rounds);
    if (settings.wants("cut")) bench_cut(settings, store, report);
    if (settings.wants("latency")) bench_latency(settings, store, report);
    if (settings.wants("memory")) bench_memory(settings, store, report);
    if (settings.wants("save")) bench_save(settings, store, peer, report);
  }
  if (settings.wants("load")) {
    for (const size_t keys : settings.load_keys) bench_load(settings, keys, peer, report);
  }
  std::filesystem::remove(std::filesystem::path(settings.directory) / "peer.bin");
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
