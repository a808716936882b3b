#include "cli/entry_spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "base/error.h"
#include "base/file_error.h"

namespace rkvs::cli {
namespace {

using internal::SnapshotEntry;

constexpr size_t kBufferSize = size_t{1} << 20;

// A file without a name, or one that loses it at once where the file system knows no such files.
int open_nameless(const std::string& directory) {
  const int fd = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
  std::string name = directory + "/.rkvs-spool.XXXXXX";
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

}  // namespace

Result<std::unique_ptr<EntrySpool>> EntrySpool::create(const std::string& directory,
                                                       DuplicateRule rule) {
  const int fd = open_nameless(directory);
  if (fd < 0) return internal::io_error("create a temporary file in", directory, errno);
  return std::unique_ptr<EntrySpool>(
      new EntrySpool(internal::FileHandle(internal::FileSystem::posix(), fd), rule));
}

Status EntrySpool::add(const SnapshotEntry& entry) {
  static_assert(std::is_trivially_copyable_v<Record>);
  const Record record = {fingerprint_of_(entry.key), entry.version, entry.expires_at_ms,
                         static_cast<uint32_t>(entry.key.size()),
                         static_cast<uint32_t>(entry.value.size())};
  last_version_ = std::max(last_version_, entry.version);
  const auto [found, is_new] = offsets_.try_emplace(record.fingerprint, size_);
  if (!is_new) {
    Record old;
    if (Status s = read_at(found->second, reinterpret_cast<char*>(&old), sizeof old); !s.ok()) {
      return s;
    }
    old_key_.resize(old.key_size);
    if (Status s = read_at(found->second + sizeof old, old_key_.data(), old.key_size); !s.ok()) {
      return s;
    }
    if (old_key_ != entry.key) {
      return internal::make_error(StatusCode::kInternal,
                                  "two keys have one 128-bit hash; run the command again");
    }
    ++duplicates_;
    if (rule_ == DuplicateRule::kHighestVersion && entry.version < old.version) return {};
    found->second = size_;
    --totals_.entries;
    totals_.key_bytes -= old.key_size;
    totals_.value_bytes -= old.value_size;
  }
  ++totals_.entries;
  totals_.key_bytes += record.key_size;
  totals_.value_bytes += record.value_size;
  return append(record, entry);
}

Status EntrySpool::append(const Record& record, const SnapshotEntry& entry) {
  buffer_.append(reinterpret_cast<const char*>(&record), sizeof record);
  buffer_.append(entry.key);
  size_ += sizeof record + entry.key.size() + entry.value.size();
  if (entry.value.size() < kBufferSize) {
    buffer_.append(entry.value);
    return buffer_.size() < kBufferSize ? Status() : flush();
  }
  if (Status s = flush(); !s.ok()) return s;
  return write_out(entry.value);
}

Status EntrySpool::flush() {
  Status s = write_out(buffer_);
  buffer_.clear();
  return s;
}

Status EntrySpool::write_out(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(handle_.fd(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return internal::io_error("write", "the temporary file", n < 0 ? errno : EIO);
    data.remove_prefix(static_cast<size_t>(n));
    flushed_ += static_cast<uint64_t>(n);
  }
  return {};
}

// Records never lie in both the file and the buffer.
Status EntrySpool::read_at(uint64_t offset, char* to, size_t size) const {
  if (offset >= flushed_) {
    std::memcpy(to, buffer_.data() + (offset - flushed_), size);
    return {};
  }
  while (size > 0) {
    const ssize_t n = pread(handle_.fd(), to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return internal::io_error("read", "the temporary file", n < 0 ? errno : EIO);
    to += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return {};
}

Status EntrySpool::write_to(internal::SnapshotWriter& writer, Progress& progress) {
  if (Status s = flush(); !s.ok()) return s;
  std::string window(kBufferSize, '\0');
  uint64_t window_offset = 0;  // of the window in the file
  size_t window_size = 0;
  // Brings [offset, offset + size) into the window, and what follows it as far as there is room.
  const auto load = [&](uint64_t offset, size_t size) -> Result<const char*> {
    if (offset < window_offset || offset + size > window_offset + window_size) {
      if (window.size() < size) window.resize(size);
      window_offset = offset;
      window_size = static_cast<size_t>(std::min<uint64_t>(window.size(), flushed_ - offset));
      if (Status s = read_at(offset, window.data(), window_size); !s.ok()) return s;
    }
    return window.data() + (offset - window_offset);
  };

  for (uint64_t offset = 0; offset < flushed_;) {
    const Result<const char*> head = load(offset, sizeof(Record));
    if (!head.ok()) return head.status();
    Record record;
    std::memcpy(&record, *head, sizeof record);
    const size_t key_and_value = size_t{record.key_size} + record.value_size;
    if (duplicates_ == 0 || offsets_.at(record.fingerprint) == offset) {
      const Result<const char*> bytes = load(offset + sizeof record, key_and_value);
      if (!bytes.ok()) return bytes.status();
      const SnapshotEntry entry = {{*bytes, record.key_size},
                                   {*bytes + record.key_size, record.value_size},
                                   record.version,
                                   record.expires_at_ms};
      if (Status s = writer.add(entry); !s.ok()) return s;
    }
    offset += sizeof record + key_and_value;
    if (Status s = progress.step(offset); !s.ok()) return s;
  }
  return {};
}

}  // namespace rkvs::cli
