#include "snapshot/writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "base/error.h"
#include "snapshot/snapshot_generated.h"

namespace rkvs::internal {
namespace {

template <typename T>
std::string_view as_bytes(const T* column, size_t size) {
  return {reinterpret_cast<const char*>(column), size * sizeof(T)};
}

size_t padding(size_t position, size_t alignment) {
  return (alignment - position % alignment) % alignment;
}

std::string_view finished_bytes(const flatbuffers::FlatBufferBuilder& builder) {
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

// One vector of a Chunk, whose elements stay where they are.
struct Column {
  flatbuffers::voffset_t field = 0;
  size_t element_size = 1;
  std::string_view elements = {};

  size_t slot_from_end = 0;  // where the field is, counted from the end of the tables
  std::string head = {};     // zeros for alignment, and the vector's length
};

// Lays out the payload of a chunk without copying a column. FlatBufferBuilder builds the two tables
// alone; the vectors follow behind them, each a length and its elements, and the tables' offsets to
// them are filled in afterwards. To readers this is a FlatBuffer like any other.
class ChunkLayout {
 public:
  // The pieces point into `columns`.
  ChunkLayout(uint32_t namespace_index, std::span<Column> columns) {
    using flatbuffers::uoffset_t;
    flatbuffers::FlatBufferBuilder builder(256);
    fb::ChunkBuilder chunk(builder);
    chunk.add_namespace_index(namespace_index);
    for (Column& column : columns) {
      builder.AddElement<uoffset_t>(column.field, /*placeholder*/ 1, /*default*/ 0);
      column.slot_from_end = builder.GetSize();
    }
    const auto body = chunk.Finish();
    fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, fb::Body::Chunk, body.Union()));
    tables_ = finished_bytes(builder);

    pieces_.push_back(tables_);
    size_t position = tables_.size();
    for (Column& column : columns) {
      // The length stands right before the elements, and both are aligned.
      const size_t pad =
          padding(position + sizeof(uoffset_t), std::max(sizeof(uoffset_t), column.element_size));
      const auto length = static_cast<uoffset_t>(column.elements.size() / column.element_size);
      column.head.assign(pad, '\0');
      column.head.append(reinterpret_cast<const char*>(&length), sizeof length);
      const size_t slot = tables_.size() - column.slot_from_end;
      const auto offset = static_cast<uoffset_t>(position + pad - slot);
      std::memcpy(tables_.data() + slot, &offset, sizeof offset);
      pieces_.push_back(column.head);
      pieces_.push_back(column.elements);
      position += column.head.size() + column.elements.size();
    }
  }

  const std::vector<std::string_view>& pieces() const { return pieces_; }

 private:
  std::string tables_;
  std::vector<std::string_view> pieces_;
};

}  // namespace

SnapshotWriter::SnapshotWriter(ByteSink& sink, size_t chunk_size)
    : sink_(sink),
      chunk_size_(std::clamp<size_t>(chunk_size, kEntryOverhead, kMaxChunkSize - 4096)) {}

void SnapshotWriter::Pending::allocate(size_t chunk_size) {
  const size_t most = chunk_size / kEntryOverhead;
  key_ends.reset(new uint32_t[most]);
  value_ends.reset(new uint32_t[most]);
  versions.reset(new uint64_t[most]);
  expiries.reset(new int64_t[most]);
  keys.reset(new char[chunk_size]);
  values.reset(new char[chunk_size]);
}

void SnapshotWriter::Pending::clear(size_t new_room) {
  room = new_room;
  size = 0;
  key_bytes = 0;
  value_bytes = 0;
  greatest_version = 0;
  expiry_bits = 0;
}

Status SnapshotWriter::fail(Status status) {
  pending_.clear(0);
  return status_ = std::move(status);
}

template <typename... Parts>
Status SnapshotWriter::refuse(const Parts&... parts) {
  return fail(make_error(StatusCode::kInternal, "snapshot writer: ", parts...));
}

Status SnapshotWriter::check(State expected, const char* call) {
  if (!status_.ok()) return status_;
  if (state_ != expected) return refuse(call, " out of order");
  return {};
}

Status SnapshotWriter::begin(const SnapshotHeader& header) try {
  if (Status s = check(State::kNew, "begin"); !s.ok()) return s;
  if (const char* complaint = complaint_about(header)) {
    return refuse(complaint);
  }
  flatbuffers::FlatBufferBuilder builder;
  const auto version = builder.CreateString(header.library_version);
  const auto body =
      fb::CreateHeader(builder, kSnapshotFormatVersion, header.created_unix_ms, version,
                       header.max_namespaces, header.max_bytes, header.namespace_count);
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, fb::Body::Header, body.Union()));
  announced_namespaces_ = header.namespace_count;
  state_ = State::kBetween;
  return write_frame(FrameKind::kHeader, {finished_bytes(builder)});
} catch (const std::bad_alloc&) {
  return fail(StatusCode::kNoMemory);
}

Status SnapshotWriter::begin_namespace(const SnapshotNamespace& info) try {
  if (Status s = check(State::kBetween, "begin_namespace"); !s.ok()) return s;
  if (const char* complaint = complaint_about(info)) return refuse(complaint);
  if (totals_.size() == announced_namespaces_) {
    return refuse("more namespaces than announced");
  }
  if (!names_.insert(info.name).second) {
    return refuse("namespace \"", info.name, "\" twice");
  }
  current_ = info;
  totals_.emplace_back();
  flatbuffers::FlatBufferBuilder builder;
  const auto name = builder.CreateString(info.name);
  flatbuffers::Offset<fb::Autosave> autosave;
  if (info.autosave) {
    const auto pattern = builder.CreateString(info.autosave->pattern);
    autosave =
        fb::CreateAutosave(builder, info.autosave->interval_ms, info.autosave->changes, pattern);
  }
  const auto body = fb::CreateNamespace(builder, name, info.max_keys, info.max_value_size,
                                        info.max_bytes, info.max_key_size, info.shard_count,
                                        info.shards_in_use, info.lock_timeout_ms, autosave,
                                        info.entry_count, info.value_bytes, info.last_version);
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, fb::Body::Namespace, body.Union()));
  state_ = State::kInNamespace;
  return write_frame(FrameKind::kNamespace, {finished_bytes(builder)});
} catch (const std::bad_alloc&) {
  return fail(StatusCode::kNoMemory);
}

Status SnapshotWriter::add_slowly(const SnapshotEntry& entry) try {
  if (Status s = check(State::kInNamespace, "add"); !s.ok()) return s;
  return add_entry(entry);
} catch (const std::bad_alloc&) {
  return fail(StatusCode::kNoMemory);
}

// The first entry of all, or one that does not fit in the pending chunk.
Status SnapshotWriter::add_entry(const SnapshotEntry& entry) {
  if (entry.key.size() > kMaxSnapshotKeySize) {
    return refuse("key of ", entry.key.size(), " bytes; the limit is ", kMaxSnapshotKeySize);
  }
  if (entry.value.size() > kMaxSnapshotValueSize) {
    return refuse("value of ", entry.value.size(), " bytes; the limit is ", kMaxSnapshotValueSize);
  }
  if (Status s = flush(); !s.ok()) return s;
  if (kEntryOverhead + entry.key.size() + entry.value.size() > chunk_size_) {
    return write_alone(entry);
  }
  if (pending_.keys == nullptr) pending_.allocate(chunk_size_);
  pending_.clear(chunk_size_);
  pending_.push(entry);
  return {};
}

Status SnapshotWriter::write_alone(const SnapshotEntry& entry) {
  const auto key_end = static_cast<uint32_t>(entry.key.size());
  const auto value_end = static_cast<uint32_t>(entry.value.size());
  ChunkView chunk;
  chunk.size = 1;
  chunk.greatest_version = entry.version;
  chunk.expiry_bits = entry.expires_at_ms;
  chunk.key_ends = &key_end;
  chunk.value_ends = &value_end;
  chunk.versions = &entry.version;
  chunk.expiries = &entry.expires_at_ms;
  chunk.keys = entry.key;
  chunk.values = entry.value;
  return write_chunk(chunk);
}

// Writes the pending chunk, if any. Nothing fits in afterwards.
Status SnapshotWriter::flush() {
  if (pending_.size == 0) return {};
  ChunkView chunk;
  chunk.size = pending_.size;
  chunk.greatest_version = pending_.greatest_version;
  chunk.expiry_bits = pending_.expiry_bits;
  chunk.key_ends = pending_.key_ends.get();
  chunk.value_ends = pending_.value_ends.get();
  chunk.versions = pending_.versions.get();
  chunk.expiries = pending_.expiries.get();
  chunk.keys = {pending_.keys.get(), pending_.key_bytes};
  chunk.values = {pending_.values.get(), pending_.value_bytes};
  Status s = write_chunk(chunk);
  pending_.clear(0);
  return s;
}

Status SnapshotWriter::write_chunk(const ChunkView& chunk) {
  if (chunk.expiry_bits < 0) return refuse("negative expiry");
  if (chunk.greatest_version > current_.last_version) {
    return refuse("version ", chunk.greatest_version, " over last_version ", current_.last_version);
  }
  SnapshotTotals& totals = totals_.back();
  totals.entries += chunk.size;
  totals.key_bytes += chunk.keys.size();
  totals.value_bytes += chunk.values.size();
  if (totals.entries > current_.entry_count || totals.value_bytes > current_.value_bytes) {
    return refuse("more than the ", current_.entry_count, " entries or the ", current_.value_bytes,
                  " bytes of values announced");
  }

  std::array<Column, 6> columns{{
      {fb::Chunk::VT_KEY_ENDS, sizeof(uint32_t), as_bytes(chunk.key_ends, chunk.size)},
      {fb::Chunk::VT_VALUE_ENDS, sizeof(uint32_t), as_bytes(chunk.value_ends, chunk.size)},
      {fb::Chunk::VT_KEYS, 1, chunk.keys},
      {fb::Chunk::VT_VALUES, 1, chunk.values},
  }};
  size_t count = 4;
  if (chunk.greatest_version != 0) {
    columns[count++] = {fb::Chunk::VT_VERSIONS, sizeof(uint64_t),
                        as_bytes(chunk.versions, chunk.size)};
  }
  if (chunk.expiry_bits != 0) {
    columns[count++] = {fb::Chunk::VT_EXPIRIES, sizeof(int64_t),
                        as_bytes(chunk.expiries, chunk.size)};
  }
  const ChunkLayout layout(static_cast<uint32_t>(totals_.size() - 1),
                           std::span(columns).first(count));
  return write_frame(FrameKind::kChunk, layout.pieces());
}

Status SnapshotWriter::end_namespace() try {
  if (Status s = check(State::kInNamespace, "end_namespace"); !s.ok()) return s;
  state_ = State::kBetween;
  return flush();
} catch (const std::bad_alloc&) {
  return fail(StatusCode::kNoMemory);
}

Status SnapshotWriter::finish() try {
  if (Status s = check(State::kBetween, "finish"); !s.ok()) return s;
  if (totals_.size() != announced_namespaces_) {
    return refuse("fewer namespaces than announced");
  }
  state_ = State::kFinished;
  flatbuffers::FlatBufferBuilder builder;
  const auto totals = builder.CreateVectorOfStructs<fb::NamespaceTotals>(
      totals_.size(), [this](size_t i, fb::NamespaceTotals* to) {
        *to = {totals_[i].entries, totals_[i].key_bytes, totals_[i].value_bytes};
      });
  const auto body = fb::CreateFooter(builder, totals, frames_, offset_, checksums_.digest());
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, fb::Body::Footer, body.Union()));
  return write_frame(FrameKind::kFooter, {finished_bytes(builder)});
} catch (const std::bad_alloc&) {
  return fail(StatusCode::kNoMemory);
}

Status SnapshotWriter::write_frame(FrameKind kind, std::vector<std::string_view> pieces) {
  if (frames_ > UINT32_MAX) return refuse("more than 4294967296 frames");
  static constexpr std::array<char, kPayloadAlignment> kZeros{};
  FrameHeader header;
  header.kind = kind;
  header.sequence = static_cast<uint32_t>(frames_);
  for (const std::string_view piece : pieces) header.payload_length += piece.size();
  const size_t pad = padding(header.payload_length, kPayloadAlignment);
  pieces.emplace_back(kZeros.data(), pad);
  header.payload_length += pad;

  Checksum checksum;
  checksum.update(header.checked_bytes());
  for (const std::string_view piece : pieces) checksum.update(piece);
  header.checksum = checksum.digest();
  checksums_.update(header.checksum_bytes());

  pieces.insert(pieces.begin(), header.bytes());
  for (const std::string_view piece : pieces) {
    if (Status s = sink_.append(piece); !s.ok()) return fail(s);
    offset_ += piece.size();
  }
  ++frames_;
  return {};
}

}  // namespace rkvs::internal
