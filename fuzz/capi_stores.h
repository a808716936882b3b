// Steps of the C API's fuzz target on whole stores: their life, their namespaces, their files.
#ifndef RKVS_FUZZ_CAPI_STORES_H_
#define RKVS_FUZZ_CAPI_STORES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/capi_operations.h"
#include "fuzz/capi_state.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

class StoreSteps : public CapiState {
 protected:
  using CapiState::CapiState;
  static constexpr size_t kMostStores = 3;
  static constexpr int kMostSaves = 2;

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

  void delete_namespace() {
    const ManagerRef* const ref = managers_.pick(input_);
    if (ref == nullptr) return;
    const auto store = ref->store;
    const std::string name = name_of(input_);
    calls_.settle_wide(store.get());
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
        // Refused because the store was closed before it ran.
        if (store->closed) space->closed = StatusCode::kClosed;
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

 private:
  int saves_ = 0;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_STORES_H_
