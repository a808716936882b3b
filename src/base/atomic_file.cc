// AtomicFile; see file.h for what it promises.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <vector>

#include "base/file.h"
#include "base/file_error.h"
#include "base/mutex.h"

namespace rkvs::internal {
namespace {

// Appends smaller than this are gathered; larger ones go to the system as they are.
constexpr size_t kBufferSize = size_t{64} << 10;

// So much is written before the system is asked to begin putting it on the disk: what is on its way
// while the rest is made ready need not be waited for at the end. Measured: see
// bench/snapshot_bench.
constexpr uint64_t kWritebackSize = uint64_t{8} << 20;

// Names tried before giving up on finding one that is free.
constexpr int kTemporaryAttempts = 100;

std::string make_temporary_name(std::string_view name) {
  static std::atomic<uint64_t> counter{0};
  std::string result(1, '.');
  result.append(name).append(1, '.').append(std::to_string(getpid())).append(1, '.');
  result.append(std::to_string(counter.fetch_add(1, std::memory_order_relaxed)));
  return result.append(".tmp");
}

// Held while generations move, so that overlapping saves of this process do not mix their moves.
Mutex generations_mutex;

}  // namespace

AtomicFile::AtomicFile(const Directory& directory, std::string name, uint32_t generations)
    : directory_(directory), name_(std::move(name)), generations_(generations) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty() && !committed_) {
    retry_interrupted([&] { return directory_.fs().unlink(directory_.fd(), temporary_.c_str()); });
  }
}

Status AtomicFile::error(std::string_view call, std::string_view name, int64_t result) const {
  return io_error(call, directory_.path() + "/" + std::string(name), static_cast<int>(-result));
}

Result<std::unique_ptr<AtomicFile>> AtomicFile::create(const Directory& directory,
                                                       std::string_view name,
                                                       uint32_t generations) try {
  if (Status s = validate_target_name(name, generations); !s.ok()) return s;
  std::unique_ptr<AtomicFile> file(new AtomicFile(directory, std::string(name), generations));
  if (Status s = file->open_temporary(); !s.ok()) return s;
  return file;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

// Also locks the file: remove_stale_temporaries() takes the unlocked ones. Where that came between
// creating and locking, another name is tried.
Status AtomicFile::open_temporary() {
  FileSystem& fs = directory_.fs();
  buffer_.reserve(kBufferSize);
  for (int attempt = 0; attempt < kTemporaryAttempts; ++attempt) {
    std::string name = make_temporary_name(name_);
    const int fd = retry_interrupted([&] {
      return fs.open(directory_.fd(), name.c_str(), FileSystem::OpenMode::kCreateExclusive);
    });
    if (fd == -EEXIST) continue;
    if (fd < 0) return error("create", name, fd);
    handle_ = FileHandle(fs, fd);
    temporary_ = std::move(name);
    // File systems without locks have no use for them here either.
    const bool stolen = retry_interrupted([&] { return fs.lock(fd); }) == -EWOULDBLOCK;
    FileInfo info;
    const int result = fs.stat(fd, &info);
    if (result < 0) return error("stat", temporary_, result);
    if (!stolen && info.links > 0) return {};
    temporary_.clear();
  }
  return error("create a temporary for", name_, -EEXIST);
}

Status AtomicFile::append(std::string_view data) try {
  if (status_.ok()) status_ = take(data);
  return status_;
} catch (const std::bad_alloc&) {
  return status_ = StatusCode::kNoMemory;
}

Status AtomicFile::take(std::string_view data) {
  if (committed_) return make_error(StatusCode::kInternal, "append to ", name_, " after commit");
  size_ += data.size();
  if (buffer_.size() + data.size() > kBufferSize) {
    if (Status s = flush(); !s.ok()) return s;
  }
  if (data.size() >= kBufferSize) return write_out(data);
  buffer_.append(data);
  return {};
}

Status AtomicFile::flush() {
  Status s = write_out(buffer_);
  buffer_.clear();
  return s;
}

Status AtomicFile::write_out(std::string_view data) {
  FileSystem& fs = directory_.fs();
  while (!data.empty()) {
    int64_t n = retry_interrupted([&] { return fs.write(handle_.fd(), data.data(), data.size()); });
    if (n == 0) n = -EIO;
    if (n < 0) return error("write", temporary_, n);
    data.remove_prefix(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
    if (written_ - writeback_ >= kWritebackSize) {
      fs.start_writeback(handle_.fd(), writeback_, written_ - writeback_);
      writeback_ = written_;
    }
  }
  return {};
}

Status AtomicFile::commit() try {
  if (status_.ok() && committed_)
    status_ = make_error(StatusCode::kInternal, name_, " committed twice");
  if (status_.ok()) status_ = complete();
  if (status_.ok()) {
    const MutexLock lock(generations_mutex);
    status_ = publish();
  }
  if (status_.ok()) status_ = directory_.sync();
  if (status_.ok()) remove_surplus_generations();
  return status_;
} catch (const std::bad_alloc&) {
  return status_ = StatusCode::kNoMemory;
}

// Everything on the disk, under the temporary name. An error of fsync is final: the kernel has
// dropped the pages it could not write, and a second fsync would find nothing wrong.
Status AtomicFile::complete() {
  if (Status s = flush(); !s.ok()) return s;
  const int result = directory_.fs().sync(handle_.fd());
  return result == 0 ? Status() : error("sync", temporary_, result);
}

Status AtomicFile::publish() {
  if (generations_ > 1) {
    if (Status s = keep_previous(); !s.ok()) return s;
  }
  return take_name();
}

Status AtomicFile::take_name() {
  const int result = retry_interrupted(
      [&] { return directory_.fs().rename(directory_.fd(), temporary_.c_str(), name_.c_str()); });
  if (result < 0) return error("rename to", name_, result);
  committed_ = true;
  return {};
}

// Gives the file under NAME the second name NAME.1. The older generations make room by moving up
// to the first gap; where there is none, the oldest moves to one place more than are kept, and is
// unlinked when the new file is safe.
Status AtomicFile::keep_previous() {
  FileSystem& fs = directory_.fs();
  const int dir = directory_.fd();
  FileInfo newest;
  const int present = fs.stat_at(dir, name_.c_str(), &newest);
  if (present == -ENOENT) return {};
  if (present < 0) return error("stat", name_, present);
  if (!newest.regular) return error("keep what is no regular file:", name_, -EINVAL);

  uint32_t gap = 1;
  for (; gap < generations_; ++gap) {
    const std::string name = generation(gap);
    FileInfo info;
    const int result = fs.stat_at(dir, name.c_str(), &info);
    if (result == -ENOENT) break;
    if (result < 0) return error("stat", name, result);
    // A save before this one came so far and no further.
    if (gap == 1 && info.device == newest.device && info.inode == newest.inode) return {};
  }
  for (uint32_t age = gap; age > 1; --age) {
    const std::string from = generation(age - 1);
    const std::string to = generation(age);
    const int result = retry_interrupted([&] { return fs.rename(dir, from.c_str(), to.c_str()); });
    if (result < 0) return error("rename to", to, result);
  }
  const std::string first = generation(1);
  const int result = retry_interrupted([&] { return fs.link(dir, name_.c_str(), first.c_str()); });
  if (result == 0) return {};
  const bool no_links =
      result == -EPERM || result == -EOPNOTSUPP || result == -ENOSYS || result == -EMLINK;
  return no_links ? copy_to_first_generation() : error("link to", first, result);
}

Status AtomicFile::copy_to_first_generation() {
  AtomicFile copy(directory_, generation(1), 1);
  if (Status s = copy.open_temporary(); !s.ok()) return s;
  const Result<std::unique_ptr<ReadableFile>> from = directory_.open_file(name_);
  if (!from.ok()) return from.status();
  std::vector<char> bytes(kBufferSize);
  for (;;) {
    const Result<size_t> n = (*from)->read_at(copy.size(), bytes.data(), bytes.size());
    if (!n.ok()) return n.status();
    if (*n == 0) break;
    if (Status s = copy.append({bytes.data(), *n}); !s.ok()) return s;
  }
  if (Status s = copy.complete(); !s.ok()) return s;
  return copy.take_name();
}

// With 1 generation nothing but NAME is ours. Failing is harmless: the next commit does it.
void AtomicFile::remove_surplus_generations() {
  if (generations_ == 1) return;
  for (uint32_t age = generations_; age <= kMaxGenerations; ++age) {
    if (directory_.fs().unlink(directory_.fd(), generation(age).c_str()) != 0) return;
  }
}

}  // namespace rkvs::internal
