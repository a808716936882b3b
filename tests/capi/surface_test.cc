// What rkvs.h declares, read as a text: that each function which may wait has an asynchronous form,
// and that the C programs call every function.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace rkvs::capi_test {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The parameters of every function of the header, as they stand there.
std::map<std::string, std::vector<std::string>> declared_functions() {
  std::string header = read_file(RKVS_HEADER);
  // Comments by hand: the standard's expressions recurse for every character of a long one.
  for (size_t begin = header.find("/*"); begin != std::string::npos; begin = header.find("/*")) {
    header.erase(begin, header.find("*/", begin) + 2 - begin);
  }
  header = std::regex_replace(header, std::regex("\\s+"), " ");
  std::map<std::string, std::vector<std::string>> functions;
  const std::regex declaration("(rkvs_[a-z_]+)\\( ?([^()]*)\\);");
  for (std::sregex_iterator it(header.begin(), header.end(), declaration), end; it != end; ++it) {
    std::vector<std::string> parameters;
    const std::string list = (*it)[2];
    const std::regex comma(", ?");
    std::copy(std::sregex_token_iterator(list.begin(), list.end(), comma, -1),
              std::sregex_token_iterator(), std::back_inserter(parameters));
    functions[(*it)[1]] = parameters;
  }
  return functions;
}

// What waits for nothing, and so has no asynchronous form; by the reason. Functions that are called
// _init, _retain and _release are not listed: they fill in, count and let go.
const std::set<std::string>& without_async_form() {
  static const auto* const names = new std::set<std::string>{
      // About the library.
      "rkvs_abi_version", "rkvs_version_string", "rkvs_status_name", "rkvs_has_feature",
      "rkvs_sizeof",
      // Make a handle, in memory alone.
      "rkvs_manager_open", "rkvs_queue_create", "rkvs_atomic_batch_create",
      "rkvs_namespace_scan_open",
      // Read one word of a handle.
      "rkvs_manager_is_initialized", "rkvs_manager_has_persistence", "rkvs_namespace_name",
      "rkvs_scan_is_done",
      // Read what does not change any more.
      "rkvs_error_code", "rkvs_error_message", "rkvs_error_index", "rkvs_value_data",
      "rkvs_value_size", "rkvs_value_view", "rkvs_list_count", "rkvs_list_item", "rkvs_list_packed",
      "rkvs_list_numbers", "rkvs_list_namespace_stats", "rkvs_list_autosave_status",
      "rkvs_list_namespace_config", "rkvs_list_manager_config", "rkvs_list_shard_stats",
      "rkvs_list_load_report", "rkvs_load_report_file", "rkvs_load_report_namespaces",
      "rkvs_load_report_keys", "rkvs_load_report_skipped_count", "rkvs_load_report_skipped",
      "rkvs_batch_result_count", "rkvs_batch_result_status", "rkvs_batch_result_item_status",
      "rkvs_batch_result_item", "rkvs_batch_result_value", "rkvs_batch_result_view",
      // Fill a batch that belongs to one thread.
      "rkvs_atomic_batch_size", "rkvs_atomic_batch_clear", "rkvs_atomic_batch_set",
      "rkvs_atomic_batch_add", "rkvs_atomic_batch_update", "rkvs_atomic_batch_delete_key",
      "rkvs_atomic_batch_consume", "rkvs_atomic_batch_compare_and_set",
      "rkvs_atomic_batch_compare_and_delete", "rkvs_atomic_batch_increment",
      "rkvs_atomic_batch_decrement", "rkvs_atomic_batch_check_version",
      "rkvs_atomic_batch_check_exists", "rkvs_atomic_batch_check_absent",
      // Answer, inside of a transform's callback.
      "rkvs_transform_set", "rkvs_transform_remove",
      // What asynchronous calls are made of; rkvs_queue_wait is for those who want to wait.
      "rkvs_completion_clear", "rkvs_queue_fd", "rkvs_queue_poll", "rkvs_queue_wait",
      "rkvs_queue_close", "rkvs_operation_cancel"};
  return *names;
}

bool needs_async_form(const std::string& name) {
  return !ends_with(name, "_init") && !ends_with(name, "_retain") && !ends_with(name, "_release") &&
         !ends_with(name, "_async") && without_async_form().count(name) == 0;
}

TEST(CApiSurface, EveryFunctionThatMayWaitHasAnAsynchronousForm) {
  const auto functions = declared_functions();
  ASSERT_GT(functions.size(), 200U);
  size_t forms = 0;
  for (const auto& [name, parameters] : functions) {
    if (!needs_async_form(name)) continue;
    EXPECT_EQ(functions.count(name + "_async"), 1U) << name;
    ++forms;
  }
  for (const auto& [name, parameters] : functions) {
    if (!ends_with(name, "_async")) continue;
    EXPECT_TRUE(needs_async_form(name.substr(0, name.size() - 6))) << name;
    --forms;
  }
  EXPECT_EQ(forms, 0U);
  for (const std::string& name : without_async_form()) EXPECT_EQ(functions.count(name), 1U) << name;
}

// The inputs of the synchronous form, in its order, and then the same four everywhere.
TEST(CApiSurface, AsynchronousFormsTakeTheInputsOfTheOthers) {
  const std::vector<std::string> last = {"const rkvs_async* how", "rkvs_completion* out",
                                         "rkvs_operation** operation", "rkvs_error** error"};
  const auto functions = declared_functions();
  for (const auto& [name, parameters] : functions) {
    if (!ends_with(name, "_async")) continue;
    SCOPED_TRACE(name);
    ASSERT_GT(parameters.size(), last.size());
    const auto tail = parameters.end() - static_cast<std::ptrdiff_t>(last.size());
    EXPECT_TRUE(std::equal(tail, parameters.end(), last.begin()));
    const auto& inputs = functions.at(name.substr(0, name.size() - 6));
    auto next = inputs.begin();
    for (auto it = parameters.begin(); it != tail; ++it) {
      next = std::find(next, inputs.end(), *it);
      ASSERT_NE(next, inputs.end()) << *it;
      ++next;
    }
    // What it leaves out is an output, the error, or in `how`.
    for (const std::string& input : inputs) {
      if (std::find(parameters.begin(), tail, input) != tail) continue;
      EXPECT_TRUE(input.find("* ") != std::string::npos || input == "size_t item_size" ||
                  input == "size_t capacity")
          << input;
      EXPECT_TRUE(input.rfind("const ", 0) != 0 || input == "const rkvs_operation_options* options")
          << input;
    }
  }
}

TEST(CApiSurface, TheCProgramsCallEveryFunction) {
  const std::string programs =
      read_file(RKVS_C_PROGRAMS "/c_api_test.c") + read_file(RKVS_C_PROGRAMS "/c_async_test.c");
  std::set<std::string> called;
  const std::regex call("(rkvs_[a-z_]+)\\(");
  // AWAIT(kind, rkvs_X, ...) calls rkvs_X_async.
  const std::regex awaited("AWAIT\\(RKVS_OP_[A-Z_]+,\\s+(rkvs_[a-z_]+),");
  const std::sregex_iterator end;
  for (std::sregex_iterator it(programs.begin(), programs.end(), call); it != end; ++it) {
    called.insert((*it)[1]);
  }
  for (std::sregex_iterator it(programs.begin(), programs.end(), awaited); it != end; ++it) {
    called.insert((*it)[1].str() + "_async");
  }
  for (const auto& [name, parameters] : declared_functions()) {
    EXPECT_EQ(called.count(name), 1U) << name;
  }
}

}  // namespace
}  // namespace rkvs::capi_test
