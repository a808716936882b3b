// Threads of the C API's own, for ends that no thread of a store can wait for.
#ifndef RKVS_CAPI_OWN_THREAD_H_
#define RKVS_CAPI_OWN_THREAD_H_

#include <functional>

namespace rkvs::capi {

// Runs `work` on a thread of its own, which gets no signals. The end of the process by exit() waits
// for it, unless that was called by a callback, for which `work` may be waiting itself. False where
// there is no thread or no memory to be had; then `work` has not run and will not.
bool run_on_own_thread(std::function<void()> work) noexcept;

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_OWN_THREAD_H_
