#include "store/resizer.h"

#include <algorithm>
#include <new>

namespace rkvs::internal {
namespace {

// What an insert does for a resize that is on. A resize to four times the shards moves three
// quarters of the entries and begins when the namespace is a quarter as large as it will be at the
// next one: one moved entry for each insert would be enough, and the rest is spare.
constexpr StepBudget kHelpBudget = {8, 16};
// What resize() does before it lets others have a turn at the resize.
constexpr StepBudget kResizeBudget = {256, 4096};
// Inserts into one source while its buckets move; more only make it look again.
constexpr size_t kJournalCapacity = 4096;

}  // namespace

Resizer::Resizer(ShardSet& shards, bool automatic) : shards_(shards), automatic_(automatic) {}

void Resizer::help() {
  if (!mutex_.try_lock()) return;
  if (!shards_.routing().is_closed()) {
    if (!active_ && is_automatic()) {
      const uint32_t present = shards_.routing().shard_count();
      const auto* next = std::upper_bound(kAutomaticShardCounts.begin(),
                                          kAutomaticShardCounts.end(), present);
      if (next != kAutomaticShardCounts.end()) static_cast<void>(begin(*next));
    }
    if (active_) static_cast<void>(step(kHelpBudget));
  }
  mutex_.unlock();
  TableMemory::free_dropped();
}

StatusCode Resizer::resize(uint32_t shard_count) {
  const bool was_automatic = is_automatic();
  StatusCode code = StatusCode::kOk;
  bool begun = false;
  for (bool done = false; !done;) {
    {
      const MutexLock lock(mutex_);
      const Routing& routing = shards_.routing();
      if (routing.is_closed()) {
        code = shards_.closed_code();
        done = true;
      } else if (active_) {
        // Ours, or one that was on before and must end first.
        const Progress progress = step(kResizeBudget);
        if (progress == Progress::kNoMemory) {
          code = StatusCode::kNoMemory;
          done = true;
        }
      } else if (begun || shard_count == 0 || routing.shard_count() == shard_count) {
        automatic_.store(shard_count == 0, std::memory_order_relaxed);
        done = true;
      } else {
        automatic_.store(false, std::memory_order_relaxed);
        code = begin(shard_count);
        begun = true;
        done = code != StatusCode::kOk;
      }
    }
    TableMemory::free_dropped();
  }
  // What was asked for is not in force, so a namespace that grew by itself still does.
  if (code != StatusCode::kOk) automatic_.store(was_automatic, std::memory_order_relaxed);
  return code;
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
    // Counting sort of the moving buckets by the shard that they leave.
    leaving_.assign(from_count_ + 1, 0);
    for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
      if ((*from_)[bucket] != (*to_)[bucket]) ++leaving_[(*from_)[bucket] + 1];
    }
    for (uint32_t i = 0; i < from_count_; ++i) leaving_[i + 1] += leaving_[i];
    buckets_.resize(leaving_[from_count_]);
    std::vector<uint32_t> cursor(leaving_.begin(), leaving_.end() - 1);
    for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
      const uint32_t shard = (*from_)[bucket];
      if (shard != (*to_)[bucket]) buckets_[cursor[shard]++] = static_cast<uint16_t>(bucket);
    }
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
  shards_.construct_shards(to);
  routing.begin(to_, std::max(from_count_, to_count_));
  source_ = 0;
  next_ = 0;
  gathered_ = false;
  active_ = true;
  return StatusCode::kOk;
}

Resizer::Progress Resizer::step(StepBudget budget) {
  size_t buckets = 0;
  size_t entries = 0;
  while (buckets < budget.buckets && entries < budget.entries) {
    if (source_ == from_count_) {
      finish();
      return Progress::kDone;
    }
    if (next_ == leaving_[source_ + 1]) {
      leave_source();
      continue;
    }
    if (!gathered_) {
      if (!gather()) return Progress::kNoMemory;
      // Looking through a whole shard is a step of its own, one bucket aside: so a journal that
      // overflows each time cannot keep the resize from getting on.
      buckets = budget.buckets - 1;
    }
    if (!move_bucket(buckets_[next_], &entries)) return Progress::kNoMemory;
    if (gathered_) ++next_;
    ++buckets;
  }
  return Progress::kMore;
}

bool Resizer::gather() {
  Shard& source = shards_[source_];
  const uint32_t first = next_;
  const uint32_t last = leaving_[source_ + 1];
  try {
    std::vector<uint64_t> journal;
    journal.reserve(kJournalCapacity);
    {
      const WriterLock lock(source.mutex);
      if (!source.start_journal(std::move(journal))) return false;
    }
    // Which of the leaving buckets a bucket is.
    static_assert(kBucketCount - 1 <= UINT16_MAX);
    std::vector<uint16_t> position(kBucketCount);
    for (uint32_t i = first; i < last; ++i) {
      position[buckets_[i]] = static_cast<uint16_t>(i - first);
    }
    const auto leaves = [&to = *to_, here = source_](uint64_t hash) {
      return to[bucket_of(hash)] != here;
    };

    std::vector<uint64_t> found;
    for (bool complete = false; !complete;) {
      size_t size = 0;
      {
        const ReaderLock lock(source.mutex);
        size = source.size();
      }
      found.clear();
      found.reserve(size + size / 8 + 64);
      complete = true;
      const ReaderLock lock(source.mutex);
      source.for_each([&](uint64_t hash, Entry*) {
        if (!leaves(hash)) return;
        if (found.size() < found.capacity()) {
          found.push_back(hash);
        } else {
          complete = false;  // it grew a lot in between
        }
      });
    }

    offsets_.assign(last - first + 1, 0);
    for (const uint64_t hash : found) ++offsets_[position[bucket_of(hash)] + 1U];
    for (uint32_t i = 0; i < last - first; ++i) offsets_[i + 1] += offsets_[i];
    hashes_.resize(found.size());
    std::vector<uint32_t> cursor(offsets_.begin(), offsets_.end() - 1);
    for (const uint64_t hash : found) hashes_[cursor[position[bucket_of(hash)]]++] = hash;
  } catch (const std::bad_alloc&) {
    return false;
  }
  // From here on next_ counts from the first of the list.
  leaving_[source_] = first;
  gathered_ = true;
  return true;
}

bool Resizer::move_bucket(uint32_t bucket, size_t* moved) {
  Shard& source = shards_[source_];
  Shard& target = shards_[(*to_)[bucket]];
  const bool source_first = source_ < (*to_)[bucket];
  Shard& lower = source_first ? source : target;
  Shard& upper = source_first ? target : source;
  const uint32_t position = next_ - leaving_[source_];
  for (;;) {
    size_t spare = 0;
    {
      const WriterLock lock_lower(lower.mutex);
      const WriterLock lock_upper(upper.mutex);
      source.mutex.assert_held();
      target.mutex.assert_held();
      bool lost = false;
      const std::vector<uint64_t>& journal = source.journal(&lost);
      if (lost) {
        gathered_ = false;
        return true;
      }
      size_t count = offsets_[position + 1] - offsets_[position];
      for (const uint64_t hash : journal) count += bucket_of(hash) == bucket ? 1 : 0;
      spare = target.spare_needed(count);
      if (spare == 0 || TableMemory::has_spare(spare)) {
        if (!source.prepare_write(0) || !target.prepare_write(0) ||
            !source.share_images(target) || !source.prepare_move(target)) {
          return false;
        }
        target.make_room(count);
        target.raise_version(source.last_version());
        for (uint32_t i = offsets_[position]; i < offsets_[position + 1]; ++i) {
          source.move_entries(hashes_[i], target);
        }
        for (const uint64_t hash : journal) {
          if (bucket_of(hash) == bucket) source.move_entries(hash, target);
        }
        shards_.routing().bucket_moved(bucket);
        *moved += count;
        return true;
      }
    }
    if (!TableMemory::add_spare(spare)) return false;
  }
}

void Resizer::leave_source() {
  if (gathered_) {
    Shard& source = shards_[source_];
    const WriterLock lock(source.mutex);
    source.stop_journal();
    if (source_ >= to_count_) source.drop_empty_table();
  }
  gathered_ = false;
  ++source_;
}

void Resizer::finish() {
  shards_.routing().end(to_count_);
  active_ = false;
  buckets_ = {};
  leaving_ = {};
  hashes_ = {};
  offsets_ = {};
}

}  // namespace rkvs::internal
