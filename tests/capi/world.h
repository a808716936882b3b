// A store with something in everything, for tests that call every function of the C API.
#ifndef RKVS_TESTS_CAPI_WORLD_H_
#define RKVS_TESTS_CAPI_WORLD_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "capi/rkvs.h"
#include "tests/support/test_util.h"

namespace rkvs::capi_test {

// One handle of each kind, all of them valid. Namespace "users" has the keys k0 to k9 and the
// counter "n"; the file "saved" has the namespace "other".
class World {
 public:
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // What the synchronous form would have returned, once an asynchronous call has completed.
  rkvs_status finish(rkvs_status started);
  // From now on asynchronous calls with `how` call back, once each, on a thread of the store.
  void call_back();
  // Everything that is in the store, for comparisons.
  std::string content();

  testing::TempDir directory;
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  rkvs_queue* queue = nullptr;
  rkvs_atomic_batch* atomic = nullptr;
  rkvs_scan* scan = nullptr;
  rkvs_batch_result* result = nullptr;
  rkvs_list* list = nullptr;
  rkvs_list* stats = nullptr;
  rkvs_list* autosave = nullptr;
  rkvs_list* config = nullptr;
  rkvs_list* manager_config = nullptr;
  rkvs_list* shards = nullptr;
  rkvs_list* numbers = nullptr;
  rkvs_list* report_list = nullptr;
  rkvs_load_report* report = nullptr;
  rkvs_operation* operation = nullptr;
  rkvs_value* value = nullptr;
  uint64_t version = 0;  // of k1
  rkvs_async how = {};

 private:
  rkvs_status wait_for_callback();

  std::mutex mutex_;
  std::condition_variable called_;
  int calls_ = 0;
  rkvs_status called_with_ = RKVS_OK;
};

// Which handle a function works on.
enum class Kind {
  kManager,
  kNamespace,
  kScan,
  kAtomic,
  kResult,
  kList,
  kReport,
  kQueue,
  kOperation
};

// A handle of this kind.
void* handle_of(World& world, Kind kind);

// A function of the API that can fail, called with arguments that are right.
struct Call {
  const char* name;
  Kind kind;
  // `handle` takes the place of the world's own. Releases what it gets.
  rkvs_status (*call)(World& world, void* handle, rkvs_error** error);
};
const std::vector<Call>& all_calls();

// One that allocates nothing, called the same way. What it gives back of the world's, or of
// `error`, is nullptr there afterwards. (calls_quiet.cc)
struct QuietCall {
  const char* name;
  void (*call)(World& world, rkvs_error*& error);
};
const std::vector<QuietCall>& quiet_calls();

}  // namespace rkvs::capi_test

#endif  // RKVS_TESTS_CAPI_WORLD_H_
