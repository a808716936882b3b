#include "base/wait_limit.h"

namespace rkvs::internal {

__thread WaitLimit* WaitLimit::current_ __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace rkvs::internal
