// Redis in a process of its own, over loopback, nothing saved.
//
// Single operations go in pipelines of kPipeline commands, which is how a program that cares drives
// it; a batch is one pipeline of its size. Samples are of whole pipelines, each of them, since a
// command in a pipeline has no time of its own. A read is GET, an overwrite SET, a removal DEL or
// GETDEL; an all-or-nothing batch is put between MULTI and EXEC.
#ifndef RKVS_BENCH_STORES_REDIS_CONTENDER_H_
#define RKVS_BENCH_STORES_REDIS_CONTENDER_H_

#include <hiredis/hiredis.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/contender.h"
#include "bench/measure.h"
#include "bench/stores/in_process.h"

extern char** environ;

namespace rkvs::bench {

class RedisContender : public Contender {
 public:
  static constexpr size_t kPipeline = 100;

  // nullptr where the server does not come up.
  static std::unique_ptr<RedisContender> start(const std::string& server,
                                               const Workload& workload) {
    const std::string port = std::to_string(20000 + ::getpid() % 20000);
    std::vector<std::string> words = {
        server,         "--port", port,    "--bind",           "127.0.0.1",  "--save", "",
        "--appendonly", "no",     "--dir", workload.directory, "--loglevel", "warning"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1 /* O_WRONLY */, 0);
    pid_t child = 0;
    const int error =
        ::posix_spawn(&child, server.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return nullptr;
    std::unique_ptr<RedisContender> contender(new RedisContender(child, std::stoi(port), workload));
    for (int tries = 0; tries < 100 && contender->main_ == nullptr; ++tries) {
      ::usleep(50'000);
      contender->main_ = contender->connect();
    }
    return contender->main_ == nullptr ? nullptr : std::move(contender);
  }

  ~RedisContender() override {
    if (main_ != nullptr) redisFree(main_);
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
  }

  void fill() override {
    const auto order = random_order(workload().keys.size(), 1);
    for (size_t i = 0; i < order.size(); i += kPipeline) {
      const size_t end = std::min(order.size(), i + kPipeline);
      for (size_t j = i; j < end; ++j) {
        append(main_, Op::kPut, workload().keys[order[j]]);
      }
      take(main_, end - i, nullptr);
    }
  }

  double run(Op op, size_t first, size_t count, std::vector<double>* samples) override {
    return batches({op, kPipeline, false}, first, std::max<size_t>(kPipeline, count / 10), samples);
  }
  double batch(const Batch& batch, size_t first, size_t count,
               std::vector<double>* samples) override {
    return batches(batch, first, std::max(batch.size, count / 10), samples);
  }

  double batch_mix(const BatchMix&, std::vector<double>*) override { return 0; }
  bool has_batch_mix() const override { return false; }

  double mix(const Mix& mix, std::vector<double>* samples) override {
    const size_t operations = std::max(kPipeline, mix.operations / 10 / kPipeline * kPipeline);
    const std::vector<uint32_t>& order = mix.zipf ? workload().zipf : workload().uniform;
    std::atomic<size_t> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::vector<double>> taken(mix.threads);
    std::vector<std::thread> workers;
    for (size_t t = 0; t < mix.threads; ++t) {
      workers.emplace_back([&, t] {
        redisContext* const connection = connect();
        expect(connection != nullptr);
        std::mt19937_64 random(mix.seed * 131 + t);
        size_t at = random() % order.size();
        std::vector<double> mine;
        mine.reserve(operations / kPipeline);
        ++ready;
        while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
        for (size_t i = 0; i < operations; i += kPipeline) {
          const auto before = Clock::now();
          for (size_t j = 0; j < kPipeline; ++j) {
            const bool reads = random() % 100 < mix.read_percent;
            append(connection, reads ? Op::kGet : Op::kPut, workload().keys[order[at]]);
            if (++at == order.size()) at = 0;
          }
          take(connection, kPipeline, nullptr);
          mine.push_back(seconds_since(before) * 1e9);
        }
        redisFree(connection);
        taken[t] = std::move(mine);
      });
    }
    while (ready != mix.threads) std::this_thread::yield();
    const auto start = Clock::now();
    go.store(true, std::memory_order_release);
    for (auto& worker : workers) worker.join();
    const double seconds = seconds_since(start);
    if (samples != nullptr) {
      for (const auto& one : taken) samples->insert(samples->end(), one.begin(), one.end());
    }
    return seconds * 1e9 / static_cast<double>(operations * mix.threads);
  }

 private:
  RedisContender(pid_t child, int port, const Workload& workload)
      : Contender("Redis, loopback, pipelined", workload), child_(child), port_(port) {}

  redisContext* connect() const {
    redisContext* const connection = redisConnect("127.0.0.1", port_);
    if (connection != nullptr && connection->err == 0) return connection;
    if (connection != nullptr) redisFree(connection);
    return nullptr;
  }

  void append(redisContext* connection, Op op, const std::string& key) const {
    const char* words[4] = {nullptr, key.data(), workload().value.data(), "GET"};
    const size_t sizes[4] = {0, key.size(), workload().value.size(), 3};
    const auto command = [&](const char* name, int count) {
      words[0] = name;
      size_t lengths[4] = {std::char_traits<char>::length(name), sizes[1], sizes[2], sizes[3]};
      redisAppendCommandArgv(connection, count, words, lengths);
    };
    switch (op) {
      case Op::kGet:
      case Op::kCopy:
      case Op::kMiss: return command("GET", 2);
      case Op::kExists: return command("EXISTS", 2);
      case Op::kSet:
      case Op::kUpdate: return command("SET", 4);  // SET key value GET: the old value back
      case Op::kPut:
      case Op::kInsert: return command("SET", 3);
      case Op::kDelete: return command("DEL", 2);
      case Op::kConsume: return command("GETDEL", 2);
    }
  }

  // Reads so many replies; of what kind the last one is, where asked.
  static void take(redisContext* connection, size_t replies, int* type) {
    for (size_t i = 0; i < replies; ++i) {
      void* reply = nullptr;
      expect(redisGetReply(connection, &reply) == REDIS_OK && reply != nullptr);
      expect(static_cast<redisReply*>(reply)->type != REDIS_REPLY_ERROR);
      if (type != nullptr) *type = static_cast<redisReply*>(reply)->type;
      freeReplyObject(reply);
    }
  }

  double batches(const Batch& batch, size_t first, size_t count, std::vector<double>* samples) {
    const size_t number = std::max<size_t>(1, count / batch.size);
    double seconds = 0;
    const auto send = [&](Op op, size_t from, bool all) {
      if (all) redisAppendCommand(main_, "MULTI");
      for (size_t j = 0; j < batch.size; ++j) {
        append(main_, op,
               op == Op::kMiss ? workload().absent_key(from + j) : workload().key(from + j));
      }
      if (all) redisAppendCommand(main_, "EXEC");
      int type = 0;
      take(main_, batch.size + (all ? 2 : 0), &type);
      if (op == Op::kGet && !all) expect(type == REDIS_REPLY_STRING);
      if (op == Op::kMiss) expect(type == REDIS_REPLY_NIL);
    };
    for (size_t b = 0; b < number; ++b) {
      const size_t from = first + b * batch.size;
      if (batch.op == Op::kInsert) send(Op::kDelete, from, false);
      const auto start = Clock::now();
      send(batch.op, from, batch.all_or_nothing);
      const double took = seconds_since(start);
      seconds += took;
      if (samples != nullptr) samples->push_back(took * 1e9);
      if (batch.op == Op::kDelete || batch.op == Op::kConsume) send(Op::kPut, from, false);
    }
    return seconds * 1e9 / static_cast<double>(number * batch.size);
  }

  const pid_t child_;
  const int port_;
  redisContext* main_ = nullptr;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_REDIS_CONTENDER_H_
