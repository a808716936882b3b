// Sequences of calls of the C API on a few stores, against a model: every kind of handle, retained
// and released in any order, while operations are on and after all else has gone; synchronous
// calls, and asynchronous ones told inline, by queue or by callback, cancelled and closed under
// way; NULL, structures of other sizes, flags that do not exist.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/capi_operations.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {
namespace {

constexpr int kMostSteps = 120;
constexpr int kMostListings = 3;  // go through 65,536 buckets a shard
constexpr int kMostSaves = 2;
constexpr size_t kMostStores = 3;
constexpr size_t kMostQueues = 4;

const char* name_of(FuzzInput& input) {
  static const std::string too_long(129, 'x');
  static const std::array<const char*, 8> names = {"a",           "b",  "c", "d",
                                                   "caf\xc3\xa9", "\n", "",  too_long.c_str()};
  // Most of them good.
  const uint32_t kind = input.below(32);
  return names[kind < 8 ? kind : kind % 4];
}
bool is_valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name != "\n";
}

const std::filesystem::path& directory() {
  static const struct Made {
    Made() {
      const std::filesystem::path memory = "/dev/shm";
      const auto base =
          std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
      std::string name = (base / "rkvs_fuzz_XXXXXX").string();
      RKVS_FUZZ_CHECK(mkdtemp(name.data()) != nullptr);
      path = name;
    }
    ~Made() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  } made;
  return made.path;
}

// What a file holds.
struct SavedSpace {
  NamespaceConfig config;
  ModelMap::Data data;
};
struct SavedStore {
  uint64_t max_namespaces = 0;
  std::map<std::string, SavedSpace> spaces;
  uint64_t keys() const {
    uint64_t keys = 0;
    for (const auto& [name, space] : spaces) keys += space.data.size();
    return keys;
  }
};

class Run {
 public:
  explicit Run(FuzzInput& input) : input_(input), calls_(input) {
    persists_ = input_.below(8) == 0;
    if (!persists_) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) {
      std::filesystem::remove(entry.path());
    }
  }

  void run() {
    open();
    for (int n = 0; n < kMostSteps && !input_.empty(); ++n) step();
    finish();
  }

 private:
  void step() {
    const uint32_t kind = input_.below(64);
    switch (kind) {
      case 0: return open();
      case 1:
      case 2:
      case 3: return create();
      case 4: return get_namespace();
      case 5: return delete_namespace();
      case 6: return clone();
      case 7: return figures_of_store();
      case 8: return configure_store();
      case 9: return close();
      case 10: return initialize();
      case 11:
      case 12:
      case 13:
      case 14: return release();
      case 15:
      case 16: return retain();
      case 17: return make_queue();
      case 18: return close_queue();
      case 19: return calls_.poll();
      case 20: return calls_.release_queue();
      case 21: return calls_.cancel();
      case 22:
      case 23: return list_or_walk();
      case 24:
      case 25: return next_of_walk();
      case 26: return remove_many();
      case 27: return resize();
      case 28: return configure();
      case 29: return transform();
      case 30: return figures();
      case 31: return get_into();
      case 32: return check_all();
      case 33:
      case 34:
      case 35: return fill_atomic();
      case 36:
      case 37: return apply();
      case 38: return save();
      case 39: return load();
      case 40:
      case 41:
      case 42:
      case 43:
      case 44:
      case 45:
      case 46: {
        const NamespaceRef* const ns = settled();
        if (ns != nullptr) calls_.make(batch_call(input_, *ns), ns->handle);
        return;
      }
      default: {
        const NamespaceRef* const ns = settled();
        if (ns != nullptr) calls_.make(key_call(input_, *ns), ns->handle);
        return;
      }
    }
  }

  // --- Stores ------------------------------------------------------------------------------------

  void open() {
    rkvs_manager_options options;
    rkvs_manager_options_init(&options, sizeof options);
    auto store = std::make_shared<Store>();
    store->persistent = persists_ && input_.flag();
    if (store->persistent) options.directory = directory().c_str();
    if (input_.below(4) == 0) options.max_namespaces = store->max_namespaces = 1 + input_.below(3);
    options.worker_threads = 1 + input_.below(2);
    const auto shape = shaped(input_, options);
    if (managers_.refs().size() >= kMostStores) return;
    rkvs_manager* manager = nullptr;
    rkvs_error* error = nullptr;
    const bool right = input_.below(64) != 0;
    const rkvs_status status =
        rkvs_manager_open(RKVS_ABI_VERSION + (right ? 0 : 1), shape.get(), &manager, &error);
    const rkvs_status expected = right ? shape.refused : RKVS_E_UNSUPPORTED;
    RKVS_FUZZ_CHECK(status == expected);
    calls_.hold(error, status, -1);
    RKVS_FUZZ_CHECK((manager != nullptr) == (status == RKVS_OK));
    if (manager == nullptr) return;
    managers_.add({manager, store});
    if (input_.below(8) != 0) {
      RKVS_FUZZ_CHECK(rkvs_manager_initialize(manager, nullptr) == RKVS_OK);
      store->initialized = true;
    }
  }

  const ManagerRef* settled_manager() {
    const ManagerRef* const ref = managers_.pick(input_);
    if (ref != nullptr) calls_.settle(ref->store.get(), nullptr);
    return ref;
  }

  void expect(rkvs_status status, StatusCode code) {
    if (status == code_of(code)) return;
    RKVS_FUZZ_FAIL(std::string(rkvs_status_name(status)) + " where " +
                   rkvs_status_name(code_of(code)) + " was expected");
  }

  void initialize() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    Store& store = *ref->store;
    const std::string file = file_of();
    const bool from_file = input_.flag();
    if (!from_file || store.state() != StatusCode::kNotInitialized) {
      expect(rkvs_manager_initialize(ref->handle, nullptr),
             store.closed ? StatusCode::kClosed : StatusCode::kOk);
      store.initialized = store.initialized || !store.closed;
      return;
    }
    const rkvs_status status =
        rkvs_manager_initialize_file(ref->handle, file.c_str(), nullptr, nullptr);
    if (!store.persistent) return expect(status, StatusCode::kNoPersistence);
    if (file == "..") return expect(status, StatusCode::kInvalidName);
    const auto saved = files_.find(file);
    const SavedStore nothing;
    const SavedStore& found = saved == files_.end() ? nothing : saved->second;
    if (store.max_namespaces != 0 && found.spaces.size() > store.max_namespaces) {
      return expect(status, StatusCode::kTooManyNamespaces);
    }
    expect(status, StatusCode::kOk);
    store.initialized = true;
    if (store.max_namespaces == 0) store.max_namespaces = found.max_namespaces;
    for (const auto& [name, space] : found.spaces) add_space(store, name, space);
    rkvs_load_report* report = nullptr;
    expect(rkvs_manager_load_report(ref->handle, &report, nullptr), StatusCode::kOk);
    RKVS_FUZZ_CHECK(rkvs_load_report_namespaces(report) == found.spaces.size());
    reports_.add({report, found.keys()});
  }

  void close() {
    const ManagerRef* const ref = managers_.pick(input_);
    if (ref == nullptr || input_.below(4) != 0) return;
    close(*ref);
  }
  void close(const ManagerRef& ref) {
    Store& store = *ref.store;
    if (store.persistent) calls_.settle(&store, nullptr);
    calls_.allow(&store, nullptr, RKVS_E_CLOSED);
    expect(rkvs_manager_close(ref.handle, nullptr), StatusCode::kOk);
    store.close();
    calls_.settle(&store, nullptr);
  }

  void figures_of_store() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    const Store& store = *ref->store;
    uint64_t keys = 0;
    auto names = std::make_shared<Texts>();
    for (const auto& [name, space] : store.spaces) {
      keys += space->data().size();
      names->push_back(name);
    }
    uint64_t count = 0;
    const StatusCode code = store.state();
    expect(rkvs_manager_total_key_count(ref->handle, &count, nullptr), code);
    RKVS_FUZZ_CHECK(code != StatusCode::kOk || count == keys);
    expect(rkvs_manager_namespace_count(ref->handle, &count, nullptr), code);
    RKVS_FUZZ_CHECK(code != StatusCode::kOk || count == names->size());
    rkvs_list* list = nullptr;
    const bool with_figures = input_.flag();
    expect(with_figures ? rkvs_manager_all_namespace_stats(ref->handle, &list, nullptr)
                        : rkvs_manager_list_namespaces(ref->handle, &list, nullptr),
           code);
    if (list == nullptr) return RKVS_FUZZ_CHECK(code != StatusCode::kOk);
    calls_.lists.add({list, names});
    rkvs_namespace_stats stats;
    rkvs_namespace_stats_init(&stats, sizeof stats);
    for (size_t i = 0; i < names->size(); ++i) {
      expect(rkvs_list_namespace_stats(list, i, &stats, nullptr),
             with_figures ? StatusCode::kOk : StatusCode::kInvalidArgument);
      if (with_figures) {
        RKVS_FUZZ_CHECK(stats.key_count == store.spaces.at((*names)[i])->data().size());
      }
    }
    rkvs_value* text = nullptr;
    expect(rkvs_manager_metrics_text(ref->handle, &text, nullptr), code);
    const void* const bytes = rkvs_value_data(text);
    calls_.values.add({text, std::string(text_of(bytes, rkvs_value_size(text)))});
  }

  void configure_store() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    Store& store = *ref->store;
    rkvs_manager_config config;
    rkvs_manager_config_init(&config, sizeof config);
    config.max_namespaces = input_.below(6);
    if (input_.flag()) config.flags = RKVS_SET_MAX_NAMESPACES;
    const auto shape = shaped(input_, config);
    const rkvs_status status = rkvs_manager_update_config(ref->handle, shape.get(), nullptr);
    const uint64_t limit = config.max_namespaces;
    if (shape.refused != RKVS_OK) return RKVS_FUZZ_CHECK(status == shape.refused);
    if (store.state() != StatusCode::kOk) return expect(status, store.state());
    const bool fits = limit == 0 || limit >= store.spaces.size();
    expect(status, fits ? StatusCode::kOk : StatusCode::kLimitBelowUse);
    if (fits) store.max_namespaces = limit;
  }

  // --- Their namespaces
  // -----------------------------------------------------------------------------

  static std::shared_ptr<Space> add_space(Store& store, const std::string& name,
                                          const SavedSpace& from) {
    auto space = std::make_shared<Space>(name, from.config);
    space->data() = from.data;
    store.spaces[name] = space;
    return space;
  }

  void create() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    Store& store = *ref->store;
    const std::string name = name_of(input_);
    const NamespaceConfig config = config_of(input_);
    const auto shape = shaped(input_, to_c(config));
    rkvs_namespace* ns = nullptr;
    const bool wanted = input_.below(8) != 0;
    const rkvs_status status = rkvs_manager_create_namespace(ref->handle, name.c_str(), shape.get(),
                                                             wanted ? &ns : nullptr, nullptr);
    if (shape.refused != RKVS_OK) return RKVS_FUZZ_CHECK(status == shape.refused);
    StatusCode code = store.state();
    if (code == StatusCode::kOk) {
      code = is_valid_name(name) ? store.room_for(name) : StatusCode::kInvalidName;
    }
    expect(status, code);
    RKVS_FUZZ_CHECK((ns != nullptr) == (wanted && code == StatusCode::kOk));
    if (code != StatusCode::kOk) return;
    const auto space = add_space(store, name, {config, {}});
    if (ns != nullptr) namespaces_.add({ns, ref->store, space});
  }

  void get_namespace() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    const Store& store = *ref->store;
    const std::string name = name_of(input_);
    const auto it = store.spaces.find(name);
    StatusCode code = store.state();
    if (code == StatusCode::kOk && it == store.spaces.end()) code = StatusCode::kNamespaceNotFound;
    rkvs_namespace* ns = nullptr;
    expect(rkvs_manager_get_namespace(ref->handle, name.c_str(), &ns, nullptr), code);
    if (ns != nullptr) namespaces_.add({ns, ref->store, it->second});
  }

  // A call on a whole store.
  static Call store_call(const ManagerRef& ref, rkvs_operation_kind kind, StatusCode code) {
    Call call;
    call.kind = kind;
    call.store = ref.store;
    call.expected.status = code_of(code);
    return call;
  }

  void delete_namespace() {
    const ManagerRef* const ref = managers_.pick(input_);
    if (ref == nullptr) return;
    const auto store = ref->store;
    const std::string name = name_of(input_);
    auto it = store->spaces.find(name);
    // Now and then operations on it are on.
    if (input_.below(4) != 0 || it == store->spaces.end()) calls_.settle(store.get(), nullptr);
    it = store->spaces.find(name);
    StatusCode code = store->state();
    if (code == StatusCode::kOk && it == store->spaces.end()) {
      code = StatusCode::kNamespaceNotFound;
    }
    Call call = store_call(*ref, RKVS_OP_DELETE_NAMESPACE, code);
    if (code == StatusCode::kOk) {
      const auto space = it->second;
      calls_.allow(store.get(), space.get(), RKVS_E_NAMESPACE_DELETED);
      space->closed = StatusCode::kNamespaceDeleted;
      store->spaces.erase(it);
      call.undo = [store, space] {
        space->closed.reset();
        store->spaces[space->name] = space;
      };
    }
    const Argument text = text_argument(name);
    rkvs_manager* const manager = ref->handle;
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      return rkvs_manager_delete_namespace(manager, text.block.get(), e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_manager_delete_namespace_async(manager, text.block.get(), how, out, op, e);
    };
    calls_.make(std::move(call));
  }

  static Argument text_argument(const std::string& text) {
    return {block_of(text.c_str(), text.size() + 1), text.size()};
  }

  void clone() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    const auto store = ref->store;
    const std::string from = name_of(input_);
    const std::string to = name_of(input_);
    const auto it = store->spaces.find(from);
    StatusCode code = store->state();
    if (code == StatusCode::kOk && it == store->spaces.end()) {
      code = StatusCode::kNamespaceNotFound;
    }
    if (code == StatusCode::kOk && !is_valid_name(to)) code = StatusCode::kInvalidName;
    if (code == StatusCode::kOk) code = store->room_for(to);
    Call call = store_call(*ref, RKVS_OP_CLONE_NAMESPACE, code);
    if (code == StatusCode::kOk) {
      const auto space = add_space(*store, to, {it->second->map.config(), it->second->data()});
      call.undo = [store, to] { store->spaces.erase(to); };
      call.adopt = [this, store, space](rkvs_completion& c) {
        RKVS_FUZZ_CHECK(c.ns != nullptr);
        namespaces_.add({std::exchange(c.ns, nullptr), store, space});
      };
    }
    const Argument name = text_argument(from);
    const Argument new_name = text_argument(to);
    rkvs_manager* const manager = ref->handle;
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      return rkvs_manager_clone_namespace(manager, name.block.get(), new_name.block.get(), nullptr,
                                          &c.ns, e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_manager_clone_namespace_async(manager, name.block.get(), new_name.block.get(),
                                                how, out, op, e);
    };
    calls_.make(std::move(call));
  }

  // --- Files
  // ----------------------------------------------------------------------------------------

  std::string file_of() {
    static constexpr std::array<const char*, 4> files = {"one", "two", "one", ".."};
    return input_.pick(files);
  }

  void save() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    const auto store = ref->store;
    const std::string file = file_of();
    const bool one = input_.flag();
    const std::string name = one ? name_of(input_) : std::string();
    if (store->persistent && saves_++ >= kMostSaves) return;
    StatusCode code = store->state();
    if (code == StatusCode::kOk && one && !store->spaces.contains(name)) {
      code = StatusCode::kNamespaceNotFound;
    }
    if (code == StatusCode::kOk && !store->persistent) code = StatusCode::kNoPersistence;
    if (code == StatusCode::kOk && file == "..") code = StatusCode::kInvalidName;
    Call call = store_call(*ref, one ? RKVS_OP_SAVE_NAMESPACE : RKVS_OP_SAVE_ALL, code);
    // What it holds is known when it has been written.
    auto saved = std::make_shared<SavedStore>();
    saved->max_namespaces = store->max_namespaces;
    for (const auto& [saved_name, space] : store->spaces) {
      if (one && saved_name != name) continue;
      saved->spaces[saved_name] = {space->map.config(), space->data()};
    }
    call.adopt = [this, file, saved](rkvs_completion&) { files_[file] = *saved; };
    const Argument path = text_argument(file);
    const Argument text = text_argument(name);
    rkvs_manager* const manager = ref->handle;
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      return one ? rkvs_manager_save_namespace(manager, text.block.get(), path.block.get(), nullptr,
                                               e)
                 : rkvs_manager_save_all(manager, path.block.get(), nullptr, e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return one ? rkvs_manager_save_namespace_async(manager, text.block.get(), path.block.get(),
                                                     how, out, op, e)
                 : rkvs_manager_save_all_async(manager, path.block.get(), how, out, op, e);
    };
    calls_.make(std::move(call));
    // Two stores share the file.
    calls_.settle(store.get(), nullptr);
  }

  void load() {
    const ManagerRef* const ref = settled_manager();
    if (ref == nullptr) return;
    const auto store = ref->store;
    const std::string file = file_of();
    const std::string to = name_of(input_);
    const bool picks = input_.flag();
    const std::string from = picks ? name_of(input_) : std::string();
    const auto saved = files_.find(file);
    StatusCode code = store->state();
    if (code == StatusCode::kOk && !is_valid_name(to)) code = StatusCode::kInvalidName;
    if (code == StatusCode::kOk) code = store->room_for(to);
    if (code == StatusCode::kOk && !store->persistent) code = StatusCode::kNoPersistence;
    if (code == StatusCode::kOk && file == "..") code = StatusCode::kInvalidName;
    if (code == StatusCode::kOk && saved == files_.end()) code = StatusCode::kSnapshotNotFound;
    const SavedSpace* source = nullptr;
    if (code == StatusCode::kOk) {
      const auto& spaces = saved->second.spaces;
      if (!picks && spaces.size() != 1) {
        code = StatusCode::kInvalidArgument;
      } else if (picks && !spaces.contains(from)) {
        code = StatusCode::kNamespaceNotFound;
      } else {
        source = &(picks ? spaces.find(from) : spaces.begin())->second;
      }
    }
    Call call = store_call(*ref, RKVS_OP_LOAD_NAMESPACE_AS, code);
    if (source != nullptr) {
      add_space(*store, to, *source);
      call.undo = [store, to] { store->spaces.erase(to); };
    }
    const Argument path = text_argument(file);
    const Argument new_name = text_argument(to);
    const Argument which = text_argument(from);
    rkvs_manager* const manager = ref->handle;
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      return rkvs_manager_load_namespace_as(manager, path.block.get(), new_name.block.get(),
                                            picks ? which.block.get() : nullptr, nullptr, e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_manager_load_namespace_as_async(manager, path.block.get(), new_name.block.get(),
                                                  picks ? which.block.get() : nullptr, how, out, op,
                                                  e);
    };
    calls_.make(std::move(call));
    calls_.settle(store.get(), nullptr);
  }

  // --- Namespaces
  // -----------------------------------------------------------------------------------

  const NamespaceRef* settled(bool reads = false) {
    const NamespaceRef* ref = namespaces_.pick(input_);
    if (ref == nullptr) return nullptr;
    // What has been waited for may have brought handles, and so moved them.
    const size_t at = static_cast<size_t>(ref - namespaces_.refs().data());
    calls_.settle(ref->store.get(), ref->space.get(), reads);
    return &namespaces_.refs()[std::min(at, namespaces_.refs().size() - 1)];
  }

  // A call on all of a namespace.
  static Call space_call(const NamespaceRef& ref, rkvs_operation_kind kind) {
    Call call;
    call.kind = kind;
    call.store = ref.store;
    call.space = ref.space;
    call.expected.status = code_of(ref.space->closed.value_or(StatusCode::kOk));
    call.undo = [space = ref.space, before = ref.space->data(), config = ref.space->map.config()] {
      space->data() = before;
      space->map.config() = config;
    };
    return call;
  }

  void list_or_walk() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr || listings_++ >= kMostListings) return;
    rkvs_namespace* const handle = ref->handle;
    if (input_.flag()) {
      Call call = space_call(*ref, RKVS_OP_LIST_KEYS);
      call.reads = true;
      call.expected.keys = std::make_shared<Texts>();
      for (const auto& [key, entry] : ref->space->data()) call.expected.keys->push_back(key);
      call.now = [=](rkvs_completion& c, rkvs_error** e) {
        return rkvs_namespace_list_keys(handle, &c.list, e);
      };
      call.later = [=](auto* how, auto* out, auto* op, auto* e) {
        return rkvs_namespace_list_keys_async(handle, how, out, op, e);
      };
      return calls_.make(std::move(call), handle);
    }
    auto walk = std::make_shared<Walk>();
    walk->prefix = input_.flag() ? std::string() : key_of(input_);
    walk->with_values = input_.flag();
    const Argument prefix = argument_of(input_, walk->prefix);
    rkvs_scan_options options;
    rkvs_scan_options_init(&options, sizeof options);
    options.prefix = prefix.data();
    options.prefix_size = prefix.size;
    if (!walk->with_values) options.flags = RKVS_SCAN_KEYS_ONLY;
    const auto shape = shaped(input_, options);
    rkvs_scan* scan = nullptr;
    const rkvs_status status = rkvs_namespace_scan_open(handle, shape.get(), &scan, nullptr);
    RKVS_FUZZ_CHECK((scan != nullptr) == (status == RKVS_OK));
    if (shape.refused != RKVS_OK) return RKVS_FUZZ_CHECK(status == shape.refused);
    if (prefix.missing && prefix.size != 0) return expect(status, StatusCode::kInvalidArgument);
    expect(status, ref->space->closed.value_or(StatusCode::kOk));
    if (scan == nullptr) return;
    for (const auto& [key, entry] : ref->space->data()) {
      if (key.starts_with(walk->prefix)) walk->stays.insert(key);
    }
    ref->space->walks.push_back(walk);
    scans_.add({scan, ref->store, ref->space, walk});
  }

  void next_of_walk() {
    const ScanRef* const ref = scans_.pick(input_);
    if (ref == nullptr) return;
    calls_.settle(ref->store.get(), ref->space.get());
    Call call;
    call.kind = RKVS_OP_SCAN_NEXT;
    call.store = ref->store;
    call.space = ref->space;
    const size_t limit = input_.below(8);
    if (limit == 0) call.refused = RKVS_E_INVALID_ARGUMENT;
    const bool is_done = rkvs_scan_is_done(ref->handle) == 1;
    if (!is_done) {
      call.expected.status = code_of(ref->space->closed.value_or(StatusCode::kOk));
    } else if (ref->space->closed) {
      return;
    }
    call.adopt = [limit, space = ref->space, walk = ref->walk](rkvs_completion& c) {
      RKVS_FUZZ_CHECK(rkvs_batch_result_count(c.batch) <= limit);
      for (size_t i = 0; i < rkvs_batch_result_count(c.batch); ++i) {
        rkvs_batch_item item;
        rkvs_batch_item_init(&item, sizeof item);
        RKVS_FUZZ_CHECK(rkvs_batch_result_item(c.batch, i, &item, nullptr) == RKVS_OK);
        const std::string key(text_of(item.key, item.key_size));
        RKVS_FUZZ_CHECK(key.starts_with(walk->prefix) && item.version != 0);
        RKVS_FUZZ_CHECK((item.has_value != 0) == walk->with_values);
        const bool is_new = walk->seen.insert(key).second;
        RKVS_FUZZ_CHECK(is_new || !walk->stays.contains(key));
      }
      if (c.number == 0 || space->closed) return;
      for (const std::string& key : walk->stays) RKVS_FUZZ_CHECK(walk->seen.contains(key));
    };
    rkvs_scan* const handle = ref->handle;
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      const rkvs_status status = rkvs_scan_next(handle, limit, &c.batch, e);
      c.number = rkvs_scan_is_done(handle);
      return status;
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_scan_next_async(handle, limit, how, out, op, e);
    };
    calls_.make(std::move(call));
  }

  void remove_many() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    Space& space = *ref->space;
    const bool all = input_.flag();
    const std::string prefix = all ? std::string() : key_of(input_);
    const Argument argument = argument_of(input_, prefix);
    Call call = space_call(*ref, all ? RKVS_OP_CLEAR : RKVS_OP_DELETE_PREFIX);
    if (argument.missing && argument.size != 0) {
      call.refused = RKVS_E_INVALID_ARGUMENT;
    } else if (!space.closed) {
      call.expected.number = static_cast<int64_t>(std::erase_if(
          space.data(), [&](const auto& item) { return item.first.starts_with(prefix); }));
      space.changed();
    }
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      uint64_t count = 0;
      const rkvs_status status =
          all ? rkvs_namespace_clear(handle, &count, e)
              : rkvs_namespace_delete_prefix(handle, argument.data(), argument.size, &count, e);
      c.number = static_cast<int64_t>(count);
      return status;
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return all ? rkvs_namespace_clear_async(handle, how, out, op, e)
                 : rkvs_namespace_delete_prefix_async(handle, argument.data(), argument.size, how,
                                                      out, op, e);
    };
    calls_.make(std::move(call), handle);
    // Cancelled, it may have removed some.
    if (!all) calls_.settle(ref->store.get(), ref->space.get());
  }

  void resize() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    static constexpr std::array<uint32_t, 8> counts = {1, 2, 3, 4, 8, 16, 0, kMaxShardCount + 1};
    const uint32_t count = input_.pick(counts);
    const bool cancels = input_.below(4) == 0;
    Call call = space_call(*ref, RKVS_OP_RESIZE_SHARDS);
    if (!ref->space->closed) {
      if (count > kMaxShardCount) {
        call.expected.status = RKVS_E_INVALID_ARGUMENT;
      } else {
        ref->space->map.config().shard_count = count;
      }
    }
    if (cancels) call.also = {RKVS_E_CANCELLED};
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      rkvs_operation_options options;
      rkvs_operation_options_init(&options, sizeof options);
      if (cancels) options.progress = [](void*, const rkvs_progress*) { return int32_t{1}; };
      return rkvs_namespace_resize_shards(handle, count, &options, e);
    };
    call.later = [=](const rkvs_async* how, auto* out, auto* op, auto* e) {
      rkvs_async with = *how;
      if (cancels && with.struct_size == sizeof with) {
        with.progress = [](void*, const rkvs_progress*) { return int32_t{1}; };
      }
      return rkvs_namespace_resize_shards_async(handle, count, &with, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }

  void configure() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    rkvs_namespace* const handle = ref->handle;
    Space& space = *ref->space;
    NamespaceConfig wanted = config_of(input_);
    wanted.shard_count = space.map.config().shard_count;
    const auto too_small = [&] {
      return wanted.max_keys != 0 && wanted.max_keys < space.data().size();
    };
    const uint32_t kind = input_.below(8);
    if (kind < 3) {
      // One by one.
      NamespaceConfig& config = space.map.config();
      rkvs_status status = RKVS_E_INTERNAL;
      StatusCode code = StatusCode::kOk;
      if (kind == 0) {
        status = rkvs_namespace_set_max_keys(handle, wanted.max_keys, nullptr);
        if (too_small()) code = StatusCode::kLimitBelowUse;
      } else if (kind == 1) {
        if (input_.below(4) == 0) wanted.max_value_size = uint64_t{1} << 31;
        status = rkvs_namespace_set_max_value_size(handle, wanted.max_value_size, nullptr);
        if (wanted.max_value_size > (uint64_t{1} << 30)) code = StatusCode::kInvalidArgument;
      } else {
        status = rkvs_namespace_set_lock_timeout(handle, 0, nullptr);
        code = StatusCode::kInvalidArgument;
      }
      expect(status, space.closed.value_or(code));
      if (status != RKVS_OK) return;
      (kind == 0 ? config.max_keys : config.max_value_size) =
          kind == 0 ? wanted.max_keys : wanted.max_value_size;
      return;
    }
    const auto shape = shaped(input_, to_c(wanted));
    Call call = space_call(*ref, RKVS_OP_UPDATE_CONFIG);
    call.refused = shape.refused;
    if (!space.closed && call.refused == RKVS_OK) {
      if (too_small()) {
        call.expected.status = RKVS_E_LIMIT_BELOW_USE;
      } else {
        space.map.config() = wanted;
      }
    }
    call.now = [=](rkvs_completion&, rkvs_error** e) {
      return rkvs_namespace_update_config(handle, shape.get(), e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_namespace_update_config_async(handle, shape.get(), how, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }

  void figures() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    const Space& space = *ref->space;
    rkvs_namespace_config config;
    rkvs_namespace_config_init(&config, sizeof config);
    expect(rkvs_namespace_get_config(ref->handle, &config, nullptr), StatusCode::kOk);
    const NamespaceConfig& expected = space.map.config();
    RKVS_FUZZ_CHECK(
        config.max_keys == expected.max_keys && config.max_value_size == expected.max_value_size &&
        config.max_key_size == expected.max_key_size && config.shard_count == expected.shard_count);
    rkvs_namespace_stats stats;
    rkvs_namespace_stats_init(&stats, sizeof stats);
    const StatusCode code = space.closed.value_or(StatusCode::kOk);
    expect(rkvs_namespace_metadata(ref->handle, &stats, nullptr), code);
    std::array<uint64_t, 16> counts = {};
    size_t shards = 0;
    const size_t room = input_.below(17);
    expect(rkvs_namespace_shard_key_counts(ref->handle, counts.data(), room, &shards, nullptr),
           code);
    if (code != StatusCode::kOk) return;
    RKVS_FUZZ_CHECK(stats.key_count == space.map.data.size() && stats.shard_count == shards);
    uint64_t size = 0;
    for (const auto& [key, entry] : space.map.data) size += entry.value.size();
    RKVS_FUZZ_CHECK(stats.total_size == size);
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    RKVS_FUZZ_CHECK(room < shards ? sum <= stats.key_count : sum == stats.key_count);
  }

  void get_into() {
    const NamespaceRef* const ref = settled(true);
    if (ref == nullptr) return;
    Space& space = *ref->space;
    const std::string key = key_of(input_);
    const size_t capacity = input_.below(64);
    const Block buffer(new char[capacity]());
    size_t size = 0;
    const Expected expected = fuzz::expect(space, KeyCall{.kind = RKVS_OP_GET, .key = key});
    RKVS_FUZZ_CHECK(rkvs_namespace_get_into(ref->handle, key.data(), key.size(), buffer.get(),
                                            capacity, &size, nullptr) == expected.status);
    if (expected.status != RKVS_OK) return;
    RKVS_FUZZ_CHECK(size == expected.value->size());
    if (size <= capacity) RKVS_FUZZ_CHECK(text_of(buffer.get(), size) == *expected.value);
  }

  // What a callback of transform is to do, and has seen.
  struct Change {
    rkvs_namespace* ns = nullptr;
    std::optional<std::string> value{};
    bool decides = true;
    rkvs_status answer = RKVS_OK;
    int calls = 0;
    std::optional<std::string> seen{};
  };
  static rkvs_status change(void* user, const void* value, size_t size, rkvs_transform* transform) {
    auto* const self = static_cast<Change*>(user);
    ++self->calls;
    if (value != nullptr) self->seen.emplace(text_of(value, size));
    RKVS_FUZZ_CHECK(rkvs_namespace_exists(self->ns, "a", 1, nullptr) == RKVS_E_WOULD_DEADLOCK);
    if (!self->decides) return self->answer;
    RKVS_FUZZ_CHECK((self->value
                         ? rkvs_transform_set(transform, self->value->data(), self->value->size())
                         : rkvs_transform_remove(transform)) == RKVS_OK);
    return self->answer;
  }

  void transform() {
    const NamespaceRef* const ref = settled();
    if (ref == nullptr) return;
    Space& space = *ref->space;
    const std::string key = key_of(input_);
    Change what{.ns = ref->handle};
    if (input_.below(4) != 0) what.value = value_of(input_);
    what.decides = input_.below(8) != 0;
    if (input_.below(8) == 0) what.answer = RKVS_E_NOT_A_NUMBER;
    const auto before = space.data().find(key);
    const std::optional<std::string> seen =
        before == space.data().end() ? std::nullopt : std::optional(before->second.value);
    std::optional<std::string> after = seen;
    StatusCode code = space.closed.value_or(static_cast<StatusCode>(what.answer));
    if (code == StatusCode::kOk && what.decides) {
      after = what.value;
      if (what.value) {
        code = space.map.put(space.data(), key, *what.value, {});
      } else {
        space.data().erase(key);
      }
      space.changed();
    }
    rkvs_value* value = nullptr;
    expect(rkvs_namespace_transform(ref->handle, key.data(), key.size(), change, &what, &value,
                                    nullptr),
           code);
    RKVS_FUZZ_CHECK(what.calls == 0 ? code != StatusCode::kOk : what.calls == 1);
    if (what.calls == 1) RKVS_FUZZ_CHECK(what.seen == seen);
    RKVS_FUZZ_CHECK((value != nullptr) == (code == StatusCode::kOk && after.has_value()));
    if (value != nullptr) calls_.values.add({value, *after});
  }

  // --- Atomic batches
  // -------------------------------------------------------------------------------

  void fill_atomic() {
    const bool fresh = input_.below(4) == 0 || atomics_.empty();
    if (fresh) {
      rkvs_atomic_batch* batch = nullptr;
      RKVS_FUZZ_CHECK(rkvs_atomic_batch_create(&batch, nullptr) == RKVS_OK);
      atomics_.add({batch, std::make_shared<AtomicContent>()});
    }
    const AtomicRef& ref = fresh ? atomics_.refs().back() : *atomics_.pick(input_);
    rkvs_atomic_batch* const handle = ref.handle;
    AtomicContent& content = *ref.content;
    if (input_.below(32) == 0 || content.batch.size() > 16) {
      RKVS_FUZZ_CHECK(rkvs_atomic_batch_clear(handle, nullptr) == RKVS_OK);
      content.batch.clear();
      return;
    }
    using Op = AtomicBatch::Op;
    const auto op = static_cast<Op>(input_.below(static_cast<uint32_t>(Op::kCheckAbsent) + 1));
    const std::string& key = content.bytes.emplace_back(key_of(input_));
    const std::string& value = content.bytes.emplace_back(number_or_value_of(input_));
    AtomicBatch::Operation operation{.op = op, .key = key};
    const Argument k = argument_of(input_, key);
    Argument v;
    Shaped<rkvs_write_options> options;
    Shaped<rkvs_counter_options> counter;
    const bool writes =
        op == Op::kSet || op == Op::kAdd || op == Op::kUpdate || op == Op::kCompareAndSet;
    if (writes) {
      operation.value = value;
      v = argument_of(input_, value);
      if (input_.flag()) {
        operation.options = c_options_of(input_);
        options = shaped(input_, to_c(operation.options));
      }
    } else if (op == Op::kIncrement) {
      operation.delta = delta_of(input_);
      operation.subtract = input_.flag();
      if (input_.flag()) {
        const CounterOptions with{.initial = delta_of(input_)};
        operation.initial = with.initial;
        counter = shaped(input_, to_c(with));
      }
    }
    if (op == Op::kCompareAndSet || op == Op::kCompareAndDelete || op == Op::kCheckVersion) {
      operation.version = input_.number();
    }
    rkvs_status status = RKVS_E_INTERNAL;
    switch (op) {
      case Op::kSet:
        status = rkvs_atomic_batch_set(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                       nullptr);
        break;
      case Op::kAdd:
        status = rkvs_atomic_batch_add(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                       nullptr);
        break;
      case Op::kUpdate:
        status = rkvs_atomic_batch_update(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                          nullptr);
        break;
      case Op::kCompareAndSet:
        status = rkvs_atomic_batch_compare_and_set(handle, k.data(), k.size, operation.version,
                                                   v.data(), v.size, options.get(), nullptr);
        break;
      case Op::kDelete:
        status = rkvs_atomic_batch_delete_key(handle, k.data(), k.size, nullptr);
        break;
      case Op::kConsume:
        status = rkvs_atomic_batch_consume(handle, k.data(), k.size, nullptr);
        break;
      case Op::kCompareAndDelete:
        status = rkvs_atomic_batch_compare_and_delete(handle, k.data(), k.size, operation.version,
                                                      nullptr);
        break;
      case Op::kIncrement:
        status = (operation.subtract ? rkvs_atomic_batch_decrement : rkvs_atomic_batch_increment)(
            handle, k.data(), k.size, operation.delta, counter.get(), nullptr);
        break;
      case Op::kCheckVersion:
        status =
            rkvs_atomic_batch_check_version(handle, k.data(), k.size, operation.version, nullptr);
        break;
      case Op::kCheckExists:
        status = rkvs_atomic_batch_check_exists(handle, k.data(), k.size, nullptr);
        break;
      case Op::kCheckAbsent:
        status = rkvs_atomic_batch_check_absent(handle, k.data(), k.size, nullptr);
        break;
    }
    const bool has_no_bytes = (k.missing && k.size != 0) || (v.missing && v.size != 0);
    const rkvs_status expected = has_no_bytes                 ? RKVS_E_INVALID_ARGUMENT
                                 : options.refused != RKVS_OK ? options.refused
                                                              : counter.refused;
    RKVS_FUZZ_CHECK(status == expected);
    if (status == RKVS_OK) content.batch.append(operation);
  }

  void apply() {
    const NamespaceRef* const ref = settled();
    const AtomicRef* const atomic = atomics_.pick(input_);
    if (ref == nullptr || atomic == nullptr) return;
    Space& space = *ref->space;
    const auto& operations = atomic->content->batch.operations();
    Texts keys;
    bool valid = true;
    for (const auto& operation : operations) {
      keys.emplace_back(operation.key);
      valid = valid && ModelMap::are_valid(operation.options);
    }
    Call call = space_call(*ref, RKVS_OP_APPLY);
    if (!valid && !space.closed) {
      call.expected.status = RKVS_E_INVALID_ARGUMENT;
      call.expected.items = std::make_shared<std::vector<ModelItem>>(
          keys.size(), ModelItem{StatusCode::kInvalidArgument});
    } else {
      call.expected = expect_batch(space, keys, true, [&](ModelMap::Data& data, size_t i) {
        return space.map.play(data, operations[i]);
      });
    }
    rkvs_namespace* const handle = ref->handle;
    rkvs_atomic_batch* const batch = atomic->handle;
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      return rkvs_namespace_apply(handle, batch, &c.batch, e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_namespace_apply_async(handle, batch, how, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }

  // --- Handles
  // --------------------------------------------------------------------------------------

  void make_queue() {
    if (calls_.queues.refs().size() >= kMostQueues) return;
    rkvs_queue* queue = nullptr;
    RKVS_FUZZ_CHECK(rkvs_queue_create(&queue, nullptr) == RKVS_OK);
    calls_.queues.add({queue, std::make_shared<QueueState>()});
  }

  void close_queue() {
    const QueueRef* const ref = calls_.queues.pick(input_);
    if (ref == nullptr || input_.below(4) != 0) return;
    RKVS_FUZZ_CHECK(rkvs_queue_close(ref->handle, nullptr) == RKVS_OK);
    ref->state->closed = true;
  }

  void retain() {
    switch (input_.below(11)) {
      case 0: return managers_.retain(input_);
      case 1: return scans_.retain(input_);
      case 2: return atomics_.retain(input_);
      case 3: return reports_.retain(input_);
      case 4: return calls_.values.retain(input_);
      case 5: return calls_.results.retain(input_);
      case 6: return calls_.lists.retain(input_);
      case 7: return calls_.errors.retain(input_);
      case 8: return calls_.operations.retain(input_);
      case 9:
        if (calls_.queues.refs().size() < kMostQueues) calls_.queues.retain(input_);
        return;
      default: return namespaces_.retain(input_);
    }
  }

  void release() {
    switch (input_.below(11)) {
      case 0: return managers_.release(input_);
      case 1: return scans_.release(input_);
      case 2: return atomics_.release(input_);
      case 3: return reports_.release(input_);
      case 4: return calls_.values.release(input_);
      case 5: return calls_.results.release(input_);
      case 6: return calls_.lists.release(input_);
      case 7: return calls_.errors.release(input_);
      case 8: return calls_.operations.release(input_);
      default: return namespaces_.release(input_);
    }
  }

  void check_all() {
    managers_.check();
    namespaces_.check();
    atomics_.check();
    reports_.check();
    calls_.values.check();
    calls_.results.check();
    for (const ResultRef& ref : calls_.results.refs()) ref.check_view();
    calls_.lists.check();
    calls_.errors.check();
    calls_.queues.check();
  }

  // Gives everything back, in an order of the input's choice: what keeps the store alive may go
  // first, or while operations are on.
  void finish() {
    if (persists_) calls_.settle_all();
    if (input_.below(4) == 0) {
      calls_.settle_all();
      check_all();
    }
    if (persists_ || input_.flag()) {
      for (const ManagerRef& ref : managers_.refs()) close(ref);
    }
    const uint32_t order = input_.below(4);
    for (uint32_t i = 0; i < 4; ++i) release_kind((i + order) % 4);
    // What calls back still may bring handles.
    calls_.settle_callbacks();
    for (uint32_t i = 0; i < 4; ++i) release_kind(i);
  }

  void release_kind(uint32_t kind) {
    switch (kind) {
      case 0: return managers_.release_all();
      case 1: return namespaces_.release_all();
      case 2: return calls_.release_all();
      default:
        scans_.release_all();
        atomics_.release_all();
        reports_.release_all();
    }
  }

  FuzzInput& input_;
  bool persists_ = false;
  int listings_ = 0;
  int saves_ = 0;
  std::map<std::string, SavedStore> files_;
  Pool<ManagerRef> managers_;
  Pool<NamespaceRef> namespaces_;
  Pool<ScanRef> scans_;
  Pool<AtomicRef> atomics_;
  Pool<ReportRef> reports_;
  Calls calls_;
};

}  // namespace
}  // namespace rkvs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The last reference on a store may be that of an operation, and its end on another thread.
  const rkvs::fuzz::LeakCheck leak_check(std::chrono::seconds(30));
  rkvs::fuzz::FuzzInput input(data, size);
  rkvs::fuzz::Run(input).run();
  return 0;
}
