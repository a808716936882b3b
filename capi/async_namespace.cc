// Asynchronous operations on all keys of a namespace, its limits and its figures.
#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "capi/async_long.h"

using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace {

Status list_keys(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.space().list_keys());
}

Status delete_prefix(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return number_into(outcome, self.space().delete_prefix(self.prefix));
}

Status clear(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return number_into(outcome, self.space().clear());
}

Status get_config(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  outcome.completion.list = make_list(self.space().name(), self.space().get_config());
  return Status();
}

Status set_max_keys(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.space().set_max_keys(self.number);
}

Status set_max_bytes(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.space().set_max_bytes(self.number);
}

Status set_max_value_size(KeysWork& self, Outcome& /*outcome*/,
                          const OperationOptions& /*options*/) {
  return self.space().set_max_value_size(self.number);
}

Status set_lock_timeout(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.space().set_lock_timeout(to_milliseconds(self.number));
}

Status update_config(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.space().update_config(self.config);
}

Status resize_shards(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.space().resize_shards(static_cast<uint32_t>(self.number), options);
}

Status metadata(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return one_stats_into(outcome, self.space().metadata());
}

Status shard_stats(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.space().shard_stats());
}

Status shard_key_counts(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.space().shard_key_counts());
}

}  // namespace

rkvs_status rkvs_namespace_list_keys_async(rkvs_namespace* ns, const rkvs_async* how,
                                           rkvs_completion* out, rkvs_operation** operation,
                                           rkvs_error** error) {
  return begin(ns, RKVS_OP_LIST_KEYS, list_keys, {how, out, operation, error});
}

rkvs_status rkvs_namespace_delete_prefix_async(rkvs_namespace* ns, const void* prefix,
                                               size_t prefix_size, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin<KeysWork>(ns, RKVS_OP_DELETE_PREFIX, delete_prefix, {how, out, operation, error},
                         [&](KeysWork& work) -> Status {
                           if (const rkvs_status bad = check_key(prefix, prefix_size)) {
                             return rkvs::internal::make_error(
                                 static_cast<StatusCode>(bad),
                                 "a prefix that is NULL or too large");
                           }
                           work.prefix = view(prefix, prefix_size);
                           return Status();
                         });
}

rkvs_status rkvs_namespace_clear_async(rkvs_namespace* ns, const rkvs_async* how,
                                       rkvs_completion* out, rkvs_operation** operation,
                                       rkvs_error** error) {
  return begin(ns, RKVS_OP_CLEAR, clear, {how, out, operation, error});
}

// --- Limits and shards

rkvs_status rkvs_namespace_get_config_async(rkvs_namespace* ns, const rkvs_async* how,
                                            rkvs_completion* out, rkvs_operation** operation,
                                            rkvs_error** error) {
  return begin(ns, RKVS_OP_GET_CONFIG, get_config, {how, out, operation, error});
}

rkvs_status rkvs_namespace_set_max_keys_async(rkvs_namespace* ns, uint64_t max_keys,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_MAX_KEYS, set_max_keys, {how, out, operation, error}, max_keys);
}

rkvs_status rkvs_namespace_set_max_bytes_async(rkvs_namespace* ns, uint64_t max_bytes,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_MAX_BYTES, set_max_bytes, {how, out, operation, error}, max_bytes);
}

rkvs_status rkvs_namespace_set_max_value_size_async(rkvs_namespace* ns, uint64_t max_value_size,
                                                    const rkvs_async* how, rkvs_completion* out,
                                                    rkvs_operation** operation,
                                                    rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_MAX_VALUE_SIZE, set_max_value_size, {how, out, operation, error},
               max_value_size);
}

rkvs_status rkvs_namespace_set_lock_timeout_async(rkvs_namespace* ns, uint64_t lock_timeout_ms,
                                                  const rkvs_async* how, rkvs_completion* out,
                                                  rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_LOCK_TIMEOUT, set_lock_timeout, {how, out, operation, error},
               lock_timeout_ms);
}

rkvs_status rkvs_namespace_update_config_async(rkvs_namespace* ns,
                                               const rkvs_namespace_config* config,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin<KeysWork>(ns, RKVS_OP_UPDATE_CONFIG, update_config, {how, out, operation, error},
                         [&](KeysWork& work) { return to_given_config(config, work.config); });
}

rkvs_status rkvs_namespace_resize_shards_async(rkvs_namespace* ns, uint32_t shard_count,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_RESIZE_SHARDS, resize_shards, {how, out, operation, error}, shard_count);
}

// --- Figures

rkvs_status rkvs_namespace_metadata_async(rkvs_namespace* ns, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error) {
  return begin(ns, RKVS_OP_METADATA, metadata, {how, out, operation, error});
}

rkvs_status rkvs_namespace_shard_stats_async(rkvs_namespace* ns, const rkvs_async* how,
                                             rkvs_completion* out, rkvs_operation** operation,
                                             rkvs_error** error) {
  return begin(ns, RKVS_OP_SHARD_STATS, shard_stats, {how, out, operation, error});
}

rkvs_status rkvs_namespace_shard_key_counts_async(rkvs_namespace* ns, const rkvs_async* how,
                                                  rkvs_completion* out, rkvs_operation** operation,
                                                  rkvs_error** error) {
  return begin(ns, RKVS_OP_SHARD_KEY_COUNTS, shard_key_counts, {how, out, operation, error});
}
