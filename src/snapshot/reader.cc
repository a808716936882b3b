#include "snapshot/reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "base/error.h"
#include "snapshot/snapshot_generated.h"

namespace rkvs::internal {
namespace {

std::string string_of(const flatbuffers::String* s) {
  return s == nullptr ? std::string() : s->str();
}

// The body of a verified payload.
const fb::Frame* root_of(const char* payload) { return fb::GetFrame(payload); }

// Whether no two of the columns share a byte: with shared ones a small file could decode to much.
template <size_t N>
bool are_disjoint(std::array<std::string_view, N> columns) {
  std::sort(columns.begin(), columns.end(),
            [](std::string_view a, std::string_view b) { return a.data() < b.data(); });
  const char* end = nullptr;
  for (const std::string_view column : columns) {
    if (column.empty()) continue;
    if (end != nullptr && column.data() < end) return false;
    end = column.data() + column.size();
  }
  return true;
}

// The Verifier looks at the alignment of a vector's length alone.
template <typename T>
bool is_aligned(const flatbuffers::Vector<T>* vector) {
  return vector == nullptr || reinterpret_cast<uintptr_t>(vector->Data()) % kPayloadAlignment == 0;
}

template <typename T>
std::string_view bytes_of(const flatbuffers::Vector<T>* vector) {
  if (vector == nullptr) return {};
  return {reinterpret_cast<const char*>(vector->Data()), size_t{vector->size()} * sizeof(T)};
}

// Whether ends rise, from one to the next by at most `limit`, up to exactly `total`.
bool are_ends(const uint32_t* ends, size_t count, uint64_t limit, uint64_t total) {
  uint32_t previous = 0;
  bool good = true;
  for (size_t i = 0; i < count; ++i) {
    good &= ends[i] >= previous && ends[i] - previous <= limit;
    previous = ends[i];
  }
  return good && previous == total;
}

}  // namespace

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::open(
    std::unique_ptr<ByteSource> source, const SnapshotReaderOptions& options) try {
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader(std::move(source), options));
  if (Status s = reader->read_header(); !s.ok()) return s;
  return reader;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

template <typename... Parts>
Status SnapshotReader::error(StatusCode code, const Parts&... parts) const {
  return make_error(code, "snapshot \"", source_->name(), "\", frame ", frames_, " at offset ",
                    offset_, ": ", parts...);
}

template <typename... Parts>
Status SnapshotReader::corrupt(const Parts&... parts) const {
  return error(StatusCode::kSnapshotCorrupt, parts...);
}

Result<SnapshotEvent> SnapshotReader::next(SnapshotChunk& chunk) {
  if (!status_.ok()) return status_;
  if (ended_) return SnapshotEvent::kEnd;
  chunk.columns_ = {};
  try {
    Result<SnapshotEvent> event = read_next(chunk);
    if (!event.ok()) status_ = event.status();
    return event;
  } catch (const std::bad_alloc&) {
    return status_ = StatusCode::kNoMemory;
  }
}

Result<SnapshotEvent> SnapshotReader::read_next(SnapshotChunk& chunk) {
  if (Status s = read_frame(chunk); !s.ok()) return s;
  switch (frame_.kind) {
    case FrameKind::kHeader: return corrupt("a second header");
    case FrameKind::kNamespace:
      if (Status s = take_namespace(chunk); !s.ok()) return s;
      advance();
      return SnapshotEvent::kNamespace;
    case FrameKind::kChunk:
      if (Status s = take_chunk(chunk); !s.ok()) {
        chunk.columns_ = {};
        return s;
      }
      advance();
      return SnapshotEvent::kChunk;
    case FrameKind::kFooter:
      if (Status s = take_footer(chunk); !s.ok()) return s;
      advance();
      ended_ = true;
      return SnapshotEvent::kEnd;
  }
  return corrupt("unknown frame kind");
}

void SnapshotReader::advance() {
  checksums_.update(frame_.checksum_bytes());
  offset_ = end_of_frame();
  ++frames_;
}

// --- Frames --------------------------------------------------------------------------------------

Status SnapshotReader::read_exactly(uint64_t offset, char* to, size_t size) const {
  const Result<size_t> n = source_->read_at(offset, to, size);
  if (!n.ok()) return n.status();
  return *n == size ? Status() : corrupt("the file ends in the middle of a frame");
}

uint64_t SnapshotReader::payload_limit(FrameKind kind) const {
  switch (kind) {
    case FrameKind::kHeader:
    case FrameKind::kNamespace: return kMaxInfoSize;
    case FrameKind::kChunk: return kMaxSingleEntryChunkSize;
    case FrameKind::kFooter: return kFooterBaseSize + kFooterSizePerNamespace * totals_.size();
  }
  return kMaxChunkSize;  // a kind of a later version: told as such when its checksum is right
}

// Leaves the frame's header in frame_ and its verified payload in `into`. Nothing of the payload is
// looked at before its checksum, and no memory is taken for it beyond what the file has.
Status SnapshotReader::read_frame(SnapshotChunk& into) {
  const uint64_t left = source_->size() - offset_;
  if (left == 0 && frames_ > 0) return corrupt("the file ends without a footer");
  if (left < sizeof(FrameHeader)) return corrupt("the file ends in the middle of a frame");
  std::array<char, sizeof(FrameHeader)> bytes;
  if (Status s = read_exactly(offset_, bytes.data(), bytes.size()); !s.ok()) return s;
  std::memcpy(&frame_, bytes.data(), bytes.size());

  if (frame_.magic != kFrameMagic) {
    return corrupt(frames_ == 0 ? "not a snapshot: it does not begin with RKVS"
                                : "no frame begins");
  }
  if (frame_.sequence != frames_) {
    return corrupt("sequence number ", frame_.sequence);
  }
  const uint64_t length = frame_.payload_length;
  if (length == 0 || length % kPayloadAlignment != 0 || length > payload_limit(frame_.kind) ||
      length > left - sizeof(FrameHeader)) {
    return corrupt("payload length ", length, "; the limit is ",
                   std::min(payload_limit(frame_.kind), left - sizeof(FrameHeader)));
  }
  char* const payload = into.prepare(length);
  if (Status s = read_exactly(offset_ + sizeof(FrameHeader), payload, length); !s.ok()) return s;
  Checksum checksum;
  checksum.update(frame_.checked_bytes());
  checksum.update({payload, length});
  if (checksum.digest() != frame_.checksum) return corrupt("wrong checksum");

  if (frame_.flags != 0 || frame_.reserved != 0 || frame_.kind < FrameKind::kHeader ||
      frame_.kind > FrameKind::kFooter) {
    return error(StatusCode::kSnapshotVersion, "frame of kind ", static_cast<uint16_t>(frame_.kind),
                 " with flags ", frame_.flags, "; this version of rkvs does not know it");
  }
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload), length,
                                 kVerifierMaxDepth, kVerifierMaxTables);
  if (!fb::VerifyFrameBuffer(verifier)) return corrupt("not a valid FlatBuffer");
  // The schema's union counts its members as FrameKind does.
  if (static_cast<uint16_t>(root_of(payload)->body_type()) != static_cast<uint16_t>(frame_.kind)) {
    return corrupt("the payload is of another kind than its frame");
  }
  return {};
}

// --- Payloads ------------------------------------------------------------------------------------

Status SnapshotReader::read_header() {
  SnapshotChunk payload;
  if (Status s = read_frame(payload); !s.ok()) return s;
  if (frame_.kind != FrameKind::kHeader) return corrupt("the first frame is not a header");
  const fb::Header* header = root_of(payload.buffer_.get())->body_as_Header();
  if (header->format_version() != kSnapshotFormatVersion) {
    return error(StatusCode::kSnapshotVersion, "format version ", header->format_version(),
                 "; this version of rkvs reads version ", kSnapshotFormatVersion);
  }
  header_.created_unix_ms = header->created_unix_ms();
  header_.library_version = string_of(header->library_version());
  header_.max_namespaces = header->max_namespaces();
  header_.max_bytes = header->max_bytes();
  header_.namespace_count = header->namespace_count();
  if (const char* complaint = complaint_about(header_)) return corrupt(complaint);
  advance();
  return {};
}

Status SnapshotReader::take_namespace(const SnapshotChunk& payload) {
  const fb::Namespace* info = root_of(payload.buffer_.get())->body_as_Namespace();
  if (totals_.size() == header_.namespace_count) {
    return corrupt("more namespaces than the header's ", header_.namespace_count);
  }
  SnapshotNamespace read;
  read.name = info->name()->str();
  read.max_keys = info->max_keys();
  read.max_value_size = info->max_value_size();
  read.max_bytes = info->max_bytes();
  read.max_key_size = info->max_key_size();
  read.shard_count = info->shard_count();
  read.shards_in_use = info->shards_in_use();
  read.lock_timeout_ms = info->lock_timeout_ms();
  if (const fb::Autosave* autosave = info->autosave()) {
    read.autosave = {autosave->interval_ms(), autosave->changes(), autosave->pattern()->str()};
  }
  // Both are upper bounds, and what is left of the file is one as well: callers may presize by
  // them.
  const uint64_t left = source_->size() - end_of_frame();
  read.entry_count = std::min(info->entry_count(), left / kMinEntrySize);
  read.value_bytes = std::min(info->value_bytes(), left);
  read.last_version = info->last_version();
  if (const char* complaint = complaint_about(read)) return corrupt(complaint);
  if (!names_.insert(read.name).second) return corrupt("namespace \"", read.name, "\" twice");
  current_ = std::move(read);
  totals_.emplace_back();
  return {};
}

Status SnapshotReader::take_chunk(SnapshotChunk& chunk) {
  const fb::Chunk* body = root_of(chunk.buffer_.get())->body_as_Chunk();
  if (totals_.empty()) return corrupt("a chunk before any namespace");
  if (body->namespace_index() != namespace_index()) {
    return corrupt("a chunk of namespace ", body->namespace_index(), " in namespace ",
                   namespace_index());
  }
  const size_t size = body->key_ends()->size();
  const auto* versions = body->versions();
  const auto* expiries = body->expiries();
  if (size == 0) return corrupt("a chunk without entries");
  if (size > 1 && frame_.payload_length > kMaxChunkSize) {
    return corrupt("payload length ", frame_.payload_length, " with ", size,
                   " entries; the limit is ", kMaxChunkSize);
  }
  if (body->value_ends()->size() != size || (versions != nullptr && versions->size() != size) ||
      (expiries != nullptr && expiries->size() != size)) {
    return corrupt("columns of different lengths");
  }
  if (!is_aligned(versions) || !is_aligned(expiries)) return corrupt("a column out of alignment");
  if (!are_disjoint(std::array{bytes_of(body->key_ends()), bytes_of(body->value_ends()),
                               bytes_of(body->keys()), bytes_of(body->values()), bytes_of(versions),
                               bytes_of(expiries)})) {
    return corrupt("columns that share bytes");
  }

  SnapshotChunk::Columns& columns = chunk.columns_;
  columns.size = size;
  columns.namespace_index = body->namespace_index();
  columns.key_bytes = body->keys()->size();
  columns.value_bytes = body->values()->size();
  columns.key_ends = body->key_ends()->data();
  columns.value_ends = body->value_ends()->data();
  columns.versions = versions == nullptr ? nullptr : versions->data();
  columns.expiries = expiries == nullptr ? nullptr : expiries->data();
  columns.keys = reinterpret_cast<const char*>(body->keys()->data());
  columns.values = reinterpret_cast<const char*>(body->values()->data());
  if (!are_ends(columns.key_ends, size, kMaxSnapshotKeySize, columns.key_bytes) ||
      !are_ends(columns.value_ends, size, kMaxSnapshotValueSize, columns.value_bytes)) {
    return corrupt("ends that do not rise to the column's size, or an entry over the limits");
  }
  if (versions != nullptr &&
      *std::max_element(columns.versions, columns.versions + size) > current_.last_version) {
    return corrupt("a version over the namespace's last version");
  }
  if (expiries != nullptr && *std::min_element(columns.expiries, columns.expiries + size) < 0) {
    return corrupt("a negative expiry");
  }

  SnapshotTotals& totals = totals_.back();
  totals.entries += size;
  totals.key_bytes += columns.key_bytes;
  totals.value_bytes += columns.value_bytes;
  if (totals.entries > current_.entry_count || totals.value_bytes > current_.value_bytes) {
    return corrupt("more entries or bytes of values than the namespace announced");
  }
  decoded_bytes_ += columns.key_bytes + columns.value_bytes;
  if (decoded_bytes_ > options_.max_decoded_bytes) {
    return error(StatusCode::kMemoryLimit, decoded_bytes_,
                 " bytes of keys and values so far; the limit is ", options_.max_decoded_bytes);
  }
  return {};
}

Status SnapshotReader::take_footer(const SnapshotChunk& payload) {
  const fb::Footer* footer = root_of(payload.buffer_.get())->body_as_Footer();
  if (totals_.size() != header_.namespace_count || footer->namespaces()->size() != totals_.size()) {
    return corrupt("another number of namespaces than header and footer say");
  }
  if (!is_aligned(footer->namespaces())) return corrupt("totals out of alignment");
  for (size_t i = 0; i < totals_.size(); ++i) {
    const fb::NamespaceTotals* said = footer->namespaces()->Get(static_cast<uint32_t>(i));
    if (totals_[i] != SnapshotTotals{said->entries(), said->key_bytes(), said->value_bytes()}) {
      return corrupt("other totals of namespace ", i, " than the footer's");
    }
  }
  if (footer->frame_count() != frames_ || footer->file_length() != offset_ ||
      footer->checksum() != checksums_.digest()) {
    return corrupt("the footer is of another file");
  }
  if (source_->size() != end_of_frame()) return corrupt("bytes after the footer");
  return {};
}

char* SnapshotChunk::prepare(size_t size) {
  columns_ = {};
  // The memory of a single large entry is not kept for the small ones that follow.
  if (size > capacity_ || (capacity_ > kMaxChunkSize && size <= kMaxChunkSize)) {
    buffer_.reset();
    capacity_ = 0;
    buffer_.reset(new char[size]);
    capacity_ = size;
  }
  return buffer_.get();
}

}  // namespace rkvs::internal
