// What include_b.cc offers to include_a.cc: addresses and objects made in another file.
#ifndef RKVS_TESTS_API_INCLUDE_B_H_
#define RKVS_TESTS_API_INCLUDE_B_H_

#include <rkvs/all.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace include_b {

const std::size_t* max_namespace_name_size();
const uint32_t* max_shard_count();
const std::chrono::milliseconds* min_lock_timeout();
auto is_error_function() -> bool (*)(rkvs::StatusCode) noexcept;
auto view_function() -> std::string_view (rkvs::Value::*)() const;
auto result_ok_function() -> bool (rkvs::Result<rkvs::Value>::*)() const noexcept;

rkvs::StorageManager make_manager();
rkvs::Result<rkvs::Value> get(const rkvs::Namespace& ns, std::string_view key);
rkvs::BatchResult get_both(const rkvs::Namespace& ns, std::string_view a, std::string_view b);

}  // namespace include_b

#endif  // RKVS_TESTS_API_INCLUDE_B_H_
