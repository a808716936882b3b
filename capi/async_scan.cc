// The asynchronous step of a scan.
#include <cstddef>
#include <utility>

#include "capi/async_work.h"
#include "capi/batch.h"
#include "capi/scan.h"

using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace {

// A step of a scan, which it has from its beginning to its end.
struct ScanWork : LongNamespaceWork {
  ScanWork(rkvs_scan* of, std::size_t most)
      : LongNamespaceWork(of->ns, RKVS_OP_SCAN_NEXT), scan(of), limit(most) {}
  ScanWork(ScanWork&& other) noexcept
      : LongNamespaceWork(std::move(other)),
        scan(other.scan),
        limit(other.limit),
        scan_owner(std::move(other.scan_owner)),
        has_claim(std::exchange(other.has_claim, false)) {}
  ScanWork& operator=(ScanWork&&) = delete;
  ~ScanWork() { give_back(); }

  bool claim() {
    has_claim = !scan->busy.exchange(true, std::memory_order_acquire);
    return has_claim;
  }
  void give_back() noexcept {
    if (std::exchange(has_claim, false)) scan->busy.store(false, std::memory_order_release);
  }
  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    if (Status bad = next_items(*scan, limit, outcome.completion.batch); !bad.ok()) {
      return bad;
    }
    outcome.completion.number = scan->left_over.empty() && scan->scan.is_done() ? 1 : 0;
    return Status();
  }
  // Whoever is told may take the next step at once.
  void before_delivery() noexcept { give_back(); }
  void own() {
    LongNamespaceWork::own();
    scan_owner.reset(retain(scan));
  }
  void let_go() noexcept {
    give_back();
    scan_owner.reset();
    LongNamespaceWork::let_go();
  }

  rkvs_scan* scan;
  std::size_t limit;
  HandleRef<rkvs_scan> scan_owner{};
  bool has_claim = false;
};

}  // namespace

rkvs_status rkvs_scan_next_async(rkvs_scan* scan, size_t limit, const rkvs_async* how,
                                 rkvs_completion* out, rkvs_operation** operation,
                                 rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check(scan)) return refuse_argument(bad, error, "not a scan");
    if (limit == 0) return refuse(StatusCode::kInvalidArgument, error, "a limit of 0");
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    ScanWork work(scan, limit);
    if (!work.claim()) return refuse(StatusCode::kBusy, error, "another step of this scan is on");
    return launch(work, delivery, out, operation, error);
  });
}
