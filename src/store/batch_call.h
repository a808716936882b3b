// BatchCall: one call of a batch operation, from its beginning to its results.
#ifndef RKVS_STORE_BATCH_CALL_H_
#define RKVS_STORE_BATCH_CALL_H_

#include <rkvs/batch.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "store/batch_plan.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {

// What a batch works with: its namespace and its results.
class BatchCall {
 public:
  using Clock = std::chrono::steady_clock;
  // Best effort works on so many items at a time.
  static constexpr size_t kBestEffortSlice = 1024;

  BatchCall(NamespaceImpl& self, size_t size, BatchMode mode)
      : timer_(self.histogram(OperationKind::kBatch)),
        self_(self),
        mode_(mode),
        started_(Clock::now()),
        deadline_(self.deadline()),
        time_(self.time()) {
    try {
      result_.items.resize(size);
    } catch (const std::bad_alloc&) {
      fail_whole(StatusCode::kNoMemory);
    }
    // Batches that have items meet this when they lock.
    if (size == 0 && self.shards().routing().is_closed()) fail_whole(self.shards().closed_code());
  }

  NamespaceImpl& self() { return self_; }
  Deadline& deadline() { return deadline_; }
  OperationTime& time() { return time_; }
  bool atomic() const { return mode_ == BatchMode::kAllOrNothing; }
  BatchItem& item(size_t i) { return result_.items[i]; }
  size_t size() const { return result_.items.size(); }
  bool failed() const { return !result_.status.ok(); }

  // The slices that are worked on one after another. `work` returns how far it got.
  template <typename Work>  // size_t(size_t begin, size_t end)
  void in_slices(Work work) {
    if (size() == 0 && self_.shards().routing().is_closed()) {
      fail_whole(self_.shards().closed_code());
    }
    const size_t slice = atomic() ? size() : kBestEffortSlice;
    try {
      for (done_ = 0; done_ < size() && !stopped_ && !failed();) {
        time_.reset();
        const size_t end = work(done_, std::min(size(), done_ + slice));
        if (!stopped_) done_ = end;
      }
    } catch (const std::bad_alloc&) {
      fail_rest(StatusCode::kNoMemory);
    }
  }

  // The locks could not be had, or there was no memory: nothing from the present slice on is done.
  void fail_rest(StatusCode code) {
    // A best-effort batch that ran out of time has done what it could, and items that were wrong
    // anyhow say so.
    const bool whole = atomic() || code != StatusCode::kTimeout;
    if (whole) fail_whole(code);
    for (size_t i = done_; i < size(); ++i) {
      BatchItem& item = result_.items[i];
      if (whole || !is_error(item.code)) item = {code, std::nullopt};
    }
    stopped_ = true;
  }
  // Forgets that it failed, for an all-or-nothing batch that is tried again.
  void begin_again() { result_.status = Status(); }
  void fail_whole(StatusCode code) { result_.status = self_.error(code); }
  // The call as a whole was wrong.
  BatchResult refused(Status status) && {
    for (BatchItem& item : result_.items) item.code = status.code();
    result_.status = std::move(status);
    return std::move(*this).finish();
  }

  // Makes an all-or-nothing batch fail if any of its items did: those keep their codes, the others
  // become NotApplied. True if so.
  bool fails_by_items() {
    size_t first = size();
    for (size_t i = size(); i-- > 0;) {
      if (item(i).code != StatusCode::kOk) first = i;
    }
    if (first == size()) return false;
    for (BatchItem& item : result_.items) {
      if (item.code == StatusCode::kOk) item.code = StatusCode::kNotApplied;
      item.value.reset();
    }
    result_.status = item_error(first);
    return true;
  }

  BatchResult finish() && {
    result_.total_processed = static_cast<size_t>(
        std::count_if(result_.items.begin(), result_.items.end(),
                      [](const BatchItem& item) { return item.code == StatusCode::kOk; }));
    result_.duration = Clock::now() - started_;
    return std::move(result_);
  }

 private:
  Status item_error(size_t i) const {
    const StatusCode code = result_.items[i].code;
    const Status detail = self_.error(code);
    return make_error(code, "item ", i, " of ", size(), ": ",
                      detail.message().empty() ? status_code_name(code) : detail.message());
  }

  const HistogramTimer timer_;
  NamespaceImpl& self_;
  const BatchMode mode_;
  const Clock::time_point started_;
  Deadline deadline_;
  OperationTime time_;
  BatchResult result_;
  size_t done_ = 0;
  bool stopped_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BATCH_CALL_H_
