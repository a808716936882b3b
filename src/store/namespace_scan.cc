// Going through all keys of a namespace, and removing many of them.
#include <rkvs/namespace.h>
#include <rkvs/scan.h>

#include <algorithm>
#include <new>
#include <utility>

#include "store/bucket_walk.h"
#include "store/namespace_impl.h"

namespace rkvs {

using internal::BucketWalk;
using internal::Deadline;
using internal::EntryRef;
using internal::make_error;
using internal::NamespaceImpl;
using internal::OperationTime;
using internal::ScanState;

namespace internal {

class ScanState {
 public:
  ScanState(std::shared_ptr<NamespaceImpl> impl, ScanOptions options)
      : impl_(std::move(impl)), options_(std::move(options)), walk_(impl_->shards()) {}

  bool is_done() const { return listed_.empty() && walk_.is_done(); }

  Result<std::vector<ScanItem>> next(size_t limit) {
    const HistogramTimer timer(impl_->histogram(OperationKind::kScan));
    OperationTime time(impl_->time());
    std::vector<ScanItem> items;
    if (listed_.empty() && !walk_.is_done()) {
      Deadline deadline = impl_->deadline();
      const StatusCode code = walk_.next(deadline, time, options_.prefix, listed_);
      if (code != StatusCode::kOk) return impl_->error(code);
    }
    items.reserve(std::min(limit, listed_.size()));
    size_t left = listed_.size();
    while (items.size() < limit && left != 0) {
      EntryRef& entry = listed_[--left];
      // It may have expired since it was listed.
      if (!entry->is_live(time)) continue;
      ScanItem item{std::string(entry->key()), std::nullopt, entry->version()};
      if (options_.with_values) item.value = entry->share();
      items.push_back(std::move(item));
    }
    // Only now: without memory for all of them none is given out, and none is lost.
    while (listed_.size() > left) listed_.pop_back();
    return items;
  }

 private:
  const std::shared_ptr<NamespaceImpl> impl_;
  const ScanOptions options_;
  BucketWalk walk_;
  std::vector<EntryRef> listed_;  // and not returned yet
};

}  // namespace internal

Scan::Scan(std::unique_ptr<ScanState> state) : state_(std::move(state)) {}
Scan::Scan(Scan&& other) noexcept = default;
Scan& Scan::operator=(Scan&& other) noexcept = default;
Scan::~Scan() = default;

bool Scan::is_done() const noexcept { return state_ == nullptr || state_->is_done(); }

Result<std::vector<ScanItem>> Scan::next(std::size_t limit) try {
  if (limit == 0) return make_error(StatusCode::kInvalidArgument, "a limit of 0 items");
  if (state_ == nullptr) return std::vector<ScanItem>();
  return state_->next(limit);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<Scan> Namespace::scan(ScanOptions options) const try {
  return Scan(std::make_unique<ScanState>(impl_, std::move(options)));
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::vector<std::string>> Namespace::list_keys() const try {
  NamespaceImpl& self = *impl_;
  std::vector<std::string> keys;
  BucketWalk walk(self.shards());
  std::vector<EntryRef> entries;
  while (!walk.is_done()) {
    Deadline deadline = self.deadline();
    OperationTime time(self.time());
    entries.clear();
    const StatusCode code = walk.next(deadline, time, "", entries);
    if (code != StatusCode::kOk) return self.error(code);
    for (const EntryRef& entry : entries) keys.emplace_back(entry->key());
  }
  return keys;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<uint64_t> Namespace::delete_prefix(std::string_view prefix) try {
  NamespaceImpl& self = *impl_;
  uint64_t removed = 0;
  BucketWalk walk(self.shards());
  std::vector<EntryRef> entries;
  std::vector<std::string_view> keys;
  while (!walk.is_done()) {
    Deadline deadline = self.deadline();
    OperationTime time(self.time());
    entries.clear();
    const StatusCode code = walk.next(deadline, time, prefix, entries);
    if (code != StatusCode::kOk) return self.error(code);
    keys.clear();
    for (const EntryRef& entry : entries) keys.push_back(entry->key());
    const BatchResult result = delete_multiple(keys, BatchMode::kBestEffort);
    removed += result.total_processed;
    if (!result.status.ok()) return result.status;
    // What timed out must not be passed over.
    for (const BatchItem& item : result.items) {
      if (is_error(item.code)) return self.error(item.code);
    }
  }
  return removed;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<uint64_t> Namespace::clear() { return impl_->clear(); }

}  // namespace rkvs
