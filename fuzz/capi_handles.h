// Handles of the C API as a program holds them: any number on the same thing, given back in any
// order, each with what it must say as long as it lives.
#ifndef RKVS_FUZZ_CAPI_HANDLES_H_
#define RKVS_FUZZ_CAPI_HANDLES_H_

#include <rkvs/atomic_batch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capi/rkvs.h"
#include "fuzz/capi_model.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

// The operations of an atomic batch, which views its bytes.
struct AtomicContent {
  std::deque<std::string> bytes;
  AtomicBatch batch;
};

struct QueueState {
  bool closed = false;
  int on_their_way = 0;  // operations that have not been polled
};

inline std::string_view text_of(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

#define RKVS_FUZZ_HANDLE(type, content)                                            \
  rkvs_##type* handle = nullptr;                                                   \
  content;                                                                         \
  void retain() const { RKVS_FUZZ_CHECK(rkvs_##type##_retain(handle) == handle); } \
  void release() const { rkvs_##type##_release(handle); }

struct ManagerRef {
  RKVS_FUZZ_HANDLE(manager, std::shared_ptr<Store> store)
  void check() const {
    RKVS_FUZZ_CHECK(rkvs_manager_is_initialized(handle) ==
                    (store->state() == StatusCode::kOk ? 1 : 0));
    RKVS_FUZZ_CHECK(rkvs_manager_has_persistence(handle) == (store->persistent ? 1 : 0));
  }
};

struct NamespaceRef {
  RKVS_FUZZ_HANDLE(namespace, std::shared_ptr<Store> store; std::shared_ptr<Space> space)
  void check() const { RKVS_FUZZ_CHECK(rkvs_namespace_name(handle) == space->name); }
};

struct ValueRef {
  RKVS_FUZZ_HANDLE(value, std::string text)
  void check() const {
    const void* data = nullptr;
    size_t size = 0;
    rkvs_value_view(handle, &data, &size);
    RKVS_FUZZ_CHECK(data != nullptr && text_of(data, size) == text);
    RKVS_FUZZ_CHECK(rkvs_value_data(handle) == data && rkvs_value_size(handle) == size);
  }
};

struct ResultRef {
  RKVS_FUZZ_HANDLE(batch_result, rkvs_status status; std::shared_ptr<std::vector<ModelItem>> items)
  void check() const {
    const size_t count = items->size();
    RKVS_FUZZ_CHECK(rkvs_batch_result_count(handle) == count);
    RKVS_FUZZ_CHECK(rkvs_batch_result_status(handle) == status);
    RKVS_FUZZ_CHECK(rkvs_batch_result_item_status(handle, count) == RKVS_E_INVALID_ARGUMENT);
    for (size_t i = 0; i < count; ++i) {
      const ModelItem& expected = (*items)[i];
      RKVS_FUZZ_CHECK(rkvs_batch_result_item_status(handle, i) == code_of(expected.code));
      rkvs_batch_item item;
      rkvs_batch_item_init(&item, sizeof item);
      RKVS_FUZZ_CHECK(rkvs_batch_result_item(handle, i, &item, nullptr) == RKVS_OK);
      RKVS_FUZZ_CHECK(item.status == code_of(expected.code));
      RKVS_FUZZ_CHECK((item.has_value != 0) == expected.value.has_value());
      rkvs_value* const own = rkvs_batch_result_value(handle, i);
      RKVS_FUZZ_CHECK((own != nullptr) == expected.value.has_value());
      rkvs_value_release(own);
      if (expected.value) {
        RKVS_FUZZ_CHECK(text_of(item.value, item.value_size) == *expected.value);
      }
    }
  }
  // The same in columns.
  void check_view() const {
    rkvs_batch_view view;
    rkvs_batch_view_init(&view, sizeof view);
    RKVS_FUZZ_CHECK(rkvs_batch_result_view(handle, &view, nullptr) == RKVS_OK);
    RKVS_FUZZ_CHECK(view.count == items->size() && view.status == status);
    uint64_t processed = 0;
    for (size_t i = 0; i < view.count; ++i) {
      const ModelItem& expected = (*items)[i];
      RKVS_FUZZ_CHECK(view.statuses[i] == code_of(expected.code));
      RKVS_FUZZ_CHECK((view.has_value[i] != 0) == expected.value.has_value());
      const uint64_t begin = view.value_offsets[i];
      RKVS_FUZZ_CHECK(text_of(static_cast<const char*>(view.values) + begin,
                              view.value_offsets[i + 1] - begin) ==
                      expected.value.value_or(std::string()));
      if (expected.code == StatusCode::kOk) ++processed;
    }
    RKVS_FUZZ_CHECK(view.total_processed == processed);
  }
};

struct ListRef {
  RKVS_FUZZ_HANDLE(list, std::shared_ptr<Texts> items)  // sorted
  void check() const {
    Texts texts;
    const size_t count = rkvs_list_count(handle);
    for (size_t i = 0; i < count; ++i) {
      const void* data = nullptr;
      size_t size = 0;
      RKVS_FUZZ_CHECK(rkvs_list_item(handle, i, &data, &size, nullptr) == RKVS_OK);
      texts.emplace_back(text_of(data, size));
    }
    RKVS_FUZZ_CHECK(rkvs_list_item(handle, count, nullptr, nullptr, nullptr) ==
                    RKVS_E_INVALID_ARGUMENT);
    const void* bytes = nullptr;
    const uint64_t* offsets = nullptr;
    size_t packed = 0;
    RKVS_FUZZ_CHECK(rkvs_list_packed(handle, &bytes, &offsets, &packed, nullptr) == RKVS_OK);
    RKVS_FUZZ_CHECK(packed == count);
    for (size_t i = 0; i < count; ++i) {
      RKVS_FUZZ_CHECK(text_of(static_cast<const char*>(bytes) + offsets[i],
                              offsets[i + 1] - offsets[i]) == texts[i]);
    }
    std::sort(texts.begin(), texts.end());
    RKVS_FUZZ_CHECK(texts == *items);
  }
};

struct ScanRef {
  RKVS_FUZZ_HANDLE(scan, std::shared_ptr<Store> store; std::shared_ptr<Space> space;
                   std::shared_ptr<Walk> walk)
  void check() const {}
};

struct AtomicRef {
  RKVS_FUZZ_HANDLE(atomic_batch, std::shared_ptr<AtomicContent> content)
  void check() const { RKVS_FUZZ_CHECK(rkvs_atomic_batch_size(handle) == content->batch.size()); }
};

struct QueueRef {
  RKVS_FUZZ_HANDLE(queue, std::shared_ptr<QueueState> state)
  void check() const { RKVS_FUZZ_CHECK(rkvs_queue_fd(handle) >= 0); }
};

struct ErrorRef {
  RKVS_FUZZ_HANDLE(error, rkvs_status status; int64_t index; std::string message)
  void check() const {
    RKVS_FUZZ_CHECK(rkvs_error_code(handle) == status);
    RKVS_FUZZ_CHECK(rkvs_error_index(handle) == index);
    RKVS_FUZZ_CHECK(rkvs_error_message(handle) == message);
  }
};

struct ReportRef {
  RKVS_FUZZ_HANDLE(load_report, uint64_t keys)
  void check() const {
    RKVS_FUZZ_CHECK(rkvs_load_report_keys(handle) == keys);
    RKVS_FUZZ_CHECK(rkvs_load_report_file(handle) != nullptr);
    RKVS_FUZZ_CHECK(rkvs_load_report_skipped_count(handle) == 0);
  }
};

#undef RKVS_FUZZ_HANDLE

// Handles of one kind; at most so many, then the oldest goes.
template <typename Ref>
class Pool {
 public:
  void add(Ref ref) {
    refs_.push_back(std::move(ref));
    if (refs_.size() > kMost) remove(0);
  }
  bool empty() const { return refs_.empty(); }
  const std::vector<Ref>& refs() const { return refs_; }
  Ref* pick(FuzzInput& input) {
    const uint32_t at = input.byte();
    return refs_.empty() ? nullptr : &refs_[at % refs_.size()];
  }
  void retain(FuzzInput& input) {
    const Ref* const ref = pick(input);
    if (ref == nullptr || refs_.size() == kMost) return;
    ref->retain();
    refs_.push_back(Ref(*ref));
  }
  void release(FuzzInput& input) {
    if (const Ref* const ref = pick(input)) remove(static_cast<size_t>(ref - refs_.data()));
  }
  void release(const Ref* ref) { remove(static_cast<size_t>(ref - refs_.data())); }
  void release_all() {
    while (!refs_.empty()) remove(refs_.size() - 1);
  }
  void check() const {
    for (const Ref& ref : refs_) ref.check();
  }

 private:
  static constexpr size_t kMost = 12;

  void remove(size_t at) {
    refs_[at].check();
    refs_[at].release();
    refs_.erase(refs_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  std::vector<Ref> refs_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_HANDLES_H_
