// The text of metrics, as far as a program needs no parser for it; tests/metrics has one.
#include "manager/metrics_text.h"

#include <gtest/gtest.h>
#include <rkvs/manager.h>

#include <string>

#include "tests/support/test_util.h"

namespace rkvs {
namespace {

using rkvs::testing::is_ok;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(MetricsText, EscapesWhatALabelMayNotHold) {
  internal::NamespaceFigures figures;
  figures.stats.name = "a\"b\\c\nd";
  const std::string text = internal::metrics_text({figures}, internal::SaveMetrics());
  EXPECT_TRUE(contains(text, "{namespace=\"a\\\"b\\\\c\\nd\"}")) << text;
}

TEST(MetricsText, OfNoNamespacesTellsOfSavesAlone) {
  const std::string text = internal::metrics_text({}, internal::SaveMetrics());
  EXPECT_FALSE(contains(text, "namespace=")) << text;
  EXPECT_TRUE(contains(text, "_seconds_count{phase=\"write\"} 0\n")) << text;
}

TEST(MetricsText, HasHistogramsOnlyOfNamespacesThatAreMeasured) {
  for (const bool measured : {false, true}) {
    StorageOptions options;
    options.detailed_metrics = measured;
    StorageManager manager(options);
    ASSERT_TRUE(is_ok(manager.initialize()));
    auto ns = manager.create_namespace("a");
    ASSERT_TRUE(is_ok(ns));
    ASSERT_TRUE(is_ok(ns->put("k", "v")));
    ASSERT_TRUE(is_ok(ns->get("k")));
    const auto text = manager.metrics_text();
    ASSERT_TRUE(is_ok(text));
    EXPECT_EQ(contains(*text, "rkvs_operation_seconds_bucket{namespace=\"a\",operation="),
              measured);
    EXPECT_EQ(contains(*text, "rkvs_lock_wait_seconds_count{namespace=\"a\"}"), measured);
  }
}

}  // namespace
}  // namespace rkvs
