#include "cli/salvage_payload.h"

#include <algorithm>
#include <string>

#include "snapshot/snapshot_generated.h"

namespace rkvs::cli {
namespace {

namespace fb = internal::fb;

// The frame's table, verified; nullptr where there is none.
const fb::Frame* frame_of(std::string_view payload) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()), payload.size(),
                                 internal::kVerifierMaxDepth, internal::kVerifierMaxTables);
  return fb::VerifyFrameBuffer(verifier) ? fb::GetFrame(payload.data()) : nullptr;
}

// The verifier leaves the alignment of 64-bit elements to us.
template <typename T>
bool is_column(const flatbuffers::Vector<T>* column, size_t size) {
  return column == nullptr ||
         (column->size() == size &&
          reinterpret_cast<uintptr_t>(column->Data()) % internal::kPayloadAlignment == 0);
}

bool are_ends(const flatbuffers::Vector<uint32_t>& ends, uint64_t limit, uint64_t total) {
  uint32_t previous = 0;
  for (const uint32_t end : ends) {
    if (end < previous || end - previous > limit) return false;
    previous = end;
  }
  return previous == total;
}

}  // namespace

std::optional<LoneHeader> decode_header(std::string_view payload) {
  const fb::Frame* frame = frame_of(payload);
  const fb::Header* body = frame == nullptr ? nullptr : frame->body_as_Header();
  if (body == nullptr) return std::nullopt;
  LoneHeader lone;
  lone.format_version = body->format_version();
  if (lone.format_version != internal::kSnapshotFormatVersion) return lone;
  lone.header.created_unix_ms = body->created_unix_ms();
  if (body->library_version() != nullptr) {
    lone.header.library_version = body->library_version()->str();
  }
  lone.header.max_namespaces = body->max_namespaces();
  lone.header.max_bytes = body->max_bytes();
  lone.header.namespace_count = body->namespace_count();
  if (internal::complaint_about(lone.header) != nullptr) return std::nullopt;
  return lone;
}

std::optional<internal::SnapshotNamespace> decode_namespace(std::string_view payload) {
  const fb::Frame* frame = frame_of(payload);
  const fb::Namespace* body = frame == nullptr ? nullptr : frame->body_as_Namespace();
  if (body == nullptr) return std::nullopt;
  internal::SnapshotNamespace info;
  info.name = body->name()->str();
  info.max_keys = body->max_keys();
  info.max_value_size = body->max_value_size();
  info.max_bytes = body->max_bytes();
  info.max_key_size = body->max_key_size();
  info.shard_count = body->shard_count();
  info.shards_in_use = body->shards_in_use();
  info.lock_timeout_ms = body->lock_timeout_ms();
  if (const fb::Autosave* autosave = body->autosave()) {
    info.autosave = {autosave->interval_ms(), autosave->changes(), autosave->pattern()->str()};
  }
  info.entry_count = body->entry_count();
  info.value_bytes = body->value_bytes();
  info.last_version = body->last_version();
  if (internal::complaint_about(info) != nullptr) return std::nullopt;
  return info;
}

std::optional<LoneFooter> decode_footer(std::string_view payload) {
  const fb::Frame* frame = frame_of(payload);
  const fb::Footer* body = frame == nullptr ? nullptr : frame->body_as_Footer();
  if (body == nullptr || !is_column(body->namespaces(), body->namespaces()->size())) {
    return std::nullopt;
  }
  LoneFooter footer;
  for (const fb::NamespaceTotals* totals : *body->namespaces()) {
    footer.totals.push_back({totals->entries(), totals->key_bytes(), totals->value_bytes()});
  }
  footer.frame_count = body->frame_count();
  return footer;
}

std::optional<LoneChunk> decode_chunk(std::string_view payload) {
  const fb::Frame* frame = frame_of(payload);
  const fb::Chunk* body = frame == nullptr ? nullptr : frame->body_as_Chunk();
  if (body == nullptr) return std::nullopt;
  const size_t size = body->key_ends()->size();
  const auto* versions = body->versions();
  const auto* expiries = body->expiries();
  if (size == 0 || (size > 1 && payload.size() > internal::kMaxChunkSize) ||
      body->value_ends()->size() != size || !is_column(versions, size) ||
      !is_column(expiries, size) ||
      !are_ends(*body->key_ends(), internal::kMaxSnapshotKeySize, body->keys()->size()) ||
      !are_ends(*body->value_ends(), internal::kMaxSnapshotValueSize, body->values()->size())) {
    return std::nullopt;
  }
  LoneChunk chunk;
  chunk.size_ = size;
  chunk.namespace_index_ = body->namespace_index();
  chunk.key_ends_ = body->key_ends()->data();
  chunk.value_ends_ = body->value_ends()->data();
  chunk.versions_ = versions == nullptr ? nullptr : versions->data();
  chunk.expiries_ = expiries == nullptr ? nullptr : expiries->data();
  chunk.keys_ = reinterpret_cast<const char*>(body->keys()->data());
  chunk.values_ = reinterpret_cast<const char*>(body->values()->data());
  for (size_t i = 0; i < size; ++i) {
    const internal::SnapshotEntry entry = chunk.entry(i);
    if (entry.version > internal::kMaxSnapshotVersion || entry.expires_at_ms < 0) {
      return std::nullopt;
    }
  }
  return chunk;
}

}  // namespace rkvs::cli
