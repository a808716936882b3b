// Any bytes as a snapshot, through the reader and through a manager's initialize(): as they are,
// and once more with checksums, sequence numbers and footer made right, so that what is behind
// those is reached. What is accepted must be the same to both, and when it is written again.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/memory_file_system.h"
#include "fuzz/snapshot_frames.h"
#include "manager/manager_impl.h"
#include "tests/snapshot/snapshot_model.h"

// Of libFuzzer; absent where only the corpus is replayed.
extern "C" __attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                                         size_t max_size);

namespace {

using rkvs::Namespace;
using rkvs::Result;
using rkvs::StatusCode;
using rkvs::fuzz::MemoryFileSystem;
using rkvs::fuzz::SnapshotFrames;
using rkvs::internal::ManagerImpl;
using rkvs::internal::NamespaceImpl;
using rkvs::testing::MemorySource;
using rkvs::testing::Model;
using rkvs::testing::ModelEntry;
using rkvs::testing::ModelNamespace;

// A small file may ask for many shards, up to a limit that takes a tenth of a second to reach.
constexpr uint64_t kMostShards = 20'000;
// Between an expiry and the present, so that it does not pass during the check.
constexpr int64_t kHourMs = 3'600'000;

bool is_one_of(StatusCode code, std::initializer_list<StatusCode> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// What the reader accepts can be written, and is then the same.
void check_rewritten(Model model) {
  model.announce();  // may have been more in the file
  const std::string bytes = rkvs::testing::file_of(model, 512);
  RKVS_FUZZ_CHECK(!bytes.empty());
  const Result<Model> read = rkvs::testing::read_model(bytes);
  RKVS_FUZZ_CHECK(read.ok());
  RKVS_FUZZ_CHECK(*read == model);
}

// Every error again, and nothing read beyond the limit.
void check_reader(const std::string& bytes, const Result<Model>& model) {
  rkvs::internal::SnapshotReaderOptions options;
  options.max_decoded_bytes = bytes.size() / 8;
  auto reader =
      rkvs::internal::SnapshotReader::open(std::make_unique<MemorySource>(bytes), options);
  if (!reader.ok()) {
    RKVS_FUZZ_CHECK(reader.code() == model.code());
    return;
  }
  rkvs::internal::SnapshotChunk chunk;
  uint64_t decoded = 0;
  for (;;) {
    const auto event = (*reader)->next(chunk);
    RKVS_FUZZ_CHECK((*reader)->offset() <= bytes.size());
    if (!event.ok()) {
      RKVS_FUZZ_CHECK(event.code() == model.code() || event.code() == StatusCode::kMemoryLimit);
      RKVS_FUZZ_CHECK((*reader)->next(chunk).code() == event.code());
      return;
    }
    if (*event == rkvs::internal::SnapshotEvent::kEnd) break;
    if (*event == rkvs::internal::SnapshotEvent::kChunk) {
      decoded += chunk.key_bytes() + chunk.value_bytes();
    }
  }
  RKVS_FUZZ_CHECK(model.ok());
  RKVS_FUZZ_CHECK(decoded <= options.max_decoded_bytes);
  RKVS_FUZZ_CHECK((*reader)->offset() == bytes.size());
}

int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Among the entries that have not expired by `now`: those are all that a load looks at.
bool has_a_key_twice(const ModelNamespace& ns, int64_t now) {
  std::set<std::string_view> keys;
  for (const ModelEntry& entry : ns.entries) {
    if (entry.expires_at_ms != 0 && entry.expires_at_ms <= now) continue;
    if (!keys.insert(entry.key).second) return true;
  }
  return false;
}

void check_namespace(const Namespace& ns, const ModelNamespace& model) {
  const auto config = ns.get_config();
  RKVS_FUZZ_CHECK(config.max_keys == model.info.max_keys);
  RKVS_FUZZ_CHECK(config.max_value_size == model.info.max_value_size);
  RKVS_FUZZ_CHECK(config.max_key_size == model.info.max_key_size);
  RKVS_FUZZ_CHECK(config.shard_count == model.info.shard_count);
  const int64_t now = unix_ms();
  uint64_t fewest = 0;
  for (const ModelEntry& entry : model.entries) {
    const bool expires = entry.expires_at_ms != 0;
    // Either way is right for what expires about now.
    if (expires && std::abs(entry.expires_at_ms - now) < kHourMs) continue;
    const bool is_there = !expires || entry.expires_at_ms > now;
    fewest += is_there ? 1 : 0;
    const auto value = ns.get(entry.key);
    RKVS_FUZZ_CHECK(value.code() == (is_there ? StatusCode::kOk : StatusCode::kNotFound));
    if (is_there) RKVS_FUZZ_CHECK(value->view() == entry.value);
  }
  const auto figures = ns.metadata();
  RKVS_FUZZ_CHECK(figures.ok());
  RKVS_FUZZ_CHECK(figures->key_count >= fewest && figures->key_count <= model.entries.size());
}

void check_manager(std::string_view bytes, const Result<Model>& model) {
  if (model.ok()) {
    uint64_t shards = 0;
    for (const ModelNamespace& ns : model->namespaces) shards += ns.info.shard_count;
    if (shards > kMostShards) return;
  }
  MemoryFileSystem fs(bytes);
  ManagerImpl manager({.directory = "memory"}, fs);
  const auto status = manager.initialize(MemoryFileSystem::kFile);
  RKVS_FUZZ_CHECK(manager.is_initialized() == status.ok());
  if (!status.ok()) {
    // The manager stops at what the reader would have let pass, or reports the same.
    RKVS_FUZZ_CHECK(
        status.code() == model.code() ||
        is_one_of(status.code(), {StatusCode::kSnapshotCorrupt, StatusCode::kUnsupported,
                                  StatusCode::kMemoryLimit, StatusCode::kTooManyNamespaces}));
    return;
  }
  RKVS_FUZZ_CHECK(model.ok());
  RKVS_FUZZ_CHECK(*manager.count() == model->namespaces.size());
  for (const ModelNamespace& ns : model->namespaces) {
    const int64_t now = unix_ms();
    RKVS_FUZZ_CHECK(!has_a_key_twice(ns, now + kHourMs));
    const auto found = manager.find(ns.info.name);
    RKVS_FUZZ_CHECK(found.ok());
    // One that has expired may have the key of one that is there.
    if (has_a_key_twice(ns, std::numeric_limits<int64_t>::min())) continue;
    check_namespace(NamespaceImpl::handle(*found), ns);
  }
}

void check(const std::string& bytes) {
  const Result<Model> model = rkvs::testing::read_model(bytes);
  RKVS_FUZZ_CHECK(is_one_of(
      model.code(), {StatusCode::kOk, StatusCode::kSnapshotCorrupt, StatusCode::kSnapshotVersion}));
  check_reader(bytes, model);
  check_manager(bytes, model);
  if (model.ok()) check_rewritten(*model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  const std::string completed = SnapshotFrames::of(bytes).completed();
  if (completed != bytes) check(completed);
  return 0;
}

// Changes the inside of a frame, or the order of frames; the bytes as they come in one case of
// four. Checksums are left right, so that the footer's own fields are tried too.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::minstd_rand random(seed);
  SnapshotFrames file = SnapshotFrames::of({reinterpret_cast<const char*>(data), size});
  auto& frames = file.frames;
  if (frames.empty() || random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const size_t at = random() % frames.size();
  const auto frame = frames.begin() + static_cast<long>(at);
  switch (random() % 16) {
    case 0: frames.erase(frame); break;
    case 1: frames.insert(frame, SnapshotFrames::Frame(*frame)); break;
    case 2: std::swap(*frame, frames[random() % frames.size()]); break;
    case 3: {
      auto& header = frame->header;
      constexpr size_t kKindAndFlags = 4;
      LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&header.kind), kKindAndFlags, kKindAndFlags);
      break;
    }
    default: {
      std::string& payload = frame->payload;
      const size_t old_size = payload.size();
      payload.resize(old_size + 64);
      payload.resize(
          LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(payload.data()), old_size, payload.size()));
      break;
    }
  }
  const std::string bytes = file.sealed();
  if (bytes.empty() || bytes.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}
