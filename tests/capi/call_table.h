// How the tables of calls are written: one line a function, with arguments that are right.
#ifndef RKVS_TESTS_CAPI_CALL_TABLE_H_
#define RKVS_TESTS_CAPI_CALL_TABLE_H_

#include <type_traits>
#include <vector>

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

constexpr Kind kind_of(const rkvs_manager* /*handle*/) { return Kind::kManager; }
constexpr Kind kind_of(const rkvs_namespace* /*handle*/) { return Kind::kNamespace; }
constexpr Kind kind_of(const rkvs_scan* /*handle*/) { return Kind::kScan; }
constexpr Kind kind_of(const rkvs_atomic_batch* /*handle*/) { return Kind::kAtomic; }
constexpr Kind kind_of(const rkvs_batch_result* /*handle*/) { return Kind::kResult; }
constexpr Kind kind_of(const rkvs_list* /*handle*/) { return Kind::kList; }
constexpr Kind kind_of(const rkvs_load_report* /*handle*/) { return Kind::kReport; }
constexpr Kind kind_of(const rkvs_queue* /*handle*/) { return Kind::kQueue; }
constexpr Kind kind_of(const rkvs_operation* /*handle*/) { return Kind::kOperation; }

// The handle that a function works on, which is its first argument.
template <typename Function>
struct HandleOf;
template <typename Handle, typename... Others>
struct HandleOf<rkvs_status(Handle*, Others...)> {
  using Type = std::remove_const_t<Handle>;
  static constexpr Kind kKind = kind_of(static_cast<Type*>(nullptr));
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
