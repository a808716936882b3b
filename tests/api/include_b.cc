// See include_a.cc: the same headers the other way round.
#include "tests/api/include_b.h"

#include <rkvs/all.h>
#include <rkvs/async_access.h>
#include <rkvs/async_operation.h>
#include <rkvs/atomic_batch.h>
#include <rkvs/autosave.h>
#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/version.h>
#include <rkvs/write_options.h>

namespace include_b {

const std::size_t* max_namespace_name_size() { return &rkvs::kMaxNamespaceNameSize; }
const uint32_t* max_shard_count() { return &rkvs::kMaxShardCount; }
const std::chrono::milliseconds* min_lock_timeout() { return &rkvs::kMinLockTimeout; }

auto is_error_function() -> bool (*)(rkvs::StatusCode) noexcept { return &rkvs::is_error; }
auto view_function() -> std::string_view (rkvs::Value::*)() const { return &rkvs::Value::view; }
auto result_ok_function() -> bool (rkvs::Result<rkvs::Value>::*)() const noexcept {
  return &rkvs::Result<rkvs::Value>::ok;
}

rkvs::StorageManager make_manager() { return rkvs::StorageManagerBuilder().build(); }
rkvs::Result<rkvs::Value> get(const rkvs::Namespace& ns, std::string_view key) {
  return ns.get(key);
}
rkvs::BatchResult get_both(const rkvs::Namespace& ns, std::string_view a, std::string_view b) {
  return ns.get_multiple({a, b}, rkvs::BatchMode::kBestEffort);
}

}  // namespace include_b
