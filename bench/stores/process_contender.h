// A contender that is a program of bench/peers/rust, told what to do line by line; it holds the
// clock itself. The commands are explained in bench/peers/rust/src/lib.rs.
#ifndef RKVS_BENCH_STORES_PROCESS_CONTENDER_H_
#define RKVS_BENCH_STORES_PROCESS_CONTENDER_H_

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/contender.h"
#include "bench/stores/in_process.h"
#include "bench/stores/peer_process.h"

namespace rkvs::bench {

class ProcessContender : public Contender {
 public:
  ProcessContender(std::string name, const Workload& workload, uint32_t shards,
                   std::unique_ptr<PeerProcess> process)
      : Contender(std::move(name), workload), shards_(shards), process_(std::move(process)) {}

  void fill() override {
    std::ostringstream command;
    command << "fill " << workload().keys.size() << ' ' << workload().value.size() << ' '
            << shards_;
    expect(process_->ask(command.str()) == "ok");
  }
  // It has one call for overwriting, which returns the old value.
  bool has(Op op) const override { return op != Op::kPut; }

  double run(Op op, size_t first, size_t count, std::vector<double>* samples) override {
    std::ostringstream command;
    command << "run " << name_of(op) << ' ' << first << ' ' << count << ' ' << (samples != nullptr);
    return ask(command.str(), samples);
  }
  double batch(const Batch& batch, size_t first, size_t count,
               std::vector<double>* samples) override {
    std::ostringstream command;
    command << "batch " << name_of(batch.op) << ' ' << batch.size << ' ' << batch.all_or_nothing
            << ' ' << first << ' ' << count << ' ' << (samples != nullptr);
    return ask(command.str(), samples);
  }
  double mix(const Mix& mix, std::vector<double>* samples) override {
    std::ostringstream command;
    command << "mix " << mix.threads << ' ' << mix.read_percent << ' ' << mix.zipf << ' '
            << mix.operations << ' ' << mix.seed << ' ' << (samples != nullptr);
    return ask(command.str(), samples);
  }
  double batch_mix(const BatchMix& mix, std::vector<double>* samples) override {
    std::ostringstream command;
    command << "batch_mix " << mix.threads << ' ' << name_of(mix.batch.op) << ' ' << mix.batch.size
            << ' ' << mix.batch.all_or_nothing << ' ' << mix.operations << ' '
            << (samples != nullptr);
    return ask(command.str(), samples);
  }
  // Any other command; the first number of the answer, negative where there is none.
  double tell(const std::string& command) {
    std::istringstream answer(process_->ask(command));
    double number = -1;
    answer >> number;
    return number;
  }
  std::string answer(const std::string& command) { return process_->ask(command); }

 private:
  // Nanoseconds an operation, and after it those of single calls where they were wanted.
  double ask(const std::string& command, std::vector<double>* samples) {
    std::istringstream answer(process_->ask(command));
    double result = 0;
    if (!(answer >> result)) {
      std::fprintf(stderr, "%s failed at: %s\n", name().c_str(), command.c_str());
      std::exit(1);
    }
    for (double one = 0; answer >> one;) {
      if (samples != nullptr) samples->push_back(one);
    }
    return result;
  }

  const uint32_t shards_;
  const std::unique_ptr<PeerProcess> process_;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_PROCESS_CONTENDER_H_
