// All keys of a namespace: listed, walked through, removed.
#include "capi/scan.h"

#include <memory>
#include <string>
#include <utility>

#include "capi/batch.h"
#include "capi/list.h"
#include "capi/manager.h"
#include "capi/options.h"

using rkvs::ScanOptions;
using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace rkvs::capi {

Status next_items(rkvs_scan& scan, std::size_t limit, rkvs_batch_result*& items) {
  if (scan.left_over.empty()) {
    auto next = scan.scan.next(limit);
    if (!next.ok()) return next.status();
    scan.left_over = std::move(next.value());
  }
  items = make_scan_result(scan.left_over);
  scan.left_over.clear();
  return Status();
}

}  // namespace rkvs::capi

rkvs_status rkvs_namespace_list_keys(rkvs_namespace* ns, rkvs_list** keys, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(keys, error)) return bad;
    *keys = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    const auto listed = ns->ns.list_keys();
    if (!listed.ok()) return finish(listed.status(), error);
    *keys = make_list(*listed);
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_scan_open(rkvs_namespace* ns, const rkvs_scan_options* options,
                                     rkvs_scan** scan, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(scan, error)) return bad;
    *scan = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    rkvs_scan_options from;
    if (const Status bad = read_struct(options, from); !bad.ok()) return finish(bad, error);
    if ((from.flags & ~uint32_t{RKVS_SCAN_KEYS_ONLY}) != 0) {
      return refuse(StatusCode::kUnsupported, error, "a flag of scans that is not known");
    }
    if (const rkvs_status bad = check_key(from.prefix, from.prefix_size)) {
      return refuse_argument(bad, error, "the prefix is NULL");
    }
    auto begun = ns->ns.scan(ScanOptions{.prefix = std::string(view(from.prefix, from.prefix_size)),
                                         .with_values = (from.flags & RKVS_SCAN_KEYS_ONLY) == 0});
    if (!begun.ok()) return finish(begun.status(), error);
    *scan = new rkvs_scan(ns, std::move(begun.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_scan_next(rkvs_scan* scan, size_t limit, rkvs_batch_result** items,
                           rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(items, error)) return bad;
    *items = nullptr;
    if (const rkvs_status bad = check(scan)) return refuse_argument(bad, error, "not a scan");
    const ScanClaim claim(*scan);
    if (!claim.held()) return refuse(StatusCode::kBusy, error, "another step of this scan is on");
    return finish(next_items(*scan, limit, *items), error);
  });
}

rkvs_status rkvs_scan_is_done(rkvs_scan* scan) {
  if (const rkvs_status bad = check(scan)) return bad;
  const ScanClaim claim(*scan);
  return claim.held() && scan->left_over.empty() && scan->scan.is_done() ? 1 : 0;
}

rkvs_scan* rkvs_scan_retain(rkvs_scan* scan) { return retain(scan); }
void rkvs_scan_release(rkvs_scan* scan) { release(scan); }

rkvs_status rkvs_namespace_delete_prefix(rkvs_namespace* ns, const void* prefix, size_t prefix_size,
                                         uint64_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (count != nullptr) *count = 0;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    if (const rkvs_status bad = check_key(prefix, prefix_size)) {
      return refuse_argument(bad, error, "the prefix is NULL");
    }
    const auto removed = ns->ns.delete_prefix(view(prefix, prefix_size));
    if (!removed.ok()) return finish(removed.status(), error);
    if (count != nullptr) *count = *removed;
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_clear(rkvs_namespace* ns, uint64_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (count != nullptr) *count = 0;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    const auto removed = ns->ns.clear();
    if (!removed.ok()) return finish(removed.status(), error);
    if (count != nullptr) *count = *removed;
    return RKVS_OK;
  });
}
