// Calls of the C API on keys, put together from an input: with arguments in memory of exactly their
// size that is gone when the call has returned, and now and then with arguments that cannot be.
#ifndef RKVS_FUZZ_CAPI_OPERATIONS_H_
#define RKVS_FUZZ_CAPI_OPERATIONS_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

// Far enough that nothing expires while the fuzzer runs.
inline constexpr int64_t kLong = int64_t{24} * 3600 * 1000;

// Memory of exactly so many bytes, so that a byte more is noticed.
using Block = std::shared_ptr<char[]>;
inline Block block_of(const void* bytes, size_t size) {
  Block block(new char[size]);
  if (size != 0) std::memcpy(block.get(), bytes, size);
  return block;
}

// A structure of the C API as programs of other versions have it, or programs with mistakes.
template <typename T>
struct Shaped {
  Block block{};
  rkvs_status refused = RKVS_OK;
  const T* get() const { return reinterpret_cast<const T*>(block.get()); }
};
template <typename T>
Shaped<T> shaped(FuzzInput& input, T from) {
  static constexpr size_t kMore = 16;
  const uint32_t kind = input.below(64);
  const size_t size = sizeof(T) + (kind == 60 || kind == 61 ? kMore : 0);
  from.struct_size = static_cast<uint32_t>(size);
  Shaped<T> shape;
  if (kind == 61) shape.refused = RKVS_E_UNSUPPORTED;
  if (kind >= 62) {
    static constexpr std::array<uint32_t, 4> sizes = {0, 4, sizeof(T) - 1, 4097};
    from.struct_size = input.pick(sizes);
    shape.refused = RKVS_E_INVALID_ARGUMENT;
  }
  shape.block = Block(new char[size]());
  std::memcpy(shape.block.get(), &from, sizeof from);
  if (kind == 61) shape.block[static_cast<std::ptrdiff_t>(sizeof(T)) + input.below(kMore)] = 1;
  return shape;
}

inline rkvs_namespace_config to_c(const NamespaceConfig& from) {
  rkvs_namespace_config to;
  rkvs_namespace_config_init(&to, sizeof to);
  to.shard_count = from.shard_count;
  to.max_keys = from.max_keys;
  to.max_value_size = from.max_value_size;
  to.max_key_size = from.max_key_size;
  to.max_bytes = from.max_bytes;
  to.lock_timeout_ms = static_cast<uint64_t>(from.lock_timeout.count());
  return to;
}

inline rkvs_write_options to_c(const WriteOptions& from) {
  rkvs_write_options to;
  rkvs_write_options_init(&to, sizeof to);
  if (from.expire_after) to.expire_after_ms = from.expire_after->count();
  if (from.expire_at) {
    to.expire_at_unix_ms =
        std::chrono::floor<std::chrono::milliseconds>(from.expire_at->time_since_epoch()).count();
  }
  if (from.keep_ttl) to.flags = RKVS_KEEP_TTL;
  return to;
}

inline rkvs_counter_options to_c(const CounterOptions& from) {
  rkvs_counter_options to;
  rkvs_counter_options_init(&to, sizeof to);
  to.initial = from.initial;
  if (from.expire_after) to.expire_after_ms = from.expire_after->count();
  return to;
}

// What expires long after the run, or long before it.
inline WriteOptions c_options_of(FuzzInput& input) {
  using std::chrono::milliseconds;
  using Time = std::chrono::system_clock::time_point;
  switch (input.below(16)) {
    case 0:
    case 1: return {.expire_after = milliseconds(kLong)};
    case 2: return {.expire_at = Time(milliseconds(int64_t{4'102'444'800'000}))};
    case 3: return {.keep_ttl = true};
    case 4: return {.expire_at = Time(milliseconds(1))};
    case 5: return {.expire_after = milliseconds(-1)};
    case 6: return {.expire_after = milliseconds(kLong), .keep_ttl = true};
    default: return {};
  }
}

// Mostly of few, so that calls meet.
inline std::string c_key_of(FuzzInput& input) {
  static const std::array<const char*, 3> keys = {"a", "b", ""};
  const uint32_t kind = input.below(8);
  return kind < 6 ? keys[kind % keys.size()] : key_of(input);
}

// One argument of bytes.
struct Argument {
  Block block{};
  size_t size = 0;
  bool missing = false;

  const void* data() const { return missing ? nullptr : block.get(); }
};
inline Argument argument_of(FuzzInput& input, const std::string& bytes) {
  Argument argument{block_of(bytes.data(), bytes.size()), bytes.size()};
  // NULL is as good as anything where there are no bytes, and refused where there are.
  argument.missing = bytes.empty() ? input.flag() : input.below(64) == 0;
  return argument;
}

// An operation on one key of `ns`. The space is settled.
inline Call key_call(FuzzInput& input, const NamespaceRef& ns) {
  static constexpr std::array<rkvs_operation_kind, 18> kinds = {RKVS_OP_GET,
                                                                RKVS_OP_GET_WITH_VERSION,
                                                                RKVS_OP_EXISTS,
                                                                RKVS_OP_SET,
                                                                RKVS_OP_SET,
                                                                RKVS_OP_PUT,
                                                                RKVS_OP_PUT,
                                                                RKVS_OP_ADD,
                                                                RKVS_OP_UPDATE,
                                                                RKVS_OP_COMPARE_AND_SET,
                                                                RKVS_OP_COMPARE_AND_DELETE,
                                                                RKVS_OP_DELETE_KEY,
                                                                RKVS_OP_CONSUME,
                                                                RKVS_OP_TTL,
                                                                RKVS_OP_TOUCH,
                                                                RKVS_OP_PERSIST,
                                                                RKVS_OP_INCREMENT,
                                                                RKVS_OP_DECREMENT};
  KeyCall what;
  what.kind = input.pick(kinds);
  what.key = c_key_of(input);
  const rkvs_operation_kind kind = what.kind;
  rkvs_namespace* const handle = ns.handle;

  Call call;
  call.kind = kind;
  call.store = ns.store;
  call.space = ns.space;
  call.reads = kind <= RKVS_OP_EXISTS || kind == RKVS_OP_TTL;
  const bool writes = kind >= RKVS_OP_SET && kind <= RKVS_OP_COMPARE_AND_SET;
  const bool counts = kind == RKVS_OP_INCREMENT || kind == RKVS_OP_DECREMENT;
  if (writes) what.value = number_or_value_of(input);
  Shaped<rkvs_write_options> options;
  if ((writes || kind == RKVS_OP_TOUCH) && input.flag()) {
    what.options = c_options_of(input);
    options = shaped(input, to_c(what.options));
  }
  Shaped<rkvs_counter_options> counter;
  if (counts) {
    what.delta = delta_of(input);
    if (input.flag()) {
      what.counter.initial = delta_of(input);
      if (input.below(4) == 0) what.counter.expire_after = std::chrono::milliseconds(kLong);
      counter = shaped(input, to_c(what.counter));
    }
  }
  if (kind == RKVS_OP_COMPARE_AND_SET || kind == RKVS_OP_COMPARE_AND_DELETE) {
    rkvs_value* value = nullptr;
    const auto found = ns.space->data().find(what.key);
    if (rkvs_namespace_get_with_version(handle, what.key.data(), what.key.size(), &value,
                                        &what.version, nullptr) == RKVS_OK) {
      RKVS_FUZZ_CHECK(found != ns.space->data().end());
      found->second.version = what.version;
    }
    rkvs_value_release(value);
    if (input.below(4) == 0) what.version += 1 + input.byte();
  }
  Argument key = argument_of(input, what.key);
  Argument value = writes ? argument_of(input, what.value) : Argument();
  // Which of two mistakes is told is not said anywhere: one is enough.
  const bool is_refused = options.refused != RKVS_OK || counter.refused != RKVS_OK;
  if (is_refused) key.missing = value.missing = false;
  const bool has_no_bytes = (key.missing && key.size != 0) || (value.missing && value.size != 0);
  call.refused = has_no_bytes                 ? RKVS_E_INVALID_ARGUMENT
                 : options.refused != RKVS_OK ? options.refused
                                              : counter.refused;
  call.undo = [space = ns.space, before = ns.space->data()] { space->data() = before; };
  if (call.refused == RKVS_OK) call.expected = expect(*ns.space, what);
  if (ns.space->closed) call.also = {RKVS_E_INVALID_ARGUMENT};

  const uint64_t version = what.version;
  const int64_t delta = what.delta;
  call.now = [=](rkvs_completion& c, rkvs_error** e) -> rkvs_status {
    const void* const k = key.data();
    const void* const v = value.data();
    rkvs_status status = RKVS_E_INTERNAL;
    switch (kind) {
      case RKVS_OP_GET: status = rkvs_namespace_get(handle, k, key.size, &c.value, e); break;
      case RKVS_OP_GET_WITH_VERSION:
        status = rkvs_namespace_get_with_version(handle, k, key.size, &c.value, &c.version, e);
        break;
      case RKVS_OP_EXISTS: return rkvs_namespace_exists(handle, k, key.size, e);
      case RKVS_OP_SET:
        status = rkvs_namespace_set(handle, k, key.size, v, value.size, options.get(), &c.value, e);
        break;
      case RKVS_OP_PUT:
        return rkvs_namespace_put(handle, k, key.size, v, value.size, options.get(), e);
      case RKVS_OP_ADD:
        return rkvs_namespace_add(handle, k, key.size, v, value.size, options.get(), &c.version, e);
      case RKVS_OP_UPDATE:
        status =
            rkvs_namespace_update(handle, k, key.size, v, value.size, options.get(), &c.value, e);
        break;
      case RKVS_OP_COMPARE_AND_SET:
        return rkvs_namespace_compare_and_set(handle, k, key.size, version, v, value.size,
                                              options.get(), &c.version, e);
      case RKVS_OP_COMPARE_AND_DELETE:
        return rkvs_namespace_compare_and_delete(handle, k, key.size, version, e);
      case RKVS_OP_DELETE_KEY: return rkvs_namespace_delete_key(handle, k, key.size, e);
      case RKVS_OP_CONSUME:
        status = rkvs_namespace_consume(handle, k, key.size, &c.value, e);
        break;
      case RKVS_OP_TTL: return rkvs_namespace_ttl(handle, k, key.size, &c.number, e);
      case RKVS_OP_TOUCH: return rkvs_namespace_touch(handle, k, key.size, options.get(), e);
      case RKVS_OP_PERSIST: {
        int32_t had = 0;
        status = rkvs_namespace_persist(handle, k, key.size, &had, e);
        c.number = had;
        return status;
      }
      case RKVS_OP_INCREMENT:
        return rkvs_namespace_increment(handle, k, key.size, delta, counter.get(), &c.number, e);
      default:
        return rkvs_namespace_decrement(handle, k, key.size, delta, counter.get(), &c.number, e);
    }
    c.data = rkvs_value_data(c.value);
    c.size = rkvs_value_size(c.value);
    return status;
  };
  call.later = [=](const rkvs_async* how, rkvs_completion* out, rkvs_operation** op,
                   rkvs_error** e) -> rkvs_status {
    const void* const k = key.data();
    const void* const v = value.data();
    const size_t n = key.size;
    const rkvs_write_options* const o = options.get();
    switch (kind) {
      case RKVS_OP_GET: return rkvs_namespace_get_async(handle, k, n, how, out, op, e);
      case RKVS_OP_GET_WITH_VERSION:
        return rkvs_namespace_get_with_version_async(handle, k, n, how, out, op, e);
      case RKVS_OP_EXISTS: return rkvs_namespace_exists_async(handle, k, n, how, out, op, e);
      case RKVS_OP_SET:
        return rkvs_namespace_set_async(handle, k, n, v, value.size, o, how, out, op, e);
      case RKVS_OP_PUT:
        return rkvs_namespace_put_async(handle, k, n, v, value.size, o, how, out, op, e);
      case RKVS_OP_ADD:
        return rkvs_namespace_add_async(handle, k, n, v, value.size, o, how, out, op, e);
      case RKVS_OP_UPDATE:
        return rkvs_namespace_update_async(handle, k, n, v, value.size, o, how, out, op, e);
      case RKVS_OP_COMPARE_AND_SET:
        return rkvs_namespace_compare_and_set_async(handle, k, n, version, v, value.size, o, how,
                                                    out, op, e);
      case RKVS_OP_COMPARE_AND_DELETE:
        return rkvs_namespace_compare_and_delete_async(handle, k, n, version, how, out, op, e);
      case RKVS_OP_DELETE_KEY:
        return rkvs_namespace_delete_key_async(handle, k, n, how, out, op, e);
      case RKVS_OP_CONSUME: return rkvs_namespace_consume_async(handle, k, n, how, out, op, e);
      case RKVS_OP_TTL: return rkvs_namespace_ttl_async(handle, k, n, how, out, op, e);
      case RKVS_OP_TOUCH: return rkvs_namespace_touch_async(handle, k, n, o, how, out, op, e);
      case RKVS_OP_PERSIST: return rkvs_namespace_persist_async(handle, k, n, how, out, op, e);
      case RKVS_OP_INCREMENT:
        return rkvs_namespace_increment_async(handle, k, n, delta, counter.get(), how, out, op, e);
      default:
        return rkvs_namespace_decrement_async(handle, k, n, delta, counter.get(), how, out, op, e);
    }
  };
  return call;
}

// Items as both forms of the _multiple functions take them.
struct Columns {
  Block bytes{};
  Block offsets{};
  Block slices{};
  std::vector<Block> pieces{};

  const uint64_t* at() const { return reinterpret_cast<const uint64_t*>(offsets.get()); }
  const rkvs_slice* items() const { return reinterpret_cast<const rkvs_slice*>(slices.get()); }
};
inline Columns columns_of(const Texts& texts) {
  Columns columns;
  std::string bytes;
  std::vector<uint64_t> offsets = {0};
  std::vector<rkvs_slice> slices;
  for (const std::string& text : texts) {
    bytes += text;
    offsets.push_back(bytes.size());
    columns.pieces.push_back(block_of(text.data(), text.size()));
    slices.push_back({columns.pieces.back().get(), text.size()});
  }
  columns.bytes = block_of(bytes.data(), bytes.size());
  columns.offsets = block_of(offsets.data(), offsets.size() * sizeof(uint64_t));
  columns.slices = block_of(slices.data(), slices.size() * sizeof(rkvs_slice));
  return columns;
}

// A batch of operations of one kind. The space is settled.
inline Call batch_call(FuzzInput& input, const NamespaceRef& ns) {
  static constexpr std::array<rkvs_operation_kind, 7> kinds = {
      RKVS_OP_GET_MULTIPLE,    RKVS_OP_EXISTS_MULTIPLE, RKVS_OP_SET_MULTIPLE,
      RKVS_OP_SET_MULTIPLE,    RKVS_OP_UPDATE_MULTIPLE, RKVS_OP_DELETE_MULTIPLE,
      RKVS_OP_CONSUME_MULTIPLE};
  Call call;
  call.kind = input.pick(kinds);
  call.store = ns.store;
  call.space = ns.space;
  const rkvs_operation_kind kind = call.kind;
  call.reads = kind <= RKVS_OP_EXISTS_MULTIPLE;
  const bool writes = kind == RKVS_OP_SET_MULTIPLE || kind == RKVS_OP_UPDATE_MULTIPLE;
  const bool atomic = input.flag();
  const bool packed = input.flag();
  rkvs_batch_mode mode = atomic ? RKVS_ALL_OR_NOTHING : RKVS_BEST_EFFORT;
  Texts keys(input.below(6));
  for (std::string& key : keys) key = c_key_of(input);
  Texts texts(writes ? keys.size() : 0);
  for (std::string& text : texts) text = value_of(input);
  WriteOptions with;
  Shaped<rkvs_write_options> options;
  if (writes && input.flag()) {
    with = c_options_of(input);
    options = shaped(input, to_c(with));
    call.refused = options.refused;
  }
  const Columns columns = columns_of(keys);
  const Columns values = columns_of(texts);
  if (call.refused == RKVS_OK && input.below(32) == 0) {
    if (input.flag()) {
      mode = 2;
      call.refused = RKVS_E_INVALID_ARGUMENT;
    } else if (!keys.empty() && packed) {
      // Offsets that fall.
      reinterpret_cast<uint64_t*>(columns.offsets.get())[keys.size()] = 0;
      reinterpret_cast<uint64_t*>(columns.offsets.get())[keys.size() - 1] = 1;
      call.refused = RKVS_E_INVALID_ARGUMENT;
    }
  }
  Space& space = *ns.space;
  call.undo = [kept = ns.space, before = space.data()] { kept->data() = before; };
  if (call.refused == RKVS_OK) {
    const auto find = [&](const ModelMap::Data& data, size_t i) {
      const auto it = data.find(keys[i]);
      return it == data.end() ? ModelItem{StatusCode::kNotFound}
                              : ModelItem{StatusCode::kOk, it->second.value};
    };
    const auto write = [&](ModelMap::Data& data, size_t i) {
      ModelItem item;
      const auto when =
          kind == RKVS_OP_SET_MULTIPLE ? ModelWrite::When::kAlways : ModelWrite::When::kPresent;
      item.code = space.map.write(
          data, {.key = keys[i], .value = texts[i], .when = when, .options = with}, &item.value);
      return item;
    };
    if (writes && !ModelMap::are_valid(with) && !space.closed) {
      call.expected.status = RKVS_E_INVALID_ARGUMENT;
      call.expected.items = std::make_shared<std::vector<ModelItem>>(
          keys.size(), ModelItem{StatusCode::kInvalidArgument});
    } else if (writes) {
      call.expected = expect_batch(space, keys, atomic, write);
    } else if (kind == RKVS_OP_GET_MULTIPLE) {
      call.expected = expect_batch(space, keys, atomic, find);
    } else if (kind == RKVS_OP_EXISTS_MULTIPLE) {
      call.expected = expect_batch(space, keys, false, [&](ModelMap::Data& data, size_t i) {
        return ModelItem{find(data, i).code};
      });
    } else {
      call.expected = expect_batch(space, keys, atomic, [&](ModelMap::Data& data, size_t i) {
        ModelItem item;
        item.code = ModelMap::remove(data, keys[i], {}, &item.value);
        if (kind == RKVS_OP_DELETE_MULTIPLE) item.value.reset();
        return item;
      });
    }
  }
  if (space.closed) call.also = {RKVS_E_INVALID_ARGUMENT};
  rkvs_namespace* const handle = ns.handle;
  const size_t n = keys.size();
  call.now = [=](rkvs_completion& c, rkvs_error** e) -> rkvs_status {
    const void* const k = columns.bytes.get();
    const void* const v = values.bytes.get();
    rkvs_batch_result** const r = &c.batch;
    switch (kind) {
      case RKVS_OP_GET_MULTIPLE:
        return packed ? rkvs_namespace_get_multiple_packed(handle, k, columns.at(), n, mode, r, e)
                      : rkvs_namespace_get_multiple(handle, columns.items(), n, mode, r, e);
      case RKVS_OP_EXISTS_MULTIPLE:
        return packed
                   ? rkvs_namespace_exists_multiple_packed(handle, k, columns.at(), n, mode, r, e)
                   : rkvs_namespace_exists_multiple(handle, columns.items(), n, mode, r, e);
      case RKVS_OP_DELETE_MULTIPLE:
        return packed
                   ? rkvs_namespace_delete_multiple_packed(handle, k, columns.at(), n, mode, r, e)
                   : rkvs_namespace_delete_multiple(handle, columns.items(), n, mode, r, e);
      case RKVS_OP_CONSUME_MULTIPLE:
        return packed
                   ? rkvs_namespace_consume_multiple_packed(handle, k, columns.at(), n, mode, r, e)
                   : rkvs_namespace_consume_multiple(handle, columns.items(), n, mode, r, e);
      case RKVS_OP_SET_MULTIPLE:
        return packed ? rkvs_namespace_set_multiple_packed(handle, k, columns.at(), v, values.at(),
                                                           n, mode, options.get(), r, e)
                      : rkvs_namespace_set_multiple(handle, columns.items(), values.items(), n,
                                                    mode, options.get(), r, e);
      default:
        return packed ? rkvs_namespace_update_multiple_packed(
                            handle, k, columns.at(), v, values.at(), n, mode, options.get(), r, e)
                      : rkvs_namespace_update_multiple(handle, columns.items(), values.items(), n,
                                                       mode, options.get(), r, e);
    }
  };
  call.later = [=](const rkvs_async* how, rkvs_completion* out, rkvs_operation** op,
                   rkvs_error** e) -> rkvs_status {
    const void* const k = columns.bytes.get();
    const void* const v = values.bytes.get();
    const rkvs_write_options* const o = options.get();
    switch (kind) {
      case RKVS_OP_GET_MULTIPLE:
        return packed ? rkvs_namespace_get_multiple_packed_async(handle, k, columns.at(), n, mode,
                                                                 how, out, op, e)
                      : rkvs_namespace_get_multiple_async(handle, columns.items(), n, mode, how,
                                                          out, op, e);
      case RKVS_OP_EXISTS_MULTIPLE:
        return packed ? rkvs_namespace_exists_multiple_packed_async(handle, k, columns.at(), n,
                                                                    mode, how, out, op, e)
                      : rkvs_namespace_exists_multiple_async(handle, columns.items(), n, mode, how,
                                                             out, op, e);
      case RKVS_OP_DELETE_MULTIPLE:
        return packed ? rkvs_namespace_delete_multiple_packed_async(handle, k, columns.at(), n,
                                                                    mode, how, out, op, e)
                      : rkvs_namespace_delete_multiple_async(handle, columns.items(), n, mode, how,
                                                             out, op, e);
      case RKVS_OP_CONSUME_MULTIPLE:
        return packed ? rkvs_namespace_consume_multiple_packed_async(handle, k, columns.at(), n,
                                                                     mode, how, out, op, e)
                      : rkvs_namespace_consume_multiple_async(handle, columns.items(), n, mode, how,
                                                              out, op, e);
      case RKVS_OP_SET_MULTIPLE:
        return packed ? rkvs_namespace_set_multiple_packed_async(
                            handle, k, columns.at(), v, values.at(), n, mode, o, how, out, op, e)
                      : rkvs_namespace_set_multiple_async(handle, columns.items(), values.items(),
                                                          n, mode, o, how, out, op, e);
      default:
        return packed ? rkvs_namespace_update_multiple_packed_async(
                            handle, k, columns.at(), v, values.at(), n, mode, o, how, out, op, e)
                      : rkvs_namespace_update_multiple_async(
                            handle, columns.items(), values.items(), n, mode, o, how, out, op, e);
    }
  };
  return call;
}

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_OPERATIONS_H_
