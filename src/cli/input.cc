#include "cli/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file_error.h"
#include "cli/interrupt.h"

namespace rkvs::cli {
namespace {

constexpr size_t kReadSize = size_t{256} << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<std::unique_ptr<LineReader>> LineReader::open(const std::string& path,
                                                     uint64_t max_line_size) {
  const bool standard = path == "-";
  const int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                          : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string name = standard ? "standard input" : path;
  if (fd < 0) {
    if (errno == ENOENT) {
      return internal::make_error(StatusCode::kSnapshotNotFound, "no file \"", path, "\"");
    }
    return internal::io_error("open", name, errno);
  }
  internal::FileHandle handle(internal::FileSystem::posix(), fd);
  struct stat info = {};
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const uint64_t size = regular ? static_cast<uint64_t>(info.st_size) : 0;
  return std::unique_ptr<LineReader>(
      new LineReader(std::move(name), std::move(handle), size, max_line_size));
}

// Makes room and reads once.
Status LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(std::max(kReadSize, buffer_.size() * 2));
  for (;;) {
    if (Status s = wait_for_input(handle_.fd()); !s.ok()) return s;
    const ssize_t n = read(handle_.fd(), buffer_.data() + end_, buffer_.size() - end_);
    if (n >= 0) {
      end_ += static_cast<size_t>(n);
      ended_ = n == 0;
      return {};
    }
    if (errno != EINTR) return internal::io_error("read", name_, errno);
  }
}

Result<std::optional<std::string_view>> LineReader::next() {
  ++line_number_;
  for (;;) {
    const char* const found =
        static_cast<const char*>(std::memchr(buffer_.data() + scanned_, '\n', end_ - scanned_));
    const bool whole = found != nullptr || ended_;
    const size_t line_end = found == nullptr ? end_ : static_cast<size_t>(found - buffer_.data());
    std::string_view line(buffer_.data() + begin_, line_end - begin_);
    if (line.size() > max_line_size_) {
      return internal::make_error(StatusCode::kInvalidArgument, "longer than ", max_line_size_,
                                  " bytes");
    }
    if (whole) {
      if (found == nullptr && line.empty()) return std::optional<std::string_view>();
      begin_ = scanned_ = found == nullptr ? end_ : line_end + 1;
      offset_ += line.size() + (found == nullptr ? 0 : 1);
      if (line_number_ == 1 && line.starts_with(kByteOrderMark)) {
        line.remove_prefix(kByteOrderMark.size());
      }
      if (line.ends_with('\r')) line.remove_suffix(1);
      return std::optional(line);
    }
    scanned_ = end_;
    if (Status s = fill(); !s.ok()) return s;
  }
}

}  // namespace rkvs::cli
