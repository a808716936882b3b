// Steps of the C API's fuzz target on a namespace, beyond operations on single keys and batches of
// one kind.
#ifndef RKVS_FUZZ_CAPI_SPACES_H_
#define RKVS_FUZZ_CAPI_SPACES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/capi_operations.h"
#include "fuzz/capi_stores.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

class SpaceSteps : public StoreSteps {
 protected:
  using StoreSteps::StoreSteps;
  static constexpr int kMostListings = 3;  // go through 65,536 buckets a shard

  // --- Namespaces
  // -----------------------------------------------------------------------------------

  void list_or_walk() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr || listings_++ >= kMostListings) return;
    rkvs_namespace* const handle = ref->handle;
    if (input_.flag()) {
      Call call = space_call(*ref, RKVS_OP_LIST_KEYS);
      call.reads = true;
      call.expected.keys = std::make_shared<Texts>();
      for (const auto& [key, entry] : ref->space->data()) call.expected.keys->push_back(key);
      call.now = [=](rkvs_completion& c, rkvs_error** e) {
        return rkvs_namespace_list_keys(handle, &c.list, e);
      };
      call.later = [=](auto* how, auto* out, auto* op, auto* e) {
        return rkvs_namespace_list_keys_async(handle, how, out, op, e);
      };
      return calls_.make(std::move(call), handle);
    }
    auto walk = std::make_shared<Walk>();
    walk->prefix = input_.flag() ? std::string() : c_key_of(input_);
    walk->with_values = input_.flag();
    const Argument prefix = argument_of(input_, walk->prefix);
    rkvs_scan_options options;
    rkvs_scan_options_init(&options, sizeof options);
    options.prefix = prefix.data();
    options.prefix_size = prefix.size;
    if (!walk->with_values) options.flags = RKVS_SCAN_KEYS_ONLY;
    const auto shape = shaped(input_, options);
    rkvs_scan* scan = nullptr;
    const rkvs_status status = rkvs_namespace_scan_open(handle, shape.get(), &scan, nullptr);
    RKVS_FUZZ_CHECK((scan != nullptr) == (status == RKVS_OK));
    if (shape.refused != RKVS_OK) return RKVS_FUZZ_CHECK(status == shape.refused);
    if (prefix.missing && prefix.size != 0) return expect(status, StatusCode::kInvalidArgument);
    // Of what has ended too: its steps say so.
    expect(status, StatusCode::kOk);
    for (const auto& [key, entry] : ref->space->data()) {
      if (key.starts_with(walk->prefix)) walk->stays.insert(key);
    }
    ref->space->walks.push_back(walk);
    scans_.add({scan, ref->store, ref->space, walk});
  }

  void next_of_walk() {
    const ScanRef* const ref = scans_.pick(input_);
    if (ref == nullptr) return;
    calls_.settle(ref->store.get(), ref->space.get());
    Call call;
    call.kind = RKVS_OP_SCAN_NEXT;
    call.store = ref->store;
    call.space = ref->space;
    const size_t limit = input_.below(8);
    if (limit == 0) call.refused = RKVS_E_INVALID_ARGUMENT;
    const bool is_done = rkvs_scan_is_done(ref->handle) == 1;
    if (!is_done) {
      call.expected.status = code_of(ref->space->closed.value_or(StatusCode::kOk));
      // What a step before has listed may be there still.
      if (ref->space->closed) call.also = {RKVS_OK};
    } else if (ref->space->closed) {
      return;
    }
    call.adopt = [limit, space = ref->space, walk = ref->walk](rkvs_completion& c) {
      RKVS_FUZZ_CHECK(rkvs_batch_result_count(c.batch) <= limit);
      for (size_t i = 0; i < rkvs_batch_result_count(c.batch); ++i) {
        rkvs_batch_item item;
        rkvs_batch_item_init(&item, sizeof item);
        RKVS_FUZZ_CHECK(rkvs_batch_result_item(c.batch, i, &item, nullptr) == RKVS_OK);
        const std::string key(text_of(item.key, item.key_size));
        RKVS_FUZZ_CHECK(key.starts_with(walk->prefix) && item.version != 0);
        RKVS_FUZZ_CHECK((item.has_value != 0) == walk->with_values);
        const bool is_new = walk->seen.insert(key).second;
        RKVS_FUZZ_CHECK(is_new || !walk->stays.contains(key));
      }
      if (c.number == 0 || space->closed) return;
      for (const std::string& key : walk->stays) RKVS_FUZZ_CHECK(walk->seen.contains(key));
    };
    rkvs_scan* const handle = ref->handle;
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      const rkvs_status status = rkvs_scan_next(handle, limit, &c.batch, e);
      c.number = rkvs_scan_is_done(handle);
      return status;
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_scan_next_async(handle, limit, how, out, op, e);
    };
    calls_.make(std::move(call));
  }

  void remove_many() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    Space& space = *ref->space;
    const bool all = input_.flag();
    const std::string prefix = all ? std::string() : c_key_of(input_);
    const Argument argument = argument_of(input_, prefix);
    Call call = space_call(*ref, all ? RKVS_OP_CLEAR : RKVS_OP_DELETE_PREFIX);
    if (argument.missing && argument.size != 0) {
      call.refused = RKVS_E_INVALID_ARGUMENT;
    } else if (!space.closed) {
      call.expected.number = static_cast<int64_t>(std::erase_if(
          space.data(), [&](const auto& item) { return item.first.starts_with(prefix); }));
      space.changed();
    }
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      uint64_t count = 0;
      const rkvs_status status =
          all ? rkvs_namespace_clear(handle, &count, e)
              : rkvs_namespace_delete_prefix(handle, argument.data(), argument.size, &count, e);
      c.number = static_cast<int64_t>(count);
      return status;
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return all ? rkvs_namespace_clear_async(handle, how, out, op, e)
                 : rkvs_namespace_delete_prefix_async(handle, argument.data(), argument.size, how,
                                                      out, op, e);
    };
    calls_.make(std::move(call), handle);
    // Cancelled, it may have removed some.
    if (!all) calls_.settle(ref->store.get(), ref->space.get());
  }

  void resize() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    static constexpr std::array<uint32_t, 8> counts = {1, 2, 3, 4, 8, 16, 0, kMaxShardCount + 1};
    const uint32_t count = input_.pick(counts);
    const bool cancels = input_.below(4) == 0;
    Call call = space_call(*ref, RKVS_OP_RESIZE_SHARDS);
    if (!ref->space->closed) {
      if (count > kMaxShardCount) {
        call.expected.status = RKVS_E_INVALID_ARGUMENT;
      } else {
        ref->space->map.config().shard_count = count;
      }
    }
    if (cancels) call.also = {RKVS_E_CANCELLED};
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      rkvs_operation_options options;
      rkvs_operation_options_init(&options, sizeof options);
      if (cancels) options.progress = [](void*, const rkvs_progress*) { return int32_t{1}; };
      return rkvs_namespace_resize_shards(handle, count, &options, e);
    };
    call.later = [=](const rkvs_async* how, auto* out, auto* op, auto* e) {
      rkvs_async with = *how;
      if (cancels && with.struct_size == sizeof with) {
        with.progress = [](void*, const rkvs_progress*) { return int32_t{1}; };
      }
      return rkvs_namespace_resize_shards_async(handle, count, &with, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }

  void configure() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    Space& space = *ref->space;
    NamespaceConfig wanted = config_of(input_);
    wanted.shard_count = space.map.config().shard_count;
    const auto too_small = [&] {
      return wanted.max_keys != 0 && wanted.max_keys < space.data().size();
    };
    const uint32_t kind = input_.below(8);
    if (kind < 3) {
      // One by one.
      NamespaceConfig& config = space.map.config();
      rkvs_status status = RKVS_E_INTERNAL;
      StatusCode code = StatusCode::kOk;
      if (kind == 0) {
        status = rkvs_namespace_set_max_keys(handle, wanted.max_keys, nullptr);
        if (too_small()) code = StatusCode::kLimitBelowUse;
      } else if (kind == 1) {
        if (input_.below(4) == 0) wanted.max_value_size = uint64_t{1} << 31;
        status = rkvs_namespace_set_max_value_size(handle, wanted.max_value_size, nullptr);
        if (wanted.max_value_size > (uint64_t{1} << 30)) code = StatusCode::kInvalidArgument;
      } else {
        status = rkvs_namespace_set_lock_timeout(handle, 0, nullptr);
        code = StatusCode::kInvalidArgument;
      }
      expect(status, space.closed.value_or(code));
      if (status != RKVS_OK) return;
      (kind == 0 ? config.max_keys : config.max_value_size) =
          kind == 0 ? wanted.max_keys : wanted.max_value_size;
      return;
    }
    const auto shape = shaped(input_, to_c(wanted));
    Call call = space_call(*ref, RKVS_OP_UPDATE_CONFIG);
    call.refused = shape.refused;
    if (!space.closed && call.refused == RKVS_OK) {
      if (too_small()) {
        call.expected.status = RKVS_E_LIMIT_BELOW_USE;
      } else {
        space.map.config() = wanted;
      }
    }
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      return rkvs_namespace_update_config(handle, shape.get(), e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_namespace_update_config_async(handle, shape.get(), how, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }

  void figures() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    const Space& space = *ref->space;
    rkvs_namespace_config config;
    rkvs_namespace_config_init(&config, sizeof config);
    expect(rkvs_namespace_get_config(ref->handle, &config, nullptr), StatusCode::kOk);
    const NamespaceConfig& expected = space.map.config();
    RKVS_FUZZ_CHECK(
        config.max_keys == expected.max_keys && config.max_value_size == expected.max_value_size &&
        config.max_key_size == expected.max_key_size && config.shard_count == expected.shard_count);
    rkvs_namespace_stats stats;
    rkvs_namespace_stats_init(&stats, sizeof stats);
    const StatusCode code = space.closed.value_or(StatusCode::kOk);
    expect(rkvs_namespace_metadata(ref->handle, &stats, nullptr), code);
    std::array<uint64_t, 16> counts = {};
    size_t shards = 0;
    const size_t room = input_.below(17);
    expect(rkvs_namespace_shard_key_counts(ref->handle, counts.data(), room, &shards, nullptr),
           code);
    if (code != StatusCode::kOk) return;
    RKVS_FUZZ_CHECK(stats.key_count == space.map.data.size() && stats.shard_count == shards);
    uint64_t size = 0;
    for (const auto& [key, entry] : space.map.data) size += entry.value.size();
    RKVS_FUZZ_CHECK(stats.total_size == size);
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    RKVS_FUZZ_CHECK(room < shards ? sum <= stats.key_count : sum == stats.key_count);
  }

  void get_into() {
    const NamespaceRef* const ref = settled(true);
    if (ref == nullptr) return;
    Space& space = *ref->space;
    const std::string key = c_key_of(input_);
    const size_t capacity = input_.below(64);
    const Block buffer(new char[capacity]());
    size_t size = 0;
    const Expected expected = fuzz::expect(space, KeyCall{.kind = RKVS_OP_GET, .key = key});
    RKVS_FUZZ_CHECK(rkvs_namespace_get_into(ref->handle, key.data(), key.size(), buffer.get(),
                                            capacity, &size, nullptr) == expected.status);
    if (expected.status != RKVS_OK) return;
    RKVS_FUZZ_CHECK(size == expected.value->size());
    if (size <= capacity) RKVS_FUZZ_CHECK(text_of(buffer.get(), size) == *expected.value);
  }

  // What a callback of transform is to do, and has seen.
  struct Change {
    rkvs_namespace* ns = nullptr;
    std::optional<std::string> value{};
    bool decides = true;
    rkvs_status answer = RKVS_OK;
    int calls = 0;
    std::optional<std::string> seen{};
  };
  static rkvs_status change(void* user, const void* value, size_t size, rkvs_transform* transform) {
    auto* const self = static_cast<Change*>(user);
    ++self->calls;
    if (value != nullptr) self->seen.emplace(text_of(value, size));
    RKVS_FUZZ_CHECK(rkvs_namespace_exists(self->ns, "a", 1, nullptr) == RKVS_E_WOULD_DEADLOCK);
    if (!self->decides) return self->answer;
    RKVS_FUZZ_CHECK((self->value
                         ? rkvs_transform_set(transform, self->value->data(), self->value->size())
                         : rkvs_transform_remove(transform)) == RKVS_OK);
    return self->answer;
  }

  void transform() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    Space& space = *ref->space;
    const std::string key = c_key_of(input_);
    Change what{.ns = ref->handle};
    if (input_.below(4) != 0) what.value = value_of(input_);
    what.decides = input_.below(8) != 0;
    if (input_.below(8) == 0) what.answer = RKVS_E_NOT_A_NUMBER;
    const auto before = space.data().find(key);
    const std::optional<std::string> seen =
        before == space.data().end() ? std::nullopt : std::optional(before->second.value);
    std::optional<std::string> after = seen;
    StatusCode code = space.closed.value_or(static_cast<StatusCode>(what.answer));
    if (code == StatusCode::kOk && what.decides) {
      after = what.value;
      if (what.value) {
        code = space.map.put(space.data(), key, *what.value, {});
      } else {
        space.data().erase(key);
      }
      space.changed();
    }
    rkvs_value* value = nullptr;
    expect(rkvs_namespace_transform(ref->handle, key.data(), key.size(), change, &what, &value,
                                    nullptr),
           code);
    RKVS_FUZZ_CHECK(what.calls == 0 ? code != StatusCode::kOk : what.calls == 1);
    if (what.calls == 1) RKVS_FUZZ_CHECK(what.seen == seen);
    RKVS_FUZZ_CHECK((value != nullptr) == (code == StatusCode::kOk && after.has_value()));
    if (value != nullptr) calls_.values.add({value, *after});
  }

 private:
  int listings_ = 0;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_SPACES_H_
