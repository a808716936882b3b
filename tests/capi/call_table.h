// How the tables of calls are written: one line a function, with arguments that are right.
#ifndef RKVS_TESTS_CAPI_CALL_TABLE_H_
#define RKVS_TESTS_CAPI_CALL_TABLE_H_

#include "tests/capi/world.h"

namespace rkvs::capi_test {

using Calls = std::vector<Call>;

// The tables, together all_calls().
Calls manager_calls();
Calls namespace_calls();
Calls batch_calls();

inline void release(rkvs_namespace* handle) { rkvs_namespace_release(handle); }
inline void release(rkvs_value* handle) { rkvs_value_release(handle); }
inline void release(rkvs_list* handle) { rkvs_list_release(handle); }
inline void release(rkvs_load_report* handle) { rkvs_load_report_release(handle); }
inline void release(rkvs_batch_result* handle) { rkvs_batch_result_release(handle); }
inline void release(rkvs_scan* handle) { rkvs_scan_release(handle); }

// Arguments for the time of a call: a place for a handle, which is released afterwards; a place for
// anything else; a structure of its right size.
template <typename T>
class Out {
 public:
  Out() = default;
  ~Out() { release(handle_); }
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;
  // NOLINTNEXTLINE(google-explicit-constructor): stands where its pointer does
  operator T**() { return &handle_; }

 private:
  T* handle_ = nullptr;
};

template <typename T>
struct Slot {
  // NOLINTNEXTLINE(google-explicit-constructor): the same
  operator T*() { return &content; }
  T content = {};
};

template <typename T>
struct Sized : Slot<T> {
  Sized() { this->content.struct_size = sizeof(T); }
};

template <typename Handle>
struct KindOf;
template <>
struct KindOf<rkvs_manager> {
  static constexpr Kind kKind = Kind::kManager;
};
template <>
struct KindOf<rkvs_namespace> {
  static constexpr Kind kKind = Kind::kNamespace;
};
template <>
struct KindOf<rkvs_scan> {
  static constexpr Kind kKind = Kind::kScan;
};
template <>
struct KindOf<rkvs_atomic_batch> {
  static constexpr Kind kKind = Kind::kAtomic;
};
template <>
struct KindOf<rkvs_batch_result> {
  static constexpr Kind kKind = Kind::kResult;
};
template <>
struct KindOf<rkvs_list> {
  static constexpr Kind kKind = Kind::kList;
};
template <>
struct KindOf<rkvs_load_report> {
  static constexpr Kind kKind = Kind::kReport;
};
template <>
struct KindOf<rkvs_queue> {
  static constexpr Kind kKind = Kind::kQueue;
};
template <>
struct KindOf<rkvs_operation> {
  static constexpr Kind kKind = Kind::kOperation;
};

// The handle that a function works on, which is its first argument.
template <typename Function>
struct HandleOf;
template <typename Handle, typename... Others>
struct HandleOf<rkvs_status(Handle*, Others...)> {
  using Type = std::remove_const_t<Handle>;
  static constexpr Kind kKind = KindOf<Type>::kKind;
};

// `Body` is what a lambda without captures is: rkvs_status(World&, Handle*, rkvs_error**).
template <typename Function, typename Body>
Call make_call(const char* name, Body /*body*/) {
  return {name, HandleOf<Function>::kKind,
          [](World& world, void* handle, rkvs_error** error) -> rkvs_status {
            using Handle = typename HandleOf<Function>::Type;
            return Body()(world, static_cast<Handle*>(handle), error);
          }};
}

}  // namespace rkvs::capi_test

// A function whose last argument is the error; `x`, its handle, and the world `w` can be used in
// the arguments in between. The second form is for calls that are more than one expression.
#define RKVS_CALL(function, ...) \
  RKVS_CALL_AS(function, return function(x __VA_OPT__(, ) __VA_ARGS__, e);)
#define RKVS_CALL_AS(function, ...)                                                              \
  ::rkvs::capi_test::make_call<decltype(function)>(                                              \
      #function,                                                                                 \
      []([[maybe_unused]] ::rkvs::capi_test::World& w, auto* x, rkvs_error** e) -> rkvs_status { \
        __VA_ARGS__                                                                              \
      })
// One that is asynchronous, told through the world's queue, and waited for.
#define RKVS_ASYNC_CALL(function, ...)                                                           \
  RKVS_CALL_AS(function, return w.finish(function(x __VA_OPT__(, ) __VA_ARGS__, &w.how, nullptr, \
                                                  nullptr, e));)

#endif  // RKVS_TESTS_CAPI_CALL_TABLE_H_
