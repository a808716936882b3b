// ShardSet: the shards of one namespace, and the guards that lock the right ones.
#ifndef RKVS_STORE_SHARD_SET_H_
#define RKVS_STORE_SHARD_SET_H_

#include <rkvs/options.h>
#include <rkvs/status.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "base/deadline.h"
#include "base/key_hash.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "store/callback_scope.h"
#include "store/routing.h"
#include "store/shard.h"

namespace rkvs::internal {

// Address space for kMaxShardCount shards, of which the system gives memory only for those in use:
// a shard never moves, and finding it is one addition.
//
// Locks are taken in ascending order of the shard index, those of several namespaces in ascending
// order of their id; never downwards.
class ShardSet {
 public:
  // NoMemory.
  static Result<std::unique_ptr<ShardSet>> create(uint32_t shard_count, const KeyHash& hash);
  ~ShardSet();
  ShardSet(const ShardSet&) = delete;
  ShardSet& operator=(const ShardSet&) = delete;

  [[gnu::always_inline]] HashedKey hashed(std::string_view key) const { return hash_(key); }

  Shard& operator[](uint32_t index) const { return shards_[index]; }
  Routing& routing() { return routing_; }
  const Routing& routing() const { return routing_; }

  // Makes the shards up to `count` usable. By one thread at a time, before routing leads to them.
  void construct_shards(uint32_t count);

  // Ends everything: from now on every guard answers `code`. Waits for the locks of all shards.
  void close(StatusCode code);
  // What guards answer when the set is closed.
  StatusCode closed_code() const { return closed_code_.load(std::memory_order_acquire); }
  // Frees all entries, at once or when the saves that are on have ended. After close().
  void clear();

  // The shards that there are, those of an ended resize included.
  uint32_t constructed() const { return constructed_.load(std::memory_order_acquire); }
  // Around each save. end_save() takes the save off all shards.
  void begin_save();
  void end_save(SaveMark& save);

 private:
  void clear_shards();

  ShardSet(Shard* shards, const RouteTable* table, uint32_t shard_count, const KeyHash& hash);

  Shard* const shards_;
  const KeyHash hash_;
  Routing routing_;
  std::atomic<uint32_t> constructed_{0};
  // Before any shard's lock.
  Mutex saves_mutex_;
  uint32_t saves_ RKVS_GUARDED_BY(saves_mutex_) = 0;
  bool clear_when_saved_ RKVS_GUARDED_BY(saves_mutex_) = false;
  std::atomic<StatusCode> closed_code_{StatusCode::kOk};
};

enum class Access { kRead, kWrite };

// The guards below lock what only run time knows, which Clang's analysis cannot follow: they opt
// out of it, and their users state what is held with `shard.mutex.assert_held()`.

template <Access kAccess>
[[nodiscard]] bool lock_shard(Shard& shard, Deadline& deadline) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  const uint32_t waits = deadline.waits();
  const bool locked = kAccess == Access::kWrite ? shard.mutex.lock_until(deadline)
                                                : shard.mutex.lock_shared_until(deadline);
  if (deadline.waits() != waits && (locked || !deadline.may_try_again())) [[unlikely]]
    shard.count_wait(locked);
  return locked;
}

template <Access kAccess>
void unlock_shard(Shard& shard) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  if (kAccess == Access::kWrite) {
    shard.mutex.unlock();
  } else {
    shard.mutex.unlock_shared();
  }
}

// Unlocks a shard that lock_shard() has locked.
template <Access kAccess>
class HeldShard {
 public:
  explicit HeldShard(Shard& shard) : shard_(shard) {}
  ~HeldShard() { unlock_shard<kAccess>(shard_); }
  HeldShard(const HeldShard&) = delete;
  HeldShard& operator=(const HeldShard&) = delete;

 private:
  Shard& shard_;
};

// For those who found that a bucket had moved while they locked: whether to give up. They may do so
// again and again without waiting for a lock, which is what starts a deadline's clock.
inline bool is_too_late(int tries, Deadline& deadline) {
  constexpr int kFree = 8;
  if (tries < kFree || Deadline::Clock::now() < deadline.when()) return false;
  deadline.give_up();
  return true;
}

// Holds the shard that a key is in.
template <Access kAccess>
class OwnerLock {
 public:
  OwnerLock(const ShardSet& set, const HashedKey& key, Deadline& deadline) {
    if (is_called_back() || !lock_at_once(set, key, shard_)) [[unlikely]]
      std::tie(shard_, code_) = lock_slowly(set, bucket_of(key.hash), deadline);
  }
  ~OwnerLock() { unlock(); }
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;

  bool held() const { return shard_ != nullptr; }
  // Why not: Timeout, WouldDeadlock, or the set's closed_code().
  StatusCode code() const { return code_; }
  Shard& shard() const { return *shard_; }
  void unlock() {
    if (shard_ != nullptr) unlock_shard<kAccess>(*shard_);
    shard_ = nullptr;
  }

  // What nearly every operation needs, in few instructions: locks the shard of the key, for those
  // who are in no callback. False: nothing is held, and whatever it was that it met is for the
  // constructor.
  static bool lock_at_once(const ShardSet& set, const HashedKey& key,
                           Shard*& shard) RKVS_NO_THREAD_SAFETY_ANALYSIS {
    const RouteTable* table = set.routing().settled_table();
    if (table == nullptr) [[unlikely]]
      return false;
    Shard& owner = set[(*table)[bucket_of(key.hash)]];
    // The line of the table comes while the lock is taken.
    owner.prefetch(key.hash);
    const bool locked =
        kAccess == Access::kWrite ? owner.mutex.try_lock() : owner.mutex.lock_shared_at_once();
    if (!locked) [[unlikely]]
      return false;
    if (set.routing().settled_table() != table) [[unlikely]] {
      unlock_shard<kAccess>(owner);
      return false;
    }
    shard = &owner;
    return true;
  }

 private:
  // The shard, or nullptr and why not.
  [[gnu::noinline]] static std::pair<Shard*, StatusCode> lock_slowly(const ShardSet& set,
                                                                     uint32_t bucket,
                                                                     Deadline& deadline) {
    if (is_called_back()) return {nullptr, StatusCode::kWouldDeadlock};
    for (int tries = 0;; ++tries) {
      const uint32_t index = set.routing().shard_of(bucket);
      if (index == Routing::kNoShard) return {nullptr, set.closed_code()};
      Shard& shard = set[index];
      if (!lock_shard<kAccess>(shard, deadline)) return {nullptr, StatusCode::kTimeout};
      if (set.routing().owns(index, bucket)) return {&shard, StatusCode::kOk};
      unlock_shard<kAccess>(shard);
      if (is_too_late(tries, deadline)) return {nullptr, StatusCode::kTimeout};
    }
  }

  Shard* shard_ = nullptr;
  StatusCode code_ = StatusCode::kOk;
};

// Which shards a batch needs.
class ShardMask {
 public:
  void add(uint32_t index) { words_[index / 64] |= uint64_t{1} << (index % 64); }
  void clear() { words_.fill(0); }
  template <typename Visit>  // bool(uint32_t index); ascending; ends at the first false
  bool for_each(Visit visit) const {
    for (uint32_t word = 0; word < words_.size(); ++word) {
      for (uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
        if (!visit(word * 64 + static_cast<uint32_t>(std::countr_zero(bits)))) return false;
      }
    }
    return true;
  }

 private:
  std::array<uint64_t, kMaxShardCount / 64> words_{};
};

// Holds the shards of a mask, all of them or none. Whether they are still the right ones is for
// the caller to check.
template <Access kAccess>
class GroupLock {
 public:
  GroupLock(const ShardSet& set, const ShardMask& mask, Deadline& deadline)
      : set_(set), mask_(mask) {
    uint32_t reached = 0;
    held_ = mask_.for_each([&](uint32_t index) {
      reached = index;
      return lock_shard<kAccess>(set_[index], deadline);
    });
    if (held_) return;
    mask_.for_each([&](uint32_t index) {
      if (index == reached) return false;
      unlock_shard<kAccess>(set_[index]);
      return true;
    });
  }
  ~GroupLock() { unlock(); }
  GroupLock(const GroupLock&) = delete;
  GroupLock& operator=(const GroupLock&) = delete;

  // If not: the deadline passed.
  bool held() const { return held_; }
  void unlock() {
    if (!held_) return;
    held_ = false;
    mask_.for_each([&](uint32_t index) {
      unlock_shard<kAccess>(set_[index]);
      return true;
    });
  }

 private:
  const ShardSet& set_;
  const ShardMask& mask_;
  bool held_ = false;
};

// Holds every shard that may have data, also while a resize is on: one instant of the namespace.
template <Access kAccess>
class AllLock {
 public:
  AllLock(const ShardSet& set, Deadline& deadline) : set_(set) {
    if (is_called_back()) {
      fail(StatusCode::kWouldDeadlock);
      return;
    }
    // A resize may begin meanwhile and bring more shards; with all the old ones held it cannot
    // bring anything into them.
    while (locked_ < set_.routing().shard_count()) {
      if (!lock_shard<kAccess>(set_[locked_], deadline)) {
        fail(StatusCode::kTimeout);
        return;
      }
      ++locked_;
    }
    if (set_.routing().is_closed()) fail(set_.closed_code());
  }
  ~AllLock() { release(); }
  AllLock(const AllLock&) = delete;
  AllLock& operator=(const AllLock&) = delete;

  bool held() const { return code_ == StatusCode::kOk; }
  // Why not: Timeout, WouldDeadlock, or the set's closed_code().
  StatusCode code() const { return code_; }
  // How many shards are held, from the first on.
  uint32_t count() const { return locked_; }

 private:
  void fail(StatusCode code) {
    code_ = code;
    release();
  }
  void release() {
    while (locked_ > 0) unlock_shard<kAccess>(set_[--locked_]);
  }

  const ShardSet& set_;
  uint32_t locked_ = 0;
  StatusCode code_ = StatusCode::kOk;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_SHARD_SET_H_
