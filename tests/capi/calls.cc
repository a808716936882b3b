// Every function of the C API that can fail, with arguments that are right: batches, and what works
// on other handles than stores.
#include "tests/capi/call_table.h"

namespace rkvs::capi_test {

namespace {

// The two items of the batches, packed.
constexpr uint64_t kOffsets[] = {0, 2, 4};
constexpr uint64_t kValueOffsets[] = {0, 1, 3};
constexpr rkvs_slice kKeys[] = {{"k3", 2}, {"k4", 2}};
constexpr rkvs_slice kValues[] = {{"x", 1}, {"yz", 2}};
constexpr auto kAll = RKVS_ALL_OR_NOTHING;
constexpr auto kBest = RKVS_BEST_EFFORT;

using Result = Out<rkvs_batch_result>;
using Bytes = Slot<const void*>;
using Numbers = Slot<const uint64_t*>;
using Count = Slot<size_t>;

// A list of the kind that the function reads in place of the one that all share.
rkvs_list* instead(World& world, rkvs_list* list, rkvs_list* right_one) {
  return list == world.list ? right_one : list;
}

Calls other_calls() {
  return {
    RKVS_CALL(rkvs_atomic_batch_set, "k1", 2, "new", 3, nullptr),
        RKVS_CALL(rkvs_atomic_batch_add, "k1", 2, "new", 3, nullptr),
        RKVS_CALL(rkvs_atomic_batch_update, "k1", 2, "new", 3, nullptr),
        RKVS_CALL(rkvs_atomic_batch_delete_key, "k1", 2),
        RKVS_CALL(rkvs_atomic_batch_consume, "k1", 2),
        RKVS_CALL(rkvs_atomic_batch_check_exists, "k1", 2),
        RKVS_CALL(rkvs_atomic_batch_check_absent, "k1", 2),
        RKVS_CALL(rkvs_atomic_batch_compare_and_delete, "k1", 2, 7),
        RKVS_CALL(rkvs_atomic_batch_check_version, "k1", 2, 7),
        RKVS_CALL(rkvs_atomic_batch_compare_and_set, "k1", 2, 7, "new", 3, nullptr),
        RKVS_CALL(rkvs_atomic_batch_increment, "k1", 2, 7, nullptr),
        RKVS_CALL(rkvs_atomic_batch_decrement, "k1", 2, 7, nullptr),
        RKVS_CALL(rkvs_atomic_batch_clear),

        RKVS_CALL(rkvs_batch_result_item, 1, Sized<rkvs_batch_item>()),
        RKVS_CALL(rkvs_batch_result_view, Sized<rkvs_batch_view>()),
        RKVS_CALL(rkvs_list_item, 0, Bytes(), Count()),
        RKVS_CALL(rkvs_list_packed, Bytes(), Numbers(), Count()),
        RKVS_CALL_AS(rkvs_list_namespace_stats,
                     return rkvs_list_namespace_stats(instead(w, x, w.stats), 0,
                                                      Sized<rkvs_namespace_stats>(), e);),
        RKVS_CALL_AS(rkvs_list_autosave_status,
                     return rkvs_list_autosave_status(instead(w, x, w.autosave), 0,
                                                      Sized<rkvs_autosave_status>(), e);),
        RKVS_CALL_AS(rkvs_list_namespace_config,
                     return rkvs_list_namespace_config(instead(w, x, w.config), 0,
                                                       Sized<rkvs_namespace_config>(), e);),
        RKVS_CALL_AS(rkvs_list_manager_config,
                     return rkvs_list_manager_config(instead(w, x, w.manager_config), 0,
                                                     Sized<rkvs_manager_config>(), e);),
        RKVS_CALL_AS(
            rkvs_list_shard_stats,
            return rkvs_list_shard_stats(instead(w, x, w.shards), 0, Slot<rkvs_shard_stats>(),
                                         sizeof(rkvs_shard_stats), e);),
        RKVS_CALL_AS(rkvs_list_numbers,
                     return rkvs_list_numbers(instead(w, x, w.numbers), Numbers(), Count(), e);),
        RKVS_CALL_AS(rkvs_list_load_report,
                     return rkvs_list_load_report(instead(w, x, w.report_list),
                                                  Out<rkvs_load_report>(), e);),

        RKVS_CALL(rkvs_queue_poll, Slot<rkvs_completion>(), 1, Count()),
        RKVS_CALL_AS(rkvs_queue_wait,
                     {
                       const rkvs_status s = rkvs_queue_wait(x, 0, e);
                       // Nothing is in it.
                       if (s != RKVS_E_TIMEOUT) return s;
                       if (e != nullptr) {
                         rkvs_error_release(*e);
                         *e = nullptr;
                       }
                       return RKVS_OK;
                     }),
        RKVS_CALL(rkvs_queue_close), RKVS_CALL(rkvs_operation_cancel),
  };
}

}  // namespace

Calls batch_calls() {
  return {
      RKVS_CALL(rkvs_namespace_get_multiple, kKeys, 2, kAll, Result()),
      RKVS_CALL(rkvs_namespace_get_multiple_packed, "k3k4", kOffsets, 2, kBest, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_get_multiple_async, kKeys, 2, kAll),
      RKVS_ASYNC_CALL(rkvs_namespace_get_multiple_packed_async, "k3k4", kOffsets, 2, kAll),
      RKVS_CALL(rkvs_namespace_exists_multiple, kKeys, 2, kAll, Result()),
      RKVS_CALL(rkvs_namespace_exists_multiple_packed, "k3k4", kOffsets, 2, kBest, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_exists_multiple_async, kKeys, 2, kAll),
      RKVS_ASYNC_CALL(rkvs_namespace_exists_multiple_packed_async, "k3k4", kOffsets, 2, kAll),
      RKVS_CALL(rkvs_namespace_delete_multiple, kKeys, 2, kAll, Result()),
      RKVS_CALL(rkvs_namespace_delete_multiple_packed, "k3k4", kOffsets, 2, kBest, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_delete_multiple_async, kKeys, 2, kAll),
      RKVS_ASYNC_CALL(rkvs_namespace_delete_multiple_packed_async, "k3k4", kOffsets, 2, kAll),
      RKVS_CALL(rkvs_namespace_consume_multiple, kKeys, 2, kAll, Result()),
      RKVS_CALL(rkvs_namespace_consume_multiple_packed, "k3k4", kOffsets, 2, kBest, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_consume_multiple_async, kKeys, 2, kAll),
      RKVS_ASYNC_CALL(rkvs_namespace_consume_multiple_packed_async, "k3k4", kOffsets, 2, kAll),
      RKVS_CALL(rkvs_namespace_set_multiple, kKeys, kValues, 2, kAll, nullptr, Result()),
      RKVS_CALL(rkvs_namespace_set_multiple_packed, "k3k4", kOffsets, "xyz", kValueOffsets, 2, kAll,
                nullptr, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_set_multiple_async, kKeys, kValues, 2, kAll, nullptr),
      RKVS_ASYNC_CALL(rkvs_namespace_set_multiple_packed_async, "k3k4", kOffsets, "xyz",
                      kValueOffsets, 2, kAll, nullptr),
      RKVS_CALL(rkvs_namespace_update_multiple, kKeys, kValues, 2, kAll, nullptr, Result()),
      RKVS_CALL(rkvs_namespace_update_multiple_packed, "k3k4", kOffsets, "xyz", kValueOffsets, 2,
                kAll, nullptr, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_update_multiple_async, kKeys, kValues, 2, kAll, nullptr),
      RKVS_ASYNC_CALL(rkvs_namespace_update_multiple_packed_async, "k3k4", kOffsets, "xyz",
                      kValueOffsets, 2, kAll, nullptr),
      RKVS_CALL(rkvs_namespace_apply, w.atomic, Result()),
      RKVS_ASYNC_CALL(rkvs_namespace_apply_async, w.atomic),
  };
}

const std::vector<Call>& all_calls() {
  static const auto* const calls = [] {
    auto* const all = new Calls;
    for (const Calls& table : {manager_calls(), namespace_calls(), batch_calls(), other_calls()}) {
      all->insert(all->end(), table.begin(), table.end());
    }
    return all;
  }();
  return *calls;
}

}  // namespace rkvs::capi_test
