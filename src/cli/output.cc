#include "cli/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/file_error.h"
#include "cli/interrupt.h"

namespace rkvs::cli {
namespace {

constexpr size_t kBufferSize = size_t{64} << 10;

class StandardOutput : public Output {
 public:
  Status append(std::string_view data) override {
    if (!status_.ok()) return status_;
    if (buffer_.size() + data.size() > kBufferSize) {
      if (Status s = flush(); !s.ok()) return s;
    }
    if (data.size() >= kBufferSize) return status_ = write_all(data);
    buffer_.append(data);
    return {};
  }
  Status finish() override { return status_.ok() ? flush() : status_; }

 private:
  Status flush() {
    status_ = write_all(buffer_);
    buffer_.clear();
    return status_;
  }

  static Status write_all(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = write(STDOUT_FILENO, data.data(), data.size());
      if (n >= 0) {
        data.remove_prefix(static_cast<size_t>(n));
        continue;
      }
      const int error = errno;
      if (error == EPIPE) return StatusCode::kCancelled;
      if (error == EAGAIN) {
        // Somebody has made it non-blocking for reasons of their own.
        struct pollfd out = {STDOUT_FILENO, POLLOUT, 0};
        poll(&out, 1, /*milliseconds*/ 100);
      } else if (error != EINTR) {
        return internal::io_error("write", "standard output", error);
      }
      if (Status s = check_interrupted(); !s.ok()) return s;
    }
    return {};
  }

  std::string buffer_;
  Status status_;
};

class FileOutput : public Output {
 public:
  explicit FileOutput(internal::Directory directory) : directory_(std::move(directory)) {}

  Status open(const std::string& name) {
    auto file = internal::AtomicFile::create(directory_, name, /*generations*/ 1);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    return {};
  }
  Status append(std::string_view data) override { return file_->append(data); }
  Status finish() override { return file_->commit(); }

 private:
  internal::Directory directory_;
  std::unique_ptr<internal::AtomicFile> file_;  // refers to directory_
};

}  // namespace

std::unique_ptr<Output> standard_output() { return std::make_unique<StandardOutput>(); }

Result<std::unique_ptr<Output>> file_output(const std::string& path) {
  std::error_code ignored;
  const auto type = std::filesystem::symlink_status(path, ignored).type();
  if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::none &&
      type != std::filesystem::file_type::regular) {
    return internal::make_error(StatusCode::kInvalidArgument, "\"", path,
                                "\" is not a regular file; it is left alone");
  }
  auto directory = internal::Directory::open(directory_of(path));
  if (!directory.ok()) return directory.status();
  auto output = std::make_unique<FileOutput>(*std::move(directory));
  if (Status s = output->open(std::filesystem::path(path).filename().string()); !s.ok()) return s;
  return std::unique_ptr<Output>(std::move(output));
}

std::string directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code missing;
  return std::filesystem::equivalent(a, b, missing) && !missing;
}

Status print(const std::string& text) {
  StandardOutput output;
  if (Status s = output.append(text); !s.ok()) return s;
  return output.finish();
}

}  // namespace rkvs::cli
