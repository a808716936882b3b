// A Contender that is a class in this process.
//
// A Store has: a default or (const Workload&) constructor; Handle, what a get gives without
// copying; get(key, Handle&), copy(key, std::string&), exists(key), erase(key), consume(key,
// Handle&) -> whether it was there; set(key, value, Handle& old), put(key, value), update(key,
// value, Handle& old). With kHasBatches also get_batch, set_batch, erase_batch, consume_batch, all
// with (keys, all_or_nothing) or (items, ...); without, batches are loops, which is what its users
// write.
#ifndef RKVS_BENCH_STORES_IN_PROCESS_H_
#define RKVS_BENCH_STORES_IN_PROCESS_H_

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/contender.h"
#include "bench/measure.h"
#include "bench/stores/timed.h"
#include "rkvs/batch.h"

namespace rkvs::bench {

template <typename Store>
class InProcess : public Contender {
 public:
  using Handle = typename Store::Handle;

  InProcess(std::string name, const Workload& workload) : Contender(std::move(name), workload) {
    if constexpr (std::is_constructible_v<Store, const Workload&>) {
      store_ = std::make_unique<Store>(workload);
    } else {
      store_ = std::make_unique<Store>();
    }
  }

  void fill() override {
    for (const uint32_t i : random_order(workload().keys.size(), 1)) {
      store_->put(workload().keys[i], workload().value);
    }
  }
  bool has_threads() const override { return Store::kHasThreads; }

  double run(Op op, size_t first, size_t count, std::vector<double>* samples) override {
    count = std::max<size_t>(1, count / Store::kSlowness);
    const Workload& w = workload();
    Store& store = *store_;
    const auto time = [&](size_t from, size_t n, auto call) {
      return timed(from, n, samples, call);
    };
    switch (op) {
      case Op::kGet:
        return time(first, count, [&](size_t i) {
          Handle handle;
          expect(store.get(w.key(i), handle));
          keep(handle);
        });
      case Op::kCopy: {
        std::string copy;
        return time(first, count, [&](size_t i) {
          expect(store.copy(w.key(i), copy));
          keep(copy.data());
        });
      }
      case Op::kMiss:
        return time(first, count, [&](size_t i) {
          Handle handle;
          expect(!store.get(w.absent_key(i), handle));
        });
      case Op::kExists:
        return time(first, count, [&](size_t i) { expect(store.exists(w.key(i))); });
      case Op::kSet:
        return time(first, count, [&](size_t i) {
          Handle old;
          store.set(w.key(i), w.value, old);
          keep(old);
        });
      case Op::kPut: return time(first, count, [&](size_t i) { store.put(w.key(i), w.value); });
      case Op::kUpdate:
        return time(first, count, [&](size_t i) {
          Handle old;
          expect(store.update(w.key(i), w.value, old));
          keep(old);
        });
      case Op::kInsert:
      case Op::kDelete:
      case Op::kConsume: break;
    }
    // No more than half of the keys at a time, again and again.
    const size_t most = std::max<size_t>(1, std::min(count, w.keys.size() / 2));
    double total = 0;
    size_t done = 0;
    for (size_t from = first; done < count; from += most, done += most) {
      if (op == Op::kInsert) {
        for (size_t i = from; i < from + most; ++i) expect(store.erase(w.key(i)));
        total += time(from, most, [&](size_t i) { store.put(w.key(i), w.value); });
        continue;
      }
      if (op == Op::kDelete) {
        total += time(from, most, [&](size_t i) { expect(store.erase(w.key(i))); });
      } else {
        total += time(from, most, [&](size_t i) {
          Handle handle;
          expect(store.consume(w.key(i), handle));
          keep(handle);
        });
      }
      for (size_t i = from; i < from + most; ++i) store.put(w.key(i), w.value);
    }
    return total * static_cast<double>(most) / static_cast<double>(done);
  }

  double batch(const Batch& batch, size_t first, size_t count,
               std::vector<double>* samples) override {
    const Workload& w = workload();
    count = std::max(count / Store::kSlowness, batch.size);
    const size_t batches = count / batch.size;
    std::vector<std::string_view> keys(batch.size);
    std::vector<KeyValue> items(batch.size);
    double seconds = 0;
    for (size_t b = 0; b < batches; ++b) {
      const size_t from = first + b * batch.size;
      // Making the list is part of it: a program has to.
      const auto start = Clock::now();
      if (samples == nullptr) toggle_collection();
      list(batch, from, keys, items);
      do_batch(batch, keys, items);
      if (samples == nullptr) toggle_collection();
      const double took = seconds_since(start);
      seconds += took;
      if (samples != nullptr) samples->push_back(took * 1e9);
      if (removes(batch)) {
        for (const std::string_view key : keys) store_->put(key, w.value);
      }
    }
    return seconds * 1e9 / static_cast<double>(batches * batch.size);
  }

  double mix(const Mix& mix, std::vector<double>* samples) override {
    const Workload& w = workload();
    const std::vector<uint32_t>& order = mix.zipf ? w.zipf : w.uniform;
    const size_t operations = std::max<size_t>(16, mix.operations / Store::kSlowness);
    std::atomic<size_t> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::vector<double>> taken(mix.threads);
    std::vector<std::thread> workers;
    for (size_t t = 0; t < mix.threads; ++t) {
      workers.emplace_back([&, t] {
        // A plain generator: its cost is part of every store's figure.
        uint64_t random = (mix.seed * 131 + t + 1) * 0x9E3779B97F4A7C15U;
        size_t at = (random >> 20) % order.size();
        std::vector<double> mine;
        if (samples != nullptr) mine.reserve(operations / 16 + 1);
        ++ready;
        while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
        for (size_t i = 0; i < operations; ++i) {
          random ^= random << 13;
          random ^= random >> 7;
          random ^= random << 17;
          const bool reads = (random >> 32) % 100 < mix.read_percent;
          const std::string& key = w.keys[order[at]];
          if (++at == order.size()) at = 0;
          const bool timed = samples != nullptr && i % 16 == 0;
          const auto start = timed ? Clock::now() : Clock::time_point();
          if (reads) {
            Handle handle;
            expect(store_->get(key, handle));
            keep(handle);
          } else {
            store_->put(key, w.value);
          }
          if (timed) mine.push_back(seconds_since(start) * 1e9);
        }
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

  double batch_mix(const BatchMix& mix, std::vector<double>* samples) override {
    const Workload& w = workload();
    const size_t size = mix.batch.size;
    // An even number, so that what was removed is there again.
    const size_t batches = std::max<size_t>(2, mix.operations / Store::kSlowness / size / 2 * 2);
    const size_t share = std::max(size, w.keys.size() / mix.threads);
    std::atomic<size_t> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::vector<double>> taken(mix.threads);
    std::vector<std::thread> workers;
    for (size_t t = 0; t < mix.threads; ++t) {
      workers.emplace_back([&, t] {
        std::vector<std::string_view> keys(size);
        std::vector<KeyValue> items(size);
        Batch back = mix.batch;
        back.op = Op::kSet;
        ++ready;
        while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
        for (size_t b = 0; b < batches; ++b) {
          const size_t from = t * share + b * size % (share - size + 1);
          const bool sets_back = removes(mix.batch) && b % 2 != 0;
          const Batch& batch = sets_back ? back : mix.batch;
          const auto start = Clock::now();
          list(batch, sets_back ? t * share + (b - 1) * size % (share - size + 1) : from, keys,
               items);
          do_batch(batch, keys, items);
          taken[t].push_back(seconds_since(start) * 1e9);
        }
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
    return seconds * 1e9 / static_cast<double>(mix.threads * batches * size);
  }

  bool is_in_process() const override { return true; }
  std::vector<double> scheduled(const Schedule& schedule) override {
    const Workload& w = workload();
    if (schedule.op == Op::kInsert) {
      Store fresh = make();
      return keep_schedule(schedule,
                           [&](size_t i) { fresh.put(NumberedKey("new_", i).view(), w.value); });
    }
    std::vector<std::string_view> keys(schedule.batch);
    std::vector<KeyValue> items(schedule.batch);
    return keep_schedule(schedule, [&](size_t i) {
      if (schedule.batch != 0) {
        const Batch batch{schedule.op == Op::kPut ? Op::kSet : Op::kGet, schedule.batch, true};
        list(batch, i * schedule.batch, keys, items);
        do_batch(batch, keys, items);
      } else if (schedule.op == Op::kPut) {
        store_->put(w.key(i), w.value);
      } else {
        Handle handle;
        expect(store_->get(w.key(i), handle));
        keep(handle);
      }
    });
  }
  StressResult stress(const Stress& stress) override {
    return run_stress(*store_, workload(), stress);
  }
  Growth grow(size_t keys) override {
    Store fresh = make();
    return run_growth(fresh, workload(), keys);
  }
  bool has_ycsb(char letter) const override { return can_run_ycsb<Store>(letter); }
  double ycsb(const Ycsb& ycsb, std::vector<double>* samples) override {
    return run_ycsb(*store_, workload(), ycsb, samples);
  }

  Store& store() { return *store_; }

 private:
  Store make() const {
    if constexpr (std::is_constructible_v<Store, const Workload&>) {
      return Store(workload());
    } else {
      return Store();
    }
  }

  static bool removes(const Batch& batch) {
    return batch.op == Op::kDelete || batch.op == Op::kConsume;
  }
  void list(const Batch& batch, size_t from, std::span<std::string_view> keys,
            std::span<KeyValue> items) const {
    const Workload& w = workload();
    for (size_t j = 0; j < batch.size; ++j) {
      if (batch.op == Op::kSet) {
        items[j] = {w.key(from + j), w.value};
      } else {
        keys[j] = w.key(from + j);
      }
    }
  }

  template <typename Call>
  static double timed(size_t first, size_t count, std::vector<double>* samples, Call call) {
    const auto start = Clock::now();
    if (samples == nullptr) {
      toggle_collection();
      for (size_t i = first; i < first + count; ++i) call(i);
      toggle_collection();
    } else {
      for (size_t i = first; i < first + count; ++i) {
        const auto before = Clock::now();
        call(i);
        samples->push_back(seconds_since(before) * 1e9);
      }
    }
    return seconds_since(start) * 1e9 / static_cast<double>(count);
  }

  void do_batch(const Batch& batch, std::span<const std::string_view> keys,
                std::span<const KeyValue> items) {
    Store& store = *store_;
    if constexpr (Store::kHasBatches) {
      switch (batch.op) {
        case Op::kGet: return store.get_batch(keys, batch.all_or_nothing);
        case Op::kSet: return store.set_batch(items, batch.all_or_nothing);
        case Op::kDelete: return store.erase_batch(keys, batch.all_or_nothing);
        default: return store.consume_batch(keys, batch.all_or_nothing);
      }
    } else {
      std::vector<Handle> handles(keys.size());
      for (size_t i = 0; i < keys.size(); ++i) {
        switch (batch.op) {
          case Op::kGet: expect(store.get(keys[i], handles[i])); break;
          case Op::kSet: store.set(items[i].key, items[i].value, handles[i]); break;
          case Op::kDelete: expect(store.erase(keys[i])); break;
          default: expect(store.consume(keys[i], handles[i])); break;
        }
      }
      keep(handles.data());
    }
  }

  std::unique_ptr<Store> store_;
};

// See measure_fill(). Keys are made one at a time, so that nothing but the store grows.
template <typename Store>
FillCosts fill_costs_of(size_t keys, size_t value_size) {
  std::unique_ptr<Store> store;
  const Workload none(0, value_size);
  if constexpr (std::is_constructible_v<Store, const Workload&>) {
    store = std::make_unique<Store>(none);
  } else {
    store = std::make_unique<Store>();
  }
  // A step without a common divisor with the count comes by every key once.
  size_t step = static_cast<size_t>(static_cast<double>(keys) * 0.618) | 1;
  while (std::gcd(step, keys) != 1) step += 2;
  FillCosts costs;
  const size_t before = resident_bytes();
  auto start = Clock::now();
  for (size_t n = 0, i = 0; n < keys; ++n, i = (i + step) % keys) {
    store->put(NumberedKey("key_", i).view(), none.value);
  }
  costs.insert_ns = seconds_since(start) * 1e9 / static_cast<double>(keys);
  costs.bytes = static_cast<double>(resident_bytes() - before);
  constexpr size_t kGets = 1'000'000;
  FastRandom random(1);
  start = Clock::now();
  for (size_t n = 0; n < kGets; ++n) {
    typename Store::Handle handle;
    expect(store->get(NumberedKey("key_", random() % keys).view(), handle));
    keep(handle);
  }
  costs.get_ns = seconds_since(start) * 1e9 / kGets;
  return costs;
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_IN_PROCESS_H_
