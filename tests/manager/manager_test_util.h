// What the tests of the manager share: directories and files as text, codes with their messages in
// one expectation, and what a namespace holds.
#ifndef RKVS_TESTS_MANAGER_MANAGER_TEST_UTIL_H_
#define RKVS_TESTS_MANAGER_MANAGER_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/namespace_impl.h"
#include "tests/support/test_util.h"

namespace rkvs::manager_test {

using testing::is_instrumented;
using testing::test_scale;
using testing::Threads;

// A directory for snapshots that goes away with everything in it.
class TempDir : public testing::TempDir {
 public:
  std::filesystem::path operator/(std::string_view name) const { return path() / name; }
  // What is in it, those that begin with a dot too, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.flush().good()) << path;
}

inline StatusCode code_of(const Status& status) { return status.code(); }
template <typename T>
StatusCode code_of(const Result<T>& result) {
  return result.code();
}
inline StatusCode code_of(const BatchResult& result) { return result.status.code(); }

inline std::string text_of(const Status& status) { return status.to_string(); }
template <typename T>
std::string text_of(const Result<T>& result) {
  return result.status().to_string();
}
inline std::string text_of(const BatchResult& result) { return result.status.to_string(); }

template <typename T>
::testing::AssertionResult has_code(const T& outcome, StatusCode expected) {
  if (code_of(outcome) == expected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "expected " << status_code_name(expected) << ", got " << text_of(outcome);
}

#define EXPECT_CODE(outcome, code) \
  EXPECT_TRUE(::rkvs::manager_test::has_code((outcome), ::rkvs::StatusCode::code))
#define ASSERT_CODE(outcome, code) \
  ASSERT_TRUE(::rkvs::manager_test::has_code((outcome), ::rkvs::StatusCode::code))
#define EXPECT_OK(outcome) EXPECT_CODE(outcome, kOk)
#define ASSERT_OK(outcome) ASSERT_CODE(outcome, kOk)

// A manager that keeps its files in `directory`, not initialised.
inline StorageManager manager_in(const TempDir& directory, StorageConfig config = {}) {
  return StorageManager({.config = config, .directory = directory.path()});
}

// The namespace of this name, which must be there.
inline Namespace find(const StorageManager& manager, std::string_view name) {
  auto found = manager.get_namespace(name);
  EXPECT_OK(found) << name;
  return found.ok() ? *std::move(found) : Namespace();
}

using Contents = std::map<std::string, std::string>;

inline Contents contents_of(const Namespace& ns) {
  Contents contents;
  const auto keys = ns.list_keys();
  EXPECT_OK(keys);
  if (!keys.ok()) return contents;
  for (const std::string& key : *keys) {
    const auto value = ns.get(key);
    EXPECT_OK(value);
    if (value.ok()) contents[key] = value->to_string();
  }
  EXPECT_EQ(contents.size(), keys->size()) << "a key is listed twice";
  return contents;
}

inline void fill(Namespace ns, const Contents& contents) {
  for (const auto& [key, value] : contents) EXPECT_OK(ns.put(key, value));
}

// The version that the key's entry has; nothing where there is no such key.
inline std::optional<uint64_t> version_of(const Namespace& ns, std::string_view key) {
  using namespace rkvs::internal;
  NamespaceImpl& impl = NamespaceImpl::of(ns);
  const HashedKey hashed = impl.shards().hashed(key);
  Deadline never = Deadline::never();
  const OwnerLock<Access::kRead> lock(impl.shards(), hashed, never);
  const Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  const Entry* entry = shard.find(hashed);
  if (entry == nullptr) return std::nullopt;
  return entry->version();
}

}  // namespace rkvs::manager_test

#endif  // RKVS_TESTS_MANAGER_MANAGER_TEST_UTIL_H_
