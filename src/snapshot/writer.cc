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

// What an entry takes in a chunk beside its key and value: two ends, a version, an expiry. The
// latter two columns may turn out to be absent; then chunks are a little smaller than aimed at.
constexpr size_t kEntryOverhead = 4 + 4 + 8 + 8;

template <typename T>
std::string_view as_bytes(const std::vector<T>& column) {
  return {reinterpret_cast<const char*>(column.data()), column.size() * sizeof(T)};
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
    : sink_(sink), chunk_size_(std::clamp<size_t>(chunk_size, 1, kMaxChunkSize - 4096)) {}

void SnapshotWriter::Columns::clear() {
  key_ends.clear();
  value_ends.clear();
  versions.clear();
  expiries.clear();
  keys.clear();
  values.clear();
  any_version = false;
  any_expiry = false;
}

template <typename... Parts>
Status SnapshotWriter::refuse(const Parts&... parts) {
  return status_ = make_error(StatusCode::kInternal, "snapshot writer: ", parts...);
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
  return status_ = StatusCode::kNoMemory;
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
  return status_ = StatusCode::kNoMemory;
}

Status SnapshotWriter::add(const SnapshotEntry& entry) try {
  if (Status s = check(State::kInNamespace, "add"); !s.ok()) return s;
  return add_entry(entry);
} catch (const std::bad_alloc&) {
  return status_ = StatusCode::kNoMemory;
}

size_t SnapshotWriter::pending_size() const {
  return pending_.key_ends.size() * kEntryOverhead + pending_.keys.size() + pending_.values.size();
}

Status SnapshotWriter::add_entry(const SnapshotEntry& entry) {
  if (entry.key.size() > kMaxSnapshotKeySize) {
    return refuse("key of ", entry.key.size(), " bytes; the limit is ", kMaxSnapshotKeySize);
  }
  if (entry.value.size() > kMaxSnapshotValueSize) {
    return refuse("value of ", entry.value.size(), " bytes; the limit is ", kMaxSnapshotValueSize);
  }
  if (entry.expires_at_ms < 0) return refuse("negative expiry");
  if (entry.version > current_.last_version) {
    return refuse("version ", entry.version, " over last_version ", current_.last_version);
  }
  SnapshotTotals& totals = totals_.back();
  totals.entries += 1;
  totals.key_bytes += entry.key.size();
  totals.value_bytes += entry.value.size();
  if (totals.entries > current_.entry_count || totals.value_bytes > current_.value_bytes) {
    return refuse("more than the ", current_.entry_count, " entries or the ", current_.value_bytes,
                  " bytes of values announced");
  }

  const size_t size = kEntryOverhead + entry.key.size() + entry.value.size();
  if (pending_size() + size > chunk_size_) {
    if (Status s = flush_chunk(); !s.ok()) return s;
  }
  const bool alone = size > chunk_size_;
  pending_.keys.append(entry.key);
  pending_.key_ends.push_back(static_cast<uint32_t>(pending_.keys.size()));
  if (!alone) pending_.values.append(entry.value);
  pending_.value_ends.push_back(
      static_cast<uint32_t>(alone ? entry.value.size() : pending_.values.size()));
  pending_.versions.push_back(entry.version);
  pending_.expiries.push_back(entry.expires_at_ms);
  pending_.any_version |= entry.version != 0;
  pending_.any_expiry |= entry.expires_at_ms != 0;
  return alone ? write_chunk(entry.value) : Status();
}

Status SnapshotWriter::flush_chunk() {
  return pending_.key_ends.empty() ? Status() : write_chunk(pending_.values);
}

Status SnapshotWriter::write_chunk(std::string_view values) {
  std::array<Column, 6> columns{{
      {fb::Chunk::VT_KEY_ENDS, 4, as_bytes(pending_.key_ends)},
      {fb::Chunk::VT_VALUE_ENDS, 4, as_bytes(pending_.value_ends)},
      {fb::Chunk::VT_KEYS, 1, pending_.keys},
      {fb::Chunk::VT_VALUES, 1, values},
  }};
  size_t count = 4;
  if (pending_.any_version) {
    columns[count++] = {fb::Chunk::VT_VERSIONS, 8, as_bytes(pending_.versions)};
  }
  if (pending_.any_expiry) {
    columns[count++] = {fb::Chunk::VT_EXPIRIES, 8, as_bytes(pending_.expiries)};
  }
  const ChunkLayout layout(static_cast<uint32_t>(totals_.size() - 1),
                           std::span(columns).first(count));
  if (Status s = write_frame(FrameKind::kChunk, layout.pieces()); !s.ok()) return s;
  pending_.clear();
  return {};
}

Status SnapshotWriter::end_namespace() try {
  if (Status s = check(State::kInNamespace, "end_namespace"); !s.ok()) return s;
  state_ = State::kBetween;
  return flush_chunk();
} catch (const std::bad_alloc&) {
  return status_ = StatusCode::kNoMemory;
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
  return status_ = StatusCode::kNoMemory;
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
    if (Status s = sink_.append(piece); !s.ok()) return status_ = s;
    offset_ += piece.size();
  }
  ++frames_;
  return {};
}

}  // namespace rkvs::internal
