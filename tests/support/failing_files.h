// File systems that fail where a test says, and byte sinks and sources in memory.
#ifndef RKVS_TESTS_SUPPORT_FAILING_FILES_H_
#define RKVS_TESTS_SUPPORT_FAILING_FILES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace rkvs::testing {

using internal::ByteSink;
using internal::ByteSource;
using internal::FileInfo;
using internal::FileSystem;

// The real file system, with faults. Counts its calls from 0; the faulty call is not made, aside
// from close, which always closes. Safe for concurrent use.
class FaultyFileSystem : public FileSystem {
 public:
  // Call number `at` fails with `error`, an errno, and with `for_good` every later one as well.
  void fail_call(uint64_t at, int error, bool for_good = false) {
    const std::lock_guard<std::mutex> lock(mutex_);
    at_ = at;
    error_ = error;
    for_good_ = for_good;
  }
  // Every rename to this name fails.
  void fail_rename_to(std::string target, int error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    target_ = std::move(target);
    target_error_ = error;
  }
  // Every call of this name fails.
  void fail_named(std::string name, int error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    name_ = std::move(name);
    name_error_ = error;
  }
  // write and read_at move at most so many bytes.
  void shorten_transfers(size_t most) {
    const std::lock_guard<std::mutex> lock(mutex_);
    most_ = most;
  }

  // The names of all calls so far, those that failed included.
  std::vector<std::string> calls() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }
  size_t count(std::string_view name) const {
    const auto all = calls();
    return static_cast<size_t>(std::count(all.begin(), all.end(), name));
  }
  // The names of the calls that were made to fail.
  std::vector<std::string> failed() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return failed_;
  }

  int make_directory(const char* path) override {
    return call<int>("make_directory", [&] { return real_.make_directory(path); });
  }
  int open_directory(const char* path) override {
    return call<int>("open_directory", [&] { return real_.open_directory(path); });
  }
  int open(int directory, const char* name, OpenMode mode) override {
    return call<int>("open", [&] { return real_.open(directory, name, mode); });
  }
  int close(int fd) override {
    const int closed = real_.close(fd);
    return call<int>("close", [&] { return closed; });
  }
  int64_t write(int fd, const char* data, size_t size) override {
    return call<int64_t>("write", [&] { return real_.write(fd, data, std::min(size, most())); });
  }
  int64_t read_at(int fd, char* data, size_t size, uint64_t offset) override {
    return call<int64_t>("read_at",
                         [&] { return real_.read_at(fd, data, std::min(size, most()), offset); });
  }
  int start_writeback(int fd, uint64_t offset, uint64_t size) override {
    return call<int>("start_writeback", [&] { return real_.start_writeback(fd, offset, size); });
  }
  int sync(int fd) override {
    return call<int>("sync", [&] { return real_.sync(fd); });
  }
  int stat(int fd, FileInfo* info) override {
    return call<int>("stat", [&] { return real_.stat(fd, info); });
  }
  int stat_at(int directory, const char* name, FileInfo* info) override {
    return call<int>("stat_at", [&] { return real_.stat_at(directory, name, info); });
  }
  int rename(int directory, const char* from, const char* to) override {
    return call<int>(
        "rename", [&] { return real_.rename(directory, from, to); }, to);
  }
  int link(int directory, const char* from, const char* to) override {
    return call<int>("link", [&] { return real_.link(directory, from, to); });
  }
  int unlink(int directory, const char* name) override {
    return call<int>("unlink", [&] { return real_.unlink(directory, name); });
  }
  int list(int directory, std::vector<std::string>* names) override {
    return call<int>("list", [&] { return real_.list(directory, names); });
  }
  int lock(int fd) override {
    return call<int>("lock", [&] { return real_.lock(fd); });
  }

 private:
  template <typename R, typename Real>
  R call(const char* name, Real real, std::string_view target = {}) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const uint64_t number = calls_.size();
      calls_.emplace_back(name);
      int error = 0;
      if (name_ == name) error = name_error_;
      if (!target.empty() && target == target_) error = target_error_;
      if (number == at_ || (for_good_ && number > at_)) error = error_;
      if (error != 0) {
        failed_.emplace_back(name);
        return static_cast<R>(-error);
      }
    }
    return real();
  }
  size_t most() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return most_;
  }

  FileSystem& real_ = FileSystem::posix();
  mutable std::mutex mutex_;
  std::vector<std::string> calls_;
  std::vector<std::string> failed_;
  uint64_t at_ = UINT64_MAX;
  int error_ = 0;
  bool for_good_ = false;
  std::string name_;
  int name_error_ = 0;
  std::string target_;
  int target_error_ = 0;
  size_t most_ = SIZE_MAX;
};

// Keeps what it is given; fails with Io once it has taken `capacity` bytes.
class StringSink : public ByteSink {
 public:
  explicit StringSink(size_t capacity = SIZE_MAX) : capacity_(capacity) {}
  Status append(std::string_view data) override {
    if (data.size() > capacity_ - bytes_.size()) return Status(StatusCode::kIo, "sink is full");
    bytes_.append(data);
    return {};
  }
  const std::string& bytes() const { return bytes_; }

 private:
  const size_t capacity_;
  std::string bytes_;
};

// Bytes in memory. With `fail_at` below its size, reading beyond that offset is an Io error; a
// `claimed_size` other than its size plays a file that shrank after it was opened.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string bytes, uint64_t fail_at = UINT64_MAX,
                        uint64_t claimed_size = UINT64_MAX)
      : bytes_(std::move(bytes)),
        fail_at_(fail_at),
        size_(claimed_size == UINT64_MAX ? bytes_.size() : claimed_size) {}
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  Result<size_t> read_at(uint64_t offset, char* to, size_t size) const override {
    if (offset + size > fail_at_) return Status(StatusCode::kIo, "read \"memory\": injected");
    if (offset >= bytes_.size()) return size_t{0};
    const size_t n = std::min<size_t>(size, bytes_.size() - offset);
    std::memcpy(to, bytes_.data() + offset, n);
    return n;
  }

 private:
  const std::string name_ = "memory";
  const std::string bytes_;
  const uint64_t fail_at_;
  const uint64_t size_;
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_FAILING_FILES_H_
