// Lines out of a file or standard input.
#ifndef RKVS_CLI_INPUT_H_
#define RKVS_CLI_INPUT_H_

#include <rkvs/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace rkvs::cli {

// Reads line after line, in memory of the longest line's size. A line ends with '\n', "\r\n" or the
// end of the input; a byte order mark in front of the first is skipped.
class LineReader {
 public:
  // "-" is standard input. SnapshotNotFound where there is no such file, Io.
  static Result<std::unique_ptr<LineReader>> open(const std::string& path, uint64_t max_line_size);

  // For messages: the path, or "standard input".
  const std::string& name() const { return name_; }
  // The whole input's size in bytes, 0 where it is not a regular file.
  uint64_t size() const { return size_; }
  // The descriptor, to tell whether it is a certain file.
  int fd() const { return handle_.fd(); }

  // The next line without its end, valid until the next call; nullopt when there is none left.
  // InvalidArgument where it is too long, Io, Cancelled. Throws std::bad_alloc.
  Result<std::optional<std::string_view>> next();
  // Of the line that next() returned last, or stumbled over; the first is 1.
  uint64_t line_number() const { return line_number_; }
  // Bytes of the input so far.
  uint64_t offset() const { return offset_; }

 private:
  LineReader(std::string name, internal::FileHandle handle, uint64_t size, uint64_t max_line_size)
      : name_(std::move(name)),
        handle_(std::move(handle)),
        size_(size),
        max_line_size_(max_line_size) {}

  Status fill();

  const std::string name_;
  internal::FileHandle handle_;
  const uint64_t size_;
  const uint64_t max_line_size_;
  std::string buffer_;
  size_t begin_ = 0;    // of what is left of the buffer
  size_t scanned_ = 0;  // no line ends between begin_ and here
  size_t end_ = 0;      // of the bytes in the buffer
  bool ended_ = false;
  uint64_t line_number_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_INPUT_H_
