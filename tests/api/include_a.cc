// Every public header, each twice, in one order; include_b.cc has them in the other. The two are
// linked into one program: what a header defines must be one thing in both.
#include <rkvs/all.h>
#include <rkvs/async_access.h>
#include <rkvs/async_operation.h>
#include <rkvs/atomic_batch.h>
#include <rkvs/autosave.h>
#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/version.h>
#include <rkvs/write_options.h>
// Again.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <rkvs/async_access.h>
#include <rkvs/async_operation.h>
#include <rkvs/atomic_batch.h>
#include <rkvs/autosave.h>
#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/version.h>
#include <rkvs/write_options.h>

#include <string>
#include <type_traits>

#include "tests/api/include_b.h"

namespace {

TEST(PublicHeaders, ConstantsAreOneInTheWholeProgram) {
  EXPECT_EQ(&rkvs::kMaxNamespaceNameSize, include_b::max_namespace_name_size());
  EXPECT_EQ(&rkvs::kMaxShardCount, include_b::max_shard_count());
  EXPECT_EQ(&rkvs::kMinLockTimeout, include_b::min_lock_timeout());
}

TEST(PublicHeaders, FunctionsAreOneInTheWholeProgram) {
  // Inline functions and members of templates.
  EXPECT_EQ(&rkvs::is_error, include_b::is_error_function());
  using View = std::string_view (rkvs::Value::*)() const;
  EXPECT_EQ(static_cast<View>(&rkvs::Value::view), include_b::view_function());
  EXPECT_EQ(&rkvs::Result<rkvs::Value>::ok, include_b::result_ok_function());
}

TEST(PublicHeaders, TypesGoFromOneFileToAnother) {
  rkvs::StorageManager manager = include_b::make_manager();
  ASSERT_TRUE(manager.initialize().ok());
  rkvs::Result<rkvs::Namespace> ns = manager.create_namespace("n");
  ASSERT_TRUE(ns.ok());
  ASSERT_TRUE(ns->put("k", "v").ok());
  const rkvs::Result<rkvs::Value> value = include_b::get(*ns, "k");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, "v");
  const rkvs::BatchResult batch = include_b::get_both(*ns, "k", "absent");
  EXPECT_EQ(batch.items[1].code, rkvs::StatusCode::kNotFound);
  EXPECT_FALSE(batch.is_success());
}

TEST(PublicHeaders, VersionOfHeadersAndLibraryAgree) {
  EXPECT_EQ(rkvs::version(), RKVS_VERSION_STRING);
  EXPECT_EQ(std::string(RKVS_VERSION_STRING), std::to_string(RKVS_VERSION_MAJOR) + "." +
                                                  std::to_string(RKVS_VERSION_MINOR) + "." +
                                                  std::to_string(RKVS_VERSION_PATCH));
}

// What programs rely on when they keep these in their own containers.
static_assert(std::is_nothrow_move_constructible_v<rkvs::Value>);
static_assert(std::is_nothrow_copy_constructible_v<rkvs::Value>);
static_assert(std::is_nothrow_move_constructible_v<rkvs::Status>);
static_assert(std::is_nothrow_copy_constructible_v<rkvs::Status>);
static_assert(std::is_nothrow_move_constructible_v<rkvs::Namespace>);
static_assert(std::is_copy_constructible_v<rkvs::Namespace>);
static_assert(std::is_nothrow_move_constructible_v<rkvs::StorageManager>);
static_assert(!std::is_copy_constructible_v<rkvs::StorageManager>);
static_assert(std::is_aggregate_v<rkvs::NamespaceConfig>);
static_assert(std::is_aggregate_v<rkvs::StorageOptions>);

}  // namespace
