#include "cli/salvage_plan.h"

#include <utility>

#include "store/namespace_impl.h"

namespace rkvs::cli {

using internal::FrameKind;

bool SalvagePlan::take(const FoundFrame& frame, std::string_view payload) {
  if (frame.header.sequence != next_sequence_) {
    certain_ = false;
    loose_ += std::exchange(unresolved_, 0);
  }
  bool good = false;
  switch (frame.header.kind) {
    case FrameKind::kHeader: good = take_header(payload); break;
    case FrameKind::kNamespace: good = take_namespace(payload); break;
    case FrameKind::kChunk: good = take_chunk(frame, payload); break;
    case FrameKind::kFooter: good = take_footer(frame, payload); break;
  }
  // One that is not taken is lost: the next does not follow immediately.
  if (good) next_sequence_ = uint64_t{frame.header.sequence} + 1;
  return good;
}

bool SalvagePlan::take_header(std::string_view payload) {
  auto lone = decode_header(payload);
  if (!lone.has_value()) return false;
  if (lone->format_version != internal::kSnapshotFormatVersion) {
    unknown_version_ = lone->format_version;
    return false;
  }
  header_ = std::move(lone->header);
  return true;
}

bool SalvagePlan::take_namespace(std::string_view payload) {
  auto info = decode_namespace(payload);
  if (!info.has_value() || !internal::validate_namespace_name(info->name).ok() ||
      !names_.insert(info->name).second) {
    return false;
  }
  SalvagedNamespace ns;
  ns.info = *std::move(info);
  if (certain_) {
    ns.index = count_++;
  } else {
    ++unresolved_;
  }
  namespaces_.push_back(std::move(ns));
  return true;
}

bool SalvagePlan::resolve(uint64_t end) {
  const uint64_t open = loose_ + unresolved_;
  if (end < count_ + open) return false;
  // Where they fill all places there are, none is lost between them.
  const uint64_t known = end == count_ + open ? open : unresolved_;
  for (uint64_t i = 0; i < known; ++i) {
    namespaces_[namespaces_.size() - 1 - i].index = end - 1 - i;
  }
  loose_ = 0;
  unresolved_ = 0;
  count_ = end;
  certain_ = true;
  return true;
}

bool SalvagePlan::take_chunk(const FoundFrame& frame, std::string_view payload) {
  const auto chunk = decode_chunk(payload);
  if (!chunk.has_value()) return false;
  const uint64_t index = chunk->namespace_index();
  if (certain_ && index + 1 != count_) return false;
  if (!certain_) {
    const bool nameless = unresolved_ == 0 && index + 1 != count_ + loose_;
    if (!resolve(index + 1)) return false;
    if (nameless) {
      SalvagedNamespace ns;
      ns.index = index;
      namespaces_.push_back(std::move(ns));
    }
  }
  // The namespace at count_ - 1 is always the last in the list.
  namespaces_.back().chunks.push_back(frame);
  return true;
}

bool SalvagePlan::take_footer(const FoundFrame& frame, std::string_view payload) {
  auto footer = decode_footer(payload);
  if (!footer.has_value() || footer->frame_count != frame.header.sequence) return false;
  const uint64_t count = footer->totals.size();
  if (certain_ ? count != count_ : !resolve(count)) return false;
  footer_ = *std::move(footer);
  return true;
}

}  // namespace rkvs::cli
