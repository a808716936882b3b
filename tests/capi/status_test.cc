// Codes and errors of the C API as such.
#include <gtest/gtest.h>
#include <rkvs/status.h>

#include <cctype>
#include <set>
#include <string>
#include <string_view>

#include "capi/rkvs.h"

namespace rkvs {
namespace {

// "NotFound" becomes "NOT_FOUND".
std::string upper_snake(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const auto letter = static_cast<unsigned char>(c);
    if (!text.empty() && std::isupper(letter) != 0) text += '_';
    text += static_cast<char>(std::toupper(letter));
  }
  return text;
}

TEST(CApiStatus, NamesOfCodesAreThoseOfCpp) {
  std::set<std::string> names;
  for (int32_t code = -32; code <= 4; ++code) {
    const std::string prefix = code < 0 ? "RKVS_E_" : "RKVS_";
    const std::string name = rkvs_status_name(code);
    EXPECT_EQ(name, prefix + upper_snake(status_code_name(static_cast<StatusCode>(code)))) << code;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_STREQ(rkvs_status_name(RKVS_DONE), "RKVS_DONE");
  EXPECT_STREQ(rkvs_status_name(RKVS_PENDING), "RKVS_PENDING");
  for (const int32_t code : {-33, 5, 15, 18, 1000}) {
    EXPECT_STREQ(rkvs_status_name(code), "RKVS_UNKNOWN") << code;
  }
}

TEST(CApiStatus, FeaturesAreThoseThatTheHeaderLists) {
  for (int32_t feature = RKVS_FEATURE_PERSISTENCE; feature <= RKVS_FEATURE_METRICS; ++feature) {
    EXPECT_EQ(rkvs_has_feature(feature), 1) << feature;
  }
  EXPECT_EQ(rkvs_has_feature(RKVS_FEATURE_PERSISTENCE - 1), 0);
  EXPECT_EQ(rkvs_has_feature(RKVS_FEATURE_METRICS + 1), 0);
}

TEST(CApiStatus, AnErrorLivesAsLongAsItsLastReference) {
  rkvs_error* error = nullptr;
  rkvs_manager* manager = nullptr;
  ASSERT_LT(rkvs_manager_open(RKVS_ABI_VERSION + 1, nullptr, &manager, &error), 0);
  ASSERT_NE(error, nullptr);
  const rkvs_status code = rkvs_error_code(error);
  const std::string message = rkvs_error_message(error);
  EXPECT_FALSE(message.empty());
  EXPECT_EQ(rkvs_error_retain(error), error);
  rkvs_error_release(error);
  EXPECT_EQ(rkvs_error_code(error), code);
  EXPECT_EQ(rkvs_error_message(error), message);
  EXPECT_EQ(rkvs_error_index(error), -1);
  rkvs_error_release(error);
}

TEST(CApiStatus, NoErrorIsOkAndHasNoMessage) {
  EXPECT_EQ(rkvs_error_code(nullptr), RKVS_OK);
  EXPECT_STREQ(rkvs_error_message(nullptr), "");
  EXPECT_EQ(rkvs_error_index(nullptr), -1);
  EXPECT_EQ(rkvs_error_retain(nullptr), nullptr);
  rkvs_error_release(nullptr);
}

}  // namespace
}  // namespace rkvs
