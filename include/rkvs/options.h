// Options and limits of namespaces and of the manager.
#ifndef RKVS_OPTIONS_H_
#define RKVS_OPTIONS_H_

#include <rkvs/autosave.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace rkvs {

// Fixed limits. A value or name outside of them is refused with an error that says so.
inline constexpr std::size_t kMaxNamespaceNameSize = 128;             // bytes of UTF-8
inline constexpr std::size_t kDefaultMaxKeySize = 64 * 1024;          // bytes
inline constexpr std::size_t kLargestMaxKeySize = 1024 * 1024;        // bytes
inline constexpr std::size_t kLargestValueSize = 1024 * 1024 * 1024;  // bytes, inclusive
inline constexpr uint32_t kMaxShardCount = 4096;
inline constexpr uint32_t kMaxWorkerThreads = 256;
inline constexpr std::chrono::milliseconds kMinLockTimeout{1};
inline constexpr std::chrono::milliseconds kMaxLockTimeout{3600 * 1000};

// Limits and behaviour of one namespace.
struct NamespaceConfig {
  // The most keys the namespace may hold; 0 = no limit. Exact at all times, under any concurrency.
  uint64_t max_keys = 0;
  // The largest value in bytes; 0 = no limit but kLargestValueSize.
  uint64_t max_value_size = 0;
  // The largest key in bytes, 1 to kLargestMaxKeySize.
  uint64_t max_key_size = kDefaultMaxKeySize;
  // The most bytes of memory that keys, values and their overhead may take, tables included; 0 = no
  // limit. A write that would exceed it is MemoryLimit and changes nothing; everything else goes
  // on.
  // A resize is never refused: the tables of its new shards count, and may bring the sum above the
  // limit; then writes wait for room as they do at it.
  uint64_t max_bytes = 0;
  // 0 = automatic: starts small and grows with the data, so that a shard stays small. 1 to
  // kMaxShardCount = exactly so many until resize_shards says otherwise.
  uint32_t shard_count = 0;
  // How long one operation may wait for locks in all before it ends as Timeout;
  // kMinLockTimeout to kMaxLockTimeout.
  std::chrono::milliseconds lock_timeout{500};

  friend bool operator==(const NamespaceConfig&, const NamespaceConfig&) = default;
};

// What belongs to the manager as a whole and travels with its snapshots. A field that is left
// unset takes its value from the snapshot that initialize() loads, or else its default.
struct StorageConfig {
  // The most namespaces; 0 = no limit. Default: no limit.
  std::optional<uint64_t> max_namespaces{};
  // The most bytes that all namespaces together may take: see NamespaceConfig::max_bytes. 0 = no
  // limit. Default: no limit.
  std::optional<uint64_t> max_bytes{};

  friend bool operator==(const StorageConfig&, const StorageConfig&) = default;
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Receives what the library has to tell: it never prints. Called on the thread that has something
// to say, never while a lock is held; must not throw. The message is valid during the call alone.
using LogHook = std::function<void(LogLevel level, std::string_view message)>;

// Runs what it is given, once, on another thread or later on this one, never before it returns. May
// drop it instead; the operation that waits for it then ends as Closed. May throw std::bad_alloc.
using PostHook = std::function<void(std::function<void()> work)>;

// How a StorageManager is built. Paths and hooks never come from a file.
struct StorageOptions {
  StorageConfig config{};
  // Where snapshots live; created with mode 0700 when missing. Empty = no persistence.
  std::filesystem::path directory{};
  // The most bytes of keys and values that one load may bring; beyond it ends as MemoryLimit. 0 =
  // no limit but the size of the file.
  uint64_t max_load_bytes = 0;
  // Saves all namespaces by itself, from initialize() on.
  std::optional<AutosaveConfig> manager_autosave{};
  // By the name of a namespace: saves it by itself from when it is there, be it loaded or created.
  std::map<std::string, AutosaveConfig> namespace_autosave{};
  LogHook log{};
  // The threads for asynchronous operations that take long: saves, loads, resizes, scans, large
  // batches. They start when first needed, and one more with them for operations that wait for a
  // lock. 0 = one for each processor, 4 at most; at most kMaxWorkerThreads.
  uint32_t worker_threads = 0;
  // Runs all that instead, where it is given: see executor_hook() in <rkvs/async.h>.
  PostHook post{};
  // Measures how long operations and waits for locks take, and counts hits and misses by shard.
  // Costs two readings of the clock an operation; without it, metrics_text() has the other figures.
  bool detailed_metrics = false;
};

}  // namespace rkvs

#endif  // RKVS_OPTIONS_H_
