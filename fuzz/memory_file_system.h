// A file system that is one directory with one file, in memory: what a load needs and nothing else.
#ifndef RKVS_FUZZ_MEMORY_FILE_SYSTEM_H_
#define RKVS_FUZZ_MEMORY_FILE_SYSTEM_H_

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace rkvs::fuzz {

class MemoryFileSystem : public internal::FileSystem {
 public:
  static constexpr const char* kFile = "f";

  explicit MemoryFileSystem(std::string_view bytes) : bytes_(bytes) {}

  int make_directory(const char*) override { return -EEXIST; }
  int open_directory(const char*) override { return kDirectory; }
  int open(int, const char* name, OpenMode mode) override {
    if (mode == OpenMode::kCreateExclusive) return -EROFS;
    return std::string_view(name) == kFile ? kOpenFile : -ENOENT;
  }
  int close(int) override { return 0; }
  int64_t write(int, const char*, size_t) override { return -EROFS; }
  int64_t read_at(int, char* data, size_t size, uint64_t offset) override {
    const std::string_view left = bytes_.substr(std::min<uint64_t>(offset, bytes_.size()), size);
    if (!left.empty()) std::memcpy(data, left.data(), left.size());
    return static_cast<int64_t>(left.size());
  }
  int start_writeback(int, uint64_t, uint64_t) override { return 0; }
  int sync(int) override { return 0; }
  int stat(int fd, internal::FileInfo* info) override {
    *info = {};
    info->inode = static_cast<uint64_t>(fd);
    info->links = 1;
    if (fd == kOpenFile) {
      info->size = bytes_.size();
      info->regular = true;
    }
    return 0;
  }
  int stat_at(int, const char* name, internal::FileInfo* info) override {
    return std::string_view(name) == kFile ? stat(kOpenFile, info) : -ENOENT;
  }
  int rename(int, const char*, const char*) override { return -EROFS; }
  int link(int, const char*, const char*) override { return -EROFS; }
  int unlink(int, const char*) override { return -EROFS; }
  int list(int, std::vector<std::string>* names) override {
    names->push_back(kFile);
    return 0;
  }
  int lock(int) override { return 0; }

 private:
  static constexpr int kDirectory = 1000;
  static constexpr int kOpenFile = 1001;

  const std::string_view bytes_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_MEMORY_FILE_SYSTEM_H_
