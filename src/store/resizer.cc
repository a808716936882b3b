#include "store/resizer.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <span>

#include "store/byte_charge.h"

namespace rkvs::internal {
namespace {

// What an insert does for a resize that is on. A resize to four times the shards moves three
// quarters of the entries and begins when the namespace is a quarter as large as it will be at the
// next one: one moved entry for each insert would be enough, and the rest is spare.
constexpr StepBudget kHelpBudget = {8, 16};
// What resize() does before it lets others have a turn at the resize.
constexpr StepBudget kResizeBudget = {256, 4096};
// How long an insert into a shard that is too full waits for its turn to help. A turn takes some
// microseconds; it takes longer only where its thread has lost the processor.
constexpr std::chrono::milliseconds kLongestTurn{10};
// Entries that are looked at with the source's lock held: some 20 us.
constexpr size_t kScanSlice = 4096;
// Inserts that are put into the lists with both locks held; more are sorted in between.
constexpr size_t kFewInserts = 256;

}  // namespace

Resizer::Resizer(ShardSet& shards, Usage& usage, bool automatic)
    : shards_(shards), usage_(usage), automatic_(automatic) {}

void Resizer::help(size_t shard_size) {
  if (!mutex_.try_lock()) {
    // Somebody else is at it. Wait for a turn only where the shard runs ahead of the resize.
    if (shard_size <= kFullShard) return;
    Deadline turn(kLongestTurn);
    if (!mutex_.lock_until(turn)) return;
  }
  if (!shards_.routing().is_closed()) {
    if (!active_ && is_automatic()) {
      const uint32_t present = shards_.routing().shard_count();
      const auto* next =
          std::upper_bound(kAutomaticShardCounts.begin(), kAutomaticShardCounts.end(), present);
      if (next != kAutomaticShardCounts.end()) static_cast<void>(begin(*next));
    }
    if (active_) static_cast<void>(step(kHelpBudget));
  }
  mutex_.unlock();
  TableMemory::free_dropped();
}

StatusCode Resizer::resize(uint32_t shard_count, OperationMonitor& monitor) {
  const bool was_automatic = is_automatic();
  StatusCode code = StatusCode::kOk;
  bool begun = false;
  bool cancelled = false;
  Progress progress;
  for (bool done = false; !done;) {
    {
      const MutexLock lock(mutex_);
      const Routing& routing = shards_.routing();
      if (routing.is_closed()) {
        code = shards_.closed_code();
        done = true;
      } else if (active_) {
        // Ours, or one that was on before and must end first.
        if (begun && !cancelled && monitor.is_cancelled()) cancelled = turn_back();
        if (step(kResizeBudget) == Step::kNoMemory) {
          if (to_count_ == shard_count) automatic_.store(false, std::memory_order_relaxed);
          code = StatusCode::kNoMemory;
          done = true;
        }
        if (begun && !cancelled) progress.entries_done = scaled(progress.entries_total);
      } else if (cancelled || (!begun && monitor.is_cancelled())) {
        code = StatusCode::kCancelled;
        done = true;
      } else if (begun || shard_count == 0 || routing.shard_count() == shard_count) {
        automatic_.store(shard_count == 0, std::memory_order_relaxed);
        progress.entries_done = progress.entries_total;
        done = true;
      } else {
        automatic_.store(false, std::memory_order_relaxed);
        code = begin(shard_count);
        begun = true;
        done = code != StatusCode::kOk;
      }
    }
    TableMemory::free_dropped();
    if (begun && progress.entries_total == 0) progress.entries_total = count_entries();
    if (begun && !cancelled && !done) monitor.report(progress);
  }
  // Not in force and not on its way either: a namespace that grew by itself still does.
  if (code != StatusCode::kOk && !is_moving_to(shard_count)) {
    automatic_.store(was_automatic, std::memory_order_relaxed);
  }
  if (code == StatusCode::kOk) monitor.report_end(progress);
  return code;
}

// What part of `entries` the buckets that have moved stand for.
uint64_t Resizer::scaled(uint64_t entries) const {
  if (!active_) return entries;
  return buckets_.empty() ? 0
                          : static_cast<uint64_t>(static_cast<double>(entries) * next_ /
                                                  static_cast<double>(buckets_.size()));
}

uint64_t Resizer::count_entries() const {
  uint64_t entries = 0;
  for (uint32_t i = 0; i < shards_.routing().shard_count(); ++i) {
    const ReaderLock lock(shards_[i].mutex);
    entries += shards_[i].size();
  }
  return entries;
}

void Resizer::close(StatusCode code) {
  const MutexLock lock(mutex_);
  shards_.close(code);
  active_ = false;
}

StatusCode Resizer::begin(uint32_t to) {
  Routing& routing = shards_.routing();
  from_ = routing.table();
  to_ = route_table(to);
  if (to_ == nullptr || !routing.prepare()) return StatusCode::kNoMemory;
  from_count_ = routing.shard_count();
  to_count_ = to;
  try {
    sort_buckets([this](uint32_t bucket)
                     RKVS_NO_THREAD_SAFETY_ANALYSIS { return (*from_)[bucket] != (*to_)[bucket]; });
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
  shards_.construct_shards(to);
  routing.begin(to_, std::max(from_count_, to_count_));
  source_ = 0;
  next_ = 0;
  phase_ = Phase::kBegin;
  turned_back_ = false;
  active_ = true;
  return StatusCode::kOk;
}

bool Resizer::turn_back() {
  std::swap(from_, to_);
  std::swap(from_count_, to_count_);
  try {
    sort_buckets([this](uint32_t bucket) { return shards_.routing().has_moved(bucket); });
  } catch (const std::bad_alloc&) {
    std::swap(from_, to_);
    std::swap(from_count_, to_count_);
    return false;  // goes on as it was; the next step tries again
  }
  if (source_ < to_count_) {
    const WriterLock lock(shards_[source_].mutex);
    shards_[source_].stop_journal();
  }
  source_ = 0;
  next_ = 0;
  phase_ = Phase::kBegin;
  turned_back_ = true;
  return true;
}

template <typename Moves>
void Resizer::sort_buckets(Moves moves) {
  // Counting sort, into new vectors: the present ones stay as they are where there is no memory.
  std::vector<uint32_t> leaving(from_count_ + 1, 0);
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    if (moves(bucket)) ++leaving[(*from_)[bucket] + 1];
  }
  for (uint32_t i = 0; i < from_count_; ++i) leaving[i + 1] += leaving[i];
  std::vector<uint16_t> buckets(leaving[from_count_]);
  std::vector<uint32_t> cursor(leaving.begin(), leaving.end() - 1);
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    if (moves(bucket)) buckets[cursor[(*from_)[bucket]]++] = static_cast<uint16_t>(bucket);
  }
  leaving_.swap(leaving);
  buckets_.swap(buckets);
}

Resizer::Step Resizer::step(StepBudget budget) try {
  size_t buckets = 0;
  size_t entries = 0;
  while (buckets < budget.buckets && entries < budget.entries) {
    if (source_ == from_count_) {
      finish();
      return Step::kDone;
    }
    if (next_ == leaving_[source_ + 1]) {
      leave_source();
      continue;
    }
    switch (phase_) {
      case Phase::kBegin:
        if (!begin_source()) return Step::kNoMemory;
        break;
      case Phase::kScan:
        // A slice is a step of its own.
        scan_slice();
        entries += budget.entries;
        break;
      case Phase::kMove:
        if (!move_bucket(buckets_[next_], &entries)) return Step::kNoMemory;
        ++buckets;
        break;
    }
  }
  return Step::kMore;
} catch (const std::bad_alloc&) {
  // What the scan has found may not be in the lists, and it has gone on: look again.
  if (phase_ == Phase::kScan) phase_ = Phase::kBegin;
  return Step::kNoMemory;
}

bool Resizer::begin_source() {
  lists_.reset(std::span(buckets_).subspan(next_, leaving_[source_ + 1] - next_));
  journal_.clear();
  Shard& source = shards_[source_];
  const WriterLock lock(source.mutex);
  if (!source.start_journal()) return false;
  phase_ = Phase::kScan;
  return true;
}

void Resizer::scan_slice() {
  Shard& source = shards_[source_];
  found_.clear();
  found_.reserve(kScanSlice + EntryTable::kScanExcess);
  bool more = false;
  {
    const ReaderLock lock(source.mutex);
    more = source.scan_hashes(kScanSlice, found_);
  }
  lists_.reserve(found_.size());
  lists_.add(found_);
  if (!more) phase_ = Phase::kMove;
}

void Resizer::absorb_journal() {
  lists_.reserve(journal_.size() + kFewInserts);
  lists_.add(journal_);
  journal_.clear();
}

bool Resizer::move_bucket(uint32_t bucket, size_t* moved) {
  Shard& source = shards_[source_];
  Shard& target = shards_[(*to_)[bucket]];
  const bool source_first = source_ < (*to_)[bucket];
  Shard& lower = source_first ? source : target;
  Shard& upper = source_first ? target : source;
  for (;;) {
    absorb_journal();
    size_t spare = 0;
    bool moved_one = false;
    {
      const WriterLock lock_lower(lower.mutex);
      const WriterLock lock_upper(upper.mutex);
      source.mutex.assert_held();
      target.mutex.assert_held();
      if (!source.swap_journal(journal_)) {
        phase_ = Phase::kBegin;  // an insert found no memory to be noted
        return true;
      }
      if (journal_.size() > kFewInserts) continue;
      lists_.add(journal_);
      journal_.clear();
      const size_t count = lists_.count(bucket);
      spare = target.spare_needed(count);
      if (spare == 0 || TableMemory::has_spare(spare)) {
        // A resize is never refused for lack of bytes, but they are counted.
        const ByteCharge source_charge(usage_, source);
        const ByteCharge target_charge(usage_, target);
        if (!source.complete_images(0) || !target.complete_images(0) ||
            !source.share_images(target) || !source.prepare_move(target, count)) {
          return false;
        }
        lists_.for_each(bucket, [&](uint64_t hash) RKVS_NO_THREAD_SAFETY_ANALYSIS {
          if (const Entry* entry = source.candidate(hash)) __builtin_prefetch(entry, 1);
        });
        target.make_room(count);
        target.raise_version(source.last_version());
        lists_.for_each(bucket, [&](uint64_t hash) RKVS_NO_THREAD_SAFETY_ANALYSIS {
          source.move_entries(hash, target);
        });
        lists_.drop(bucket);
        if (turned_back_) {
          shards_.routing().bucket_moved_back(bucket);
        } else {
          shards_.routing().bucket_moved(bucket);
        }
        ++next_;
        *moved += count;
        moved_one = true;
      }
    }
    if (moved_one) {
      prefetch_next();
      return true;
    }
    if (!TableMemory::add_spare(spare)) return false;
  }
}

// Most of the time of a move goes by in waiting for memory: what the next one will look at first
// comes while others have the locks.
void Resizer::prefetch_next() const {
  if (next_ == leaving_[source_ + 1]) return;
  const uint32_t bucket = buckets_[next_];
  const Shard& source = shards_[source_];
  const Shard& target = shards_[(*to_)[bucket]];
  lists_.for_each(bucket, [&](uint64_t hash) {
    source.prefetch_move(hash);
    target.prefetch_move(hash);
  });
}

void Resizer::leave_source() {
  if (phase_ != Phase::kBegin) {
    Shard& source = shards_[source_];
    const WriterLock lock(source.mutex);
    const ByteCharge charge(usage_, source);
    source.stop_journal();
    if (source_ >= to_count_) source.give_back_if_empty();
  }
  phase_ = Phase::kBegin;
  ++source_;
}

void Resizer::finish() {
  if (turned_back_) {
    shards_.routing().end_unmoved(to_count_);
  } else {
    shards_.routing().end(to_count_);
  }
  active_ = false;
  buckets_ = {};
  leaving_ = {};
  lists_ = {};
  journal_ = {};
  found_ = {};
}

}  // namespace rkvs::internal
