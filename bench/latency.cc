// How long a call takes for those who wait for it.
//
//   latency [--keys=1e6] [--value=100] [--rounds=5] [--seconds=2] [--rate=100000]
//           [--batch=100] [--batch_rate=2000] [--growth_keys=4e6] [--growth_rate=400000]
//           [--stores=rkvs,boost,std,tbb] [--directory=.] [--json=FILE]
//
// One thread calls at fixed times, so many a second, and a latency counts from when the call should
// have begun: what a slow call makes the next ones wait is in it (coordinated omission avoided).
// `control` is the same thread on the same schedule without a call: what it sees is the machine's
// doing. Printed are medians over the rounds of each round's p50, p99, p99.9, p99.99 and max.
//
//   get, put          at rest, nobody else there
//   batch get, set    of 100, --batch_rate a second
//   insert, growing   into an empty store, at --growth_rate
//   get, put, resize  while shards go from 16 to 256 and back all the time (rkvs alone)
//   get, put, save    while saves follow each other (rkvs alone)
//   growth            inserts into an empty store until GROWTH_KEYS, as fast as they go, each timed
//                     by itself; the worst of those around which the system ran nothing else
//                     instead
#include <atomic>
#include <filesystem>
#include <thread>

#include "bench/stores/rkvs_store.h"
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

// Of all rounds.
struct Rounds {
  std::vector<double> p50, p99, p999, p9999, max;

  void add(std::vector<double> ns) {
    const Latency latency = latency_of(std::move(ns));
    p50.push_back(latency.p50 / 1e3);
    p99.push_back(latency.p99 / 1e3);
    p999.push_back(latency.p999 / 1e3);
    p9999.push_back(latency.p9999 / 1e3);
    max.push_back(latency.max / 1e3);
  }
  void show(const std::string& scenario, const std::string& name, Report& report) const {
    std::printf("%-28s %-34s p50 %8.2f p99 %8.2f p99.9 %8.2f p99.99 %8.1f max %9.1f us\n",
                scenario.c_str(), name.c_str(), median(p50), median(p99), median(p999),
                median(p9999), median(max));
    std::fflush(stdout);
    report.row({{"scenario", scenario},
                {"contender", name},
                {"p50_us", median(p50)},
                {"p99_us", median(p99)},
                {"p999_us", median(p999)},
                {"p9999_us", median(p9999)},
                {"max_us", median(max)}});
  }
};

std::vector<double> control(const Schedule& schedule) {
  return keep_schedule(schedule, [](size_t) {});
}

void at_rest(const Field& field, const std::string& scenario, const Schedule& schedule,
             size_t rounds, Report& report) {
  std::map<std::string, Rounds> figures;
  for (size_t round = 0; round < rounds; ++round) {
    for (const auto& [name, contender] : field.all()) {
      figures[name].add(contender->scheduled(schedule));
    }
    figures["control"].add(control(schedule));
  }
  for (const auto& [name, figure] : figures) figure.show(scenario, name, report);
}

// `work` runs again and again on another thread meanwhile.
template <typename Work>
void during(Contender& rkvs, const std::string& what, const Schedule& schedule, size_t rounds,
            Work work, Report& report) {
  for (const Op op : {Op::kGet, Op::kPut}) {
    Schedule mine = schedule;
    mine.op = op;
    Rounds calls, idle;
    for (size_t round = 0; round < rounds; ++round) {
      std::atomic<bool> stop{false};
      std::thread worker([&] {
        while (!stop) work();
      });
      calls.add(rkvs.scheduled(mine));
      idle.add(control(mine));
      stop = true;
      worker.join();
    }
    const std::string scenario = std::string(name_of(op)) + ", " + what;
    calls.show(scenario, "rkvs", report);
    idle.show(scenario, "control", report);
  }
}

// As many calls as a growth has, each of which reads the clock for about as long as an insert
// takes.
std::vector<double> idle_calls(size_t count) {
  std::vector<double> ns(count);
  for (double& one : ns) {
    const auto start = Clock::now();
    do {
      one = seconds_since(start) * 1e9;
    } while (one < 250);
  }
  return ns;
}

void growth(const Field& field, size_t keys, size_t rounds, Report& report) {
  std::map<std::string, Rounds> figures;
  std::map<std::string, std::vector<double>> worst;
  for (size_t round = 0; round < rounds; ++round) {
    for (const auto& [name, contender] : field.all()) {
      Growth one = contender->grow(keys);
      worst[name].push_back(one.worst_not_preempted / 1e3);
      figures[name].add(std::move(one.ns));
    }
    figures["control"].add(idle_calls(keys));
  }
  for (const auto& [name, figure] : figures) {
    figure.show("growth to " + std::to_string(keys), name, report);
  }
  for (const auto& [name, us] : worst) {
    std::printf("growth to %zu: worst, not preempted: %-10s %9.1f us\n", keys, name.c_str(),
                median(us));
    report.row(
        {{"scenario", "growth"}, {"contender", name}, {"worst_not_preempted_us", median(us)}});
  }
  if (worst.count("rkvs") == 0) return;
  // The worst of all rounds: a median would hide one.
  const auto most = [](const std::vector<double>& us) {
    return us.empty() ? 0 : *std::max_element(us.begin(), us.end());
  };
  const auto whole = [](double us) { return std::to_string(static_cast<long>(us)) + " us"; };
  report.target("self.growth_worst", {most(worst["rkvs"])}, {}, "us",
                "of calls that were not preempted, in any round; the rounds' median: " +
                    whole(median(worst["rkvs"])) +
                    "; preempted or not: " + whole(most(figures["rkvs"].max)) +
                    ", the control: " + whole(most(figures["control"].max)));
  report.target("self.growth_p9999", figures["rkvs"].p9999, {}, "us",
                "the control's: " +
                    std::to_string(static_cast<long>(median(figures["control"].p9999))) + " us");
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"value", "100"},
                         {"rounds", "5"},
                         {"seconds", "2"},
                         {"rate", "100000"},
                         {"batch", "100"},
                         {"batch_rate", "2000"},
                         {"growth_keys", "4e6"},
                         {"growth_rate", "400000"},
                         {"stores", "rkvs,boost,std,tbb"},
                         {"directory", "."},
                         {"json", RKVS_BENCH_JSON}});
  Report report("latency", options);
  const Workload workload(options.number("keys"), options.number("value"));
  const size_t rounds = options.number("rounds");
  const double seconds = std::stod(options.text("seconds"));
  const auto rate = static_cast<double>(options.number("rate"));
  {
    const Field field(options.list("stores"), workload, report);
    at_rest(field, "get", {.op = Op::kGet, .per_second = rate, .seconds = seconds}, rounds, report);
    at_rest(field, "put", {.op = Op::kPut, .per_second = rate, .seconds = seconds}, rounds, report);
    for (const Op op : {Op::kGet, Op::kPut}) {
      at_rest(
          field,
          std::string(op == Op::kGet ? "batch get of " : "batch set of ") + options.text("batch"),
          {.op = op,
           .batch = options.number("batch"),
           .per_second = static_cast<double>(options.number("batch_rate")),
           .seconds = seconds},
          rounds, report);
    }
    at_rest(field, "insert, growing",
            {.op = Op::kInsert,
             .per_second = static_cast<double>(options.number("growth_rate")),
             .seconds = seconds},
            rounds, report);
    growth(field, options.number("growth_keys"), rounds, report);
  }

  // Two stores of their own: one with fixed shards, one with a directory.
  Workload sharded(options.number("keys"), options.number("value"), 16);
  InProcess<RkvsStore> moving("rkvs", sharded);
  moving.fill();
  const Schedule schedule{.per_second = rate, .seconds = seconds};
  during(
      moving, "resizing", schedule, rounds,
      [&] {
        expect(moving.store().ns->resize_shards(256).ok());
        expect(moving.store().ns->resize_shards(16).ok());
      },
      report);

  InProcess<RkvsStore> saving("rkvs", workload);
  saving.store().open(options.text("directory"));
  saving.fill();
  during(
      saving, "saving", schedule, rounds,
      [&] { expect(saving.store().manager->save_all("latency.rkvs").ok()); }, report);
  for (const char* suffix : {"", ".1", ".2"}) {
    std::filesystem::remove(options.text("directory") + "/latency.rkvs" + suffix);
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
