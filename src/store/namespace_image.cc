#include "store/namespace_image.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/schedule.h"

namespace rkvs::internal {

using AllWriteLock = AllLock<Access::kWrite>;

Result<std::span<Entry* const>> NamespaceImage::entries(uint32_t shard) {
  ShardImage& image = images_[shard];
  const Shard& from = impl_->shards()[shard];
  bool selects = false;
  uint64_t held_version = 0;
  {
    const ReaderLock lock(from.mutex);
    if (image.pending) {
      image.entries.swap(buffer_);
      if (!from.copy_image(image)) return StatusCode::kNoMemory;
      image.pending = false;
      selects = from.has_news(image);
      held_version = image.held_version;
      // Before anybody can remove one of the entries that are looked at below.
      if (selects) image.save->selecting.store(true, std::memory_order_relaxed);
    }
  }
  if (selects) {
    RKVS_SCHEDULE_POINT();
    image.select(held_version);
    RKVS_SCHEDULE_POINT();
    image.save->selecting.store(false, std::memory_order_release);
  }
  return std::span<Entry* const>(image.entries);
}

void NamespaceImage::release(uint32_t shard) {
  ShardImage& image = images_[shard];
  if (image.entries.capacity() > buffer_.capacity()) image.entries.swap(buffer_);
  image.entries = std::vector<Entry*>();
  Shard& from = impl_->shards()[shard];
  const WriterLock lock(from.mutex);
  from.detach_done(image);
}

Result<std::unique_ptr<Cut>> Cut::take(std::vector<std::shared_ptr<NamespaceImpl>> namespaces) {
  if (is_called_back()) return StatusCode::kWouldDeadlock;
  try {
    std::sort(namespaces.begin(), namespaces.end(),
              [](const auto& a, const auto& b) { return a->id() < b->id(); });
    std::unique_ptr<Cut> cut(new Cut);
    cut->namespaces_.reserve(namespaces.size());
    for (auto& impl : namespaces) {
      NamespaceImage image;
      image.name = impl->name();
      image.config = impl->get_config();
      impl->shards().begin_save();
      image.impl_ = std::move(impl);
      cut->namespaces_.push_back(std::move(image));
    }
    for (;;) {
      for (NamespaceImage& image : cut->namespaces_) {
        const uint32_t needed = image.impl_->shards().routing().shard_count();
        if (image.capacity_ >= needed) continue;
        image.images_ = std::make_unique<ShardImage[]>(needed);
        image.capacity_ = needed;
      }
      const StatusCode code = cut->attach_all();
      if (code == StatusCode::kBusy) continue;
      if (code != StatusCode::kOk) {
        return make_error(code,
                          "the longest lock_timeout of the namespaces passed before all were "
                          "locked for an instant");
      }
      break;
    }
    // What was deleted is not part of it. What was closed was closed with everything else: a file
    // without it would be taken for a store without it.
    for (const NamespaceImage& image : cut->namespaces_) {
      const StatusCode code = image.impl_->shards().closed_code();
      if (image.attached_ == 0 && code != StatusCode::kNamespaceDeleted) {
        return image.impl_->error(code);
      }
    }
    std::erase_if(cut->namespaces_, [](NamespaceImage& image) {
      if (image.attached_ != 0) return false;
      // Not with the cut's own mark, which would end the saves of the others.
      SaveMark nothing;
      image.impl_->shards().end_save(nothing);
      return true;
    });
    return cut;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

StatusCode Cut::attach_all() {
  std::chrono::nanoseconds longest{0};
  for (const NamespaceImage& image : namespaces_) {
    longest = std::max<std::chrono::nanoseconds>(longest, image.config.lock_timeout);
  }
  Deadline deadline(longest);
  std::vector<std::unique_ptr<AllWriteLock>> locks;
  locks.reserve(namespaces_.size());
  for (const NamespaceImage& image : namespaces_) {
    locks.push_back(std::make_unique<AllWriteLock>(image.impl_->shards(), deadline));
    if (locks.back()->code() == StatusCode::kTimeout) return StatusCode::kTimeout;
    if (locks.back()->count() > image.capacity_) return StatusCode::kBusy;
  }
  const TimeSource& time = namespaces_.empty() ? TimeSource::real() : namespaces_[0].impl_->time();
  steady_ms_ = time.steady_ms();
  unix_ms_ = time.unix_ms();
  for (size_t n = 0; n < namespaces_.size(); ++n) {
    NamespaceImage& image = namespaces_[n];
    if (!locks[n]->held()) continue;  // deleted or closed
    ShardSet& shards = image.impl_->shards();
    for (uint32_t i = 0; i < locks[n]->count(); ++i) {
      Shard& shard = shards[i];
      shard.mutex.assert_held();
      shard.attach(image.images_[i], mark_);
      const ShardUsage usage = shard.usage();
      image.keys += usage.keys;
      image.value_bytes += usage.value_bytes;
      image.last_version = std::max(image.last_version, shard.last_version());
    }
    image.attached_ = locks[n]->count();
    image.shards_in_use = shards.routing().shard_count();
    // The limit may have changed since the configuration was copied; this is its value now.
    image.config.max_keys = image.impl_->usage().max_keys();
    image.config.max_bytes = image.impl_->usage().max_bytes();
  }
  return StatusCode::kOk;
}

Cut::~Cut() {
  for (NamespaceImage& image : namespaces_) image.impl_->shards().end_save(mark_);
}

}  // namespace rkvs::internal
