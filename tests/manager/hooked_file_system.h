// A FileSystem that asks a test before each call.
#ifndef RKVS_TESTS_MANAGER_HOOKED_FILE_SYSTEM_H_
#define RKVS_TESTS_MANAGER_HOOKED_FILE_SYSTEM_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace rkvs::manager_test {

class HookedFileSystem : public internal::FileSystem {
 public:
  // Gets the name of the function that is being called. 0 lets the call through, -errno is what it
  // returns instead. Called by whichever thread makes the call; set it while there is none.
  using Hook = std::function<int(std::string_view call)>;
  void set_hook(Hook hook) { hook_ = std::move(hook); }

  int make_directory(const char* path) override {
    return call("make_directory", [&] { return real_.make_directory(path); });
  }
  int open_directory(const char* path) override {
    return call("open_directory", [&] { return real_.open_directory(path); });
  }
  int open(int directory, const char* name, OpenMode mode) override {
    return call(mode == OpenMode::kCreateExclusive ? "create" : "open",
                [&] { return real_.open(directory, name, mode); });
  }
  // Never fails: what it is asked to close is closed.
  int close(int fd) override { return real_.close(fd); }
  int64_t write(int fd, const char* data, size_t size) override {
    return call("write", [&] { return real_.write(fd, data, size); });
  }
  int64_t read_at(int fd, char* data, size_t size, uint64_t offset) override {
    return call("read_at", [&] { return real_.read_at(fd, data, size, offset); });
  }
  int start_writeback(int fd, uint64_t offset, uint64_t size) override {
    return call("start_writeback", [&] { return real_.start_writeback(fd, offset, size); });
  }
  int sync(int fd) override {
    internal::FileInfo info;
    const bool file = real_.stat(fd, &info) == 0 && info.regular;
    return call(file ? "sync" : "sync_directory", [&] { return real_.sync(fd); });
  }
  int stat(int fd, internal::FileInfo* info) override {
    return call("stat", [&] { return real_.stat(fd, info); });
  }
  int stat_at(int directory, const char* name, internal::FileInfo* info) override {
    return call("stat_at", [&] { return real_.stat_at(directory, name, info); });
  }
  int rename(int directory, const char* from, const char* to) override {
    return call("rename", [&] { return real_.rename(directory, from, to); });
  }
  int link(int directory, const char* from, const char* to) override {
    return call("link", [&] { return real_.link(directory, from, to); });
  }
  int unlink(int directory, const char* name) override {
    return call("unlink", [&] { return real_.unlink(directory, name); });
  }
  int list(int directory, std::vector<std::string>* names) override {
    return call("list", [&] { return real_.list(directory, names); });
  }
  int lock(int fd) override {
    return call("lock", [&] { return real_.lock(fd); });
  }

 private:
  template <typename Real>
  auto call(std::string_view name, Real real) -> decltype(real()) {
    const int result = hook_ ? hook_(name) : 0;
    return result != 0 ? result : real();
  }

  internal::FileSystem& real_ = internal::FileSystem::posix();
  Hook hook_;
};

}  // namespace rkvs::manager_test

#endif  // RKVS_TESTS_MANAGER_HOOKED_FILE_SYSTEM_H_
