// How fast snapshots are written and read, as ratios to the least that any file format could do.
//
// Both sides handle the same entries (14-byte keys, 100-byte values, scattered in memory as a hash
// table leaves them) on the same disk, in turn within each round, so that a busy machine hits both;
// printed are medians and the median of the rounds' ratios (above 1: faster than the raw file).
//
//   raw       each entry as two uint32 lengths, key and value, through a 1 MiB buffer;
//             write, fsync. Reading: a 1 MiB buffer, every entry visited.
//   snapshot  SnapshotWriter into an AtomicFile of one generation, commit (fsync, rename, fsync of
//             the directory). Reading: SnapshotReader with all its checks, every entry visited.
//
// Entries carry versions, as the store's do: 8 bytes each that the raw file does not have.
//
// Usage: snapshot_bench [entries=1000000] [rounds=15] [directory=.] [chunk bytes]...
// Writes <build>/snapshot_bench.json; docs/snapshot_format.md shows the ratios.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "bench/report.h"
#include "snapshot/format.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"

namespace {

using namespace rkvs;            // NOLINT
using namespace rkvs::internal;  // NOLINT

constexpr size_t kKeySize = 14;
constexpr size_t kValueSize = 100;
constexpr size_t kBlockSize = 20 + kKeySize + kValueSize + 2;  // as entries lie in the store

using bench::die;

void check(const Status& status) {
  if (!status.ok()) die(status.to_string());
}

struct Workload {
  std::unique_ptr<char, void (*)(void*)> memory;
  std::vector<const char*> blocks;  // shuffled

  explicit Workload(size_t count) : memory(allocate(count * kBlockSize)), blocks(count) {
    std::mt19937_64 random(42);
    for (size_t i = 0; i < count; ++i) {
      char* const block = memory.get() + i * kBlockSize;
      char key[24];
      std::snprintf(key, sizeof key, "key%011zu", i);
      std::memcpy(block + 20, key, kKeySize);
      for (size_t b = 0; b < kValueSize; b += 8) {
        const uint64_t bits = random();
        std::memcpy(block + 20 + kKeySize + b, &bits, std::min<size_t>(8, kValueSize - b));
      }
      blocks[i] = block;
    }
    std::shuffle(blocks.begin(), blocks.end(), random);
  }
  // On huge pages, as the store's arena is.
  static std::unique_ptr<char, void (*)(void*)> allocate(size_t size) {
    constexpr size_t kHugePage = size_t{2} << 20;
    size = (size + kHugePage - 1) / kHugePage * kHugePage;
    void* const memory = std::aligned_alloc(kHugePage, size);
    if (memory == nullptr) die("no memory");
    ::madvise(memory, size, MADV_HUGEPAGE);
    return {static_cast<char*>(memory), &std::free};
  }
  std::string_view key(size_t i) const { return {blocks[i] + 20, kKeySize}; }
  std::string_view value(size_t i) const { return {blocks[i] + 20 + kKeySize, kValueSize}; }
};

// Entries so far ahead are asked for, on both sides.
constexpr size_t kAhead = 16;
// GCC takes a call to a function that does nothing but prefetch for one without effect and drops
// it, unless it has been inlined before.
[[gnu::always_inline]] inline void prefetch(const Workload& work, size_t i) {
  if (i + kAhead >= work.blocks.size()) return;
  const char* const block = work.blocks[i + kAhead];
  __builtin_prefetch(block);
  __builtin_prefetch(block + 64);
  __builtin_prefetch(block + kBlockSize - 1);
}

void raw_save(const Workload& work, const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) die("cannot create " + path);
  std::string buffer;
  constexpr size_t kBuffer = size_t{1} << 20;
  buffer.reserve(kBuffer + 1024);
  const auto flush = [&] {
    if (::write(fd, buffer.data(), buffer.size()) != static_cast<ssize_t>(buffer.size())) {
      die("short write");
    }
    buffer.clear();
  };
  for (size_t i = 0; i < work.blocks.size(); ++i) {
    prefetch(work, i);
    const uint32_t lengths[2] = {kKeySize, kValueSize};
    buffer.append(reinterpret_cast<const char*>(lengths), sizeof lengths);
    buffer.append(work.key(i)).append(work.value(i));
    if (buffer.size() >= kBuffer) flush();
  }
  flush();
  if (::fsync(fd) != 0) die("fsync");
  ::close(fd);
}

uint64_t raw_load(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  std::string buffer(size_t{1} << 20, '\0');
  size_t filled = 0;
  uint64_t sum = 0;
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data() + filled, buffer.size() - filled);
    if (n < 0) die("read");
    filled += static_cast<size_t>(n);
    size_t at = 0;
    while (filled - at >= 8) {
      uint32_t lengths[2];
      std::memcpy(lengths, buffer.data() + at, 8);
      const size_t size = size_t{8} + lengths[0] + lengths[1];
      if (filled - at < size) break;
      sum += static_cast<unsigned char>(buffer[at + 8]) + lengths[1];
      at += size;
    }
    std::memmove(buffer.data(), buffer.data() + at, filled - at);
    filled -= at;
    if (n == 0) break;
  }
  ::close(fd);
  return sum;
}

void snapshot_save(const Workload& work, const Directory& directory, size_t chunk_size) {
  auto file = AtomicFile::create(directory, "bench.rkvs", 1);
  if (!file.ok()) check(file.status());
  SnapshotWriter writer(**file, chunk_size);
  check(writer.begin({.namespace_count = 1}));
  SnapshotNamespace info;
  info.name = "bench";
  info.entry_count = work.blocks.size();
  info.value_bytes = work.blocks.size() * kValueSize;
  info.last_version = work.blocks.size();
  check(writer.begin_namespace(info));
  for (size_t i = 0; i < work.blocks.size(); ++i) {
    prefetch(work, i);
    check(writer.add({work.key(i), work.value(i), i + 1, 0}));
  }
  check(writer.end_namespace());
  check(writer.finish());
  check((*file)->commit());
}

uint64_t snapshot_load(const Directory& directory) {
  auto file = directory.open_file("bench.rkvs");
  if (!file.ok()) check(file.status());
  auto reader = SnapshotReader::open(std::move(*file));
  if (!reader.ok()) check(reader.status());
  uint64_t sum = 0;
  SnapshotChunk chunk;
  for (;;) {
    const auto event = (*reader)->next(chunk);
    if (!event.ok()) check(event.status());
    if (*event == SnapshotEvent::kEnd) return sum;
    for (size_t i = 0; i < chunk.size(); ++i) {
      const SnapshotEntry entry = chunk.entry(i);
      sum += static_cast<unsigned char>(entry.key[0]) + entry.value.size();
    }
  }
}

double seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
  const size_t rounds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 15;
  const std::string path = argc > 3 ? argv[3] : ".";
  std::vector<size_t> chunk_sizes;
  for (int i = 4; i < argc; ++i) chunk_sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (chunk_sizes.empty()) chunk_sizes.push_back(kTargetChunkSize);
  if (count == 0 || rounds == 0)
    die("usage: snapshot_bench [entries] [rounds] [directory] [chunk]...");

  const Workload work(count);
  const auto directory = Directory::open(path);
  if (!directory.ok()) check(directory.status());
  const std::string raw = path + "/bench.raw";
  const auto remove_all = [&] {
    check(directory->remove("bench.raw"));
    check(directory->remove("bench.rkvs"));
  };
  bench::Report report("snapshot_bench", bench::Options(0, nullptr,
                                                        {{"entries", std::to_string(count)},
                                                         {"rounds", std::to_string(rounds)},
                                                         {"json", RKVS_BENCH_JSON}}));
  for (const size_t chunk_size : chunk_sizes) {
    std::vector<double> raw_saves, saves, save_ratios, raw_loads, loads, load_ratios;
    for (size_t round = 0; round < rounds; ++round) {
      remove_all();
      const auto save_raw = [&] { raw_saves.push_back(seconds([&] { raw_save(work, raw); })); };
      const auto save = [&] {
        saves.push_back(seconds([&] { snapshot_save(work, *directory, chunk_size); }));
      };
      if (round % 2 == 0) save_raw();
      save();
      if (round % 2 != 0) save_raw();
      save_ratios.push_back(raw_saves.back() / saves.back());

      uint64_t raw_sum = 0;
      uint64_t sum = 0;
      const auto load_raw = [&] { raw_loads.push_back(seconds([&] { raw_sum = raw_load(raw); })); };
      const auto load = [&] { loads.push_back(seconds([&] { sum = snapshot_load(*directory); })); };
      if (round % 2 == 0) load_raw();
      load();
      if (round % 2 != 0) load_raw();
      load_ratios.push_back(raw_loads.back() / loads.back());
      if (sum != raw_sum) die("the two files do not hold the same");
    }
    std::printf(
        "%zu entries, chunks of %zu KiB: save %.1f ms (raw %.1f ms), %.2fx; load %.1f ms (raw %.1f "
        "ms), %.2fx\n",
        count, chunk_size >> 10, median(saves) * 1e3, median(raw_saves) * 1e3, median(save_ratios),
        median(loads) * 1e3, median(raw_loads) * 1e3, median(load_ratios));
    std::fflush(stdout);
    report.row({{"chunk", chunk_size},
                {"save_ms", median(saves) * 1e3},
                {"raw_save_ms", median(raw_saves) * 1e3},
                {"save_ratio", median(save_ratios)},
                {"load_ms", median(loads) * 1e3},
                {"raw_load_ms", median(raw_loads) * 1e3},
                {"load_ratio", median(load_ratios)}});
  }
  remove_all();
  report.write();
}
