#include "capi/load_report.h"

#include <string_view>
#include <utility>

#include "capi/manager.h"

using rkvs::LoadReport;
using rkvs::StatusCode;
using namespace rkvs::capi;

rkvs_status rkvs_manager_load_report(rkvs_manager* manager, rkvs_load_report** report,
                                     rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(report, error)) return bad;
    *report = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    auto found = manager->manager.load_report();
    if (!found.ok()) return finish(found.status(), error);
    *report = new rkvs_load_report(std::move(found.value()));
    return RKVS_OK;
  });
}

const char* rkvs_load_report_file(const rkvs_load_report* report) {
  return is_valid(report) ? report->report.file.c_str() : "";
}

uint64_t rkvs_load_report_namespaces(const rkvs_load_report* report) {
  return is_valid(report) ? report->report.namespaces : 0;
}

uint64_t rkvs_load_report_keys(const rkvs_load_report* report) {
  return is_valid(report) ? report->report.keys : 0;
}

size_t rkvs_load_report_skipped_count(const rkvs_load_report* report) {
  return is_valid(report) ? report->report.skipped.size() : 0;
}

rkvs_status rkvs_load_report_skipped(const rkvs_load_report* report, size_t index,
                                     const char** file, rkvs_status* reason, const char** message,
                                     rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(report)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a report");
    if (index >= report->report.skipped.size()) {
      return refuse(StatusCode::kInvalidArgument, error, "file ", index, " of ",
                    report->report.skipped.size());
    }
    const LoadReport::Skipped& skipped = report->report.skipped[index];
    if (file != nullptr) *file = skipped.file.c_str();
    if (reason != nullptr) *reason = code_of(skipped.reason.code());
    if (message != nullptr) {
      // A Status keeps its message in a std::string: a NUL follows it.
      const std::string_view text = skipped.reason.message();
      *message = text.data() == nullptr ? "" : text.data();
    }
    return RKVS_OK;
  });
}

rkvs_load_report* rkvs_load_report_retain(rkvs_load_report* report) {
  return rkvs::capi::retain(report);
}
void rkvs_load_report_release(rkvs_load_report* report) { rkvs::capi::release(report); }
