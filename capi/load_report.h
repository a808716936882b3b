// rkvs_load_report: what initialising found.
#ifndef RKVS_CAPI_LOAD_REPORT_H_
#define RKVS_CAPI_LOAD_REPORT_H_

#include <rkvs/manager.h>

#include <memory>
#include <utility>

#include "capi/internal.h"

struct rkvs_load_report : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B5231;
  explicit rkvs_load_report(rkvs::LoadReport what) : Handle(kMagic), report(std::move(what)) {}

  const rkvs::LoadReport report;
};

namespace rkvs::capi {

struct ReleaseLoadReport {
  void operator()(rkvs_load_report* report) const noexcept { rkvs_load_report_release(report); }
};
using LoadReportRef = std::unique_ptr<rkvs_load_report, ReleaseLoadReport>;

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_LOAD_REPORT_H_
