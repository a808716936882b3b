// Namespaces that come and go, names of all kinds, handles that outlive them, and now and then a
// round trip through a file.
#include <rkvs/manager.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_directory.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::BatchMode;
using rkvs::NamespaceConfig;
using rkvs::Result;
using rkvs::Status;
using rkvs::StatusCode;
using rkvs::StorageConfig;
using rkvs::StorageManager;
using rkvs::StorageOptions;
using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::directory;
using rkvs::fuzz::FuzzInput;

constexpr int kMostOperations = 100;
// Each waits for the file system.
constexpr int kMostSaves = 2;

// Whether `name` is 1 to 128 bytes of UTF-8 without control characters: decodes it as RFC 3629 says
// and looks at the code points.
bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  for (size_t i = 0; i < name.size();) {
    const auto lead = static_cast<uint8_t>(name[i++]);
    int more = 0;
    uint32_t code_point = lead;
    if ((lead & 0xE0) == 0xC0) {
      more = 1;
      code_point = lead & 0x1FU;
    } else if ((lead & 0xF0) == 0xE0) {
      more = 2;
      code_point = lead & 0x0FU;
    } else if ((lead & 0xF8) == 0xF0) {
      more = 3;
      code_point = lead & 0x07U;
    } else if (lead >= 0x80) {
      return false;
    }
    static constexpr std::array<uint32_t, 4> shortest = {0, 0x80, 0x800, 0x10000};
    const uint32_t least = shortest[static_cast<size_t>(more)];
    for (; more > 0; --more) {
      if (i == name.size() || (static_cast<uint8_t>(name[i]) & 0xC0) != 0x80) return false;
      code_point = code_point << 6 | (static_cast<uint8_t>(name[i++]) & 0x3FU);
    }
    const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    const bool is_control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
    if (code_point < least || code_point > 0x10FFFF || is_surrogate || is_control) return false;
  }
  return true;
}

std::string name_of(FuzzInput& input) {
  static const std::array<std::string, 12> names = {"a",
                                                    "b",
                                                    "c",
                                                    "users",
                                                    "",
                                                    "a/b",
                                                    "..",
                                                    std::string(128, 'n'),
                                                    std::string(129, 'n'),
                                                    std::string("a\0b", 3),
                                                    "\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\x84",
                                                    "line\n"};
  // The first and last sequence of each kind, and those next to them.
  static const std::array<std::string, 22> edges = {"\x1f",
                                                    "\x7f",
                                                    "\x80",
                                                    "\xc0\x80",
                                                    "\xc1\xbf",
                                                    "\xc2\x80",
                                                    "\xc2\x9f",
                                                    "\xc2\xa0",
                                                    "\xdf\xbf",
                                                    "\xe0\x9f\xbf",
                                                    "\xe0\xa0\x80",
                                                    "\xed\x9f\xbf",
                                                    "\xed\xa0\x80",
                                                    "\xed\xbf\xbf",
                                                    "\xee\x80\x80",
                                                    "\xef\xbf\xbf",
                                                    "\xf0\x8f\xbf\xbf",
                                                    "\xf0\x90\x80\x80",
                                                    "\xf4\x8f\xbf\xbf",
                                                    "\xf4\x90\x80\x80",
                                                    "\xf5\x80\x80\x80",
                                                    "\xe2\x82"};
  const uint32_t choice = input.below(16);
  if (choice < names.size()) return names[choice];
  if (choice == 12) return input.pick(edges);
  if (choice == 13) return input.bytes(1) + input.pick(edges) + input.bytes(1);
  return input.bytes(1 + input.below(8));
}

struct FileName {
  std::string_view name;
  bool valid;
};
FileName file_of(FuzzInput& input) {
  static const std::string longest(200, 'f');
  static const std::string too_long(201, 'f');
  static const std::array<FileName, 10> names = {{{"one.rkvs", true},
                                                  {"two.rkvs", true},
                                                  {"one.rkvs", true},
                                                  {longest, true},
                                                  {too_long, false},
                                                  {"", false},
                                                  {"..", false},
                                                  {".hidden", false},
                                                  {"../one.rkvs", false},
                                                  {"/tmp/one.rkvs", false}}};
  return input.pick(names);
}

// A configuration that may be invalid in one field.
NamespaceConfig any_config(FuzzInput& input) {
  NamespaceConfig config = rkvs::fuzz::config_of(input);
  switch (input.below(16)) {
    case 0: config.max_key_size = 0; break;
    case 1: config.max_key_size = rkvs::kLargestMaxKeySize + 1; break;
    case 2: config.max_value_size = rkvs::kLargestValueSize + 1; break;
    case 3: config.shard_count = rkvs::kMaxShardCount + 1; break;
    case 4: config.lock_timeout = std::chrono::milliseconds(0); break;
    case 5: config.lock_timeout = rkvs::kMaxLockTimeout + std::chrono::milliseconds(1); break;
    default: break;
  }
  return config;
}

// What a file holds, for when it is loaded again.
struct SavedNamespace {
  NamespaceConfig config;
  std::map<std::string, std::string> data;
};
struct Saved {
  uint64_t max_namespaces = 0;
  std::map<std::string, SavedNamespace> namespaces;
};

class ManagerRun {
 public:
  explicit ManagerRun(FuzzInput& input) : input_(input) {
    StorageOptions options;
    persistent_ = input_.below(4) == 0;
    if (persistent_) {
      for (const auto& entry : std::filesystem::directory_iterator(directory())) {
        std::filesystem::remove(entry.path());
      }
      options.directory = directory();
    }
    if (input_.flag()) options.config.max_namespaces = limit_ = input_.below(5);
    manager_.emplace(options);
  }

  void run() {
    if (input_.flag()) before_initialize();
    RKVS_FUZZ_CHECK(manager_->initialize().ok());
    for (int n = 0; n < kMostOperations && !input_.empty(); ++n) {
      step();
      check();
    }
    for (auto& [name, ns] : namespaces_) ns.check_values();
    manager_.reset();
    for (auto& [name, ns] : namespaces_) ns.close(StatusCode::kClosed);
    for (auto& [name, ns] : namespaces_) use(ns);
    for (CheckedNamespace& ns : deleted_) use(ns);
  }

 private:
  void before_initialize() {
    constexpr StatusCode code = StatusCode::kNotInitialized;
    RKVS_FUZZ_CHECK(!manager_->is_initialized());
    RKVS_FUZZ_CHECK(manager_->create_namespace("a").code() == code);
    RKVS_FUZZ_CHECK(manager_->get_namespace("a").code() == code);
    RKVS_FUZZ_CHECK(manager_->delete_namespace("a").code() == code);
    RKVS_FUZZ_CHECK(manager_->list_namespaces().code() == code);
    RKVS_FUZZ_CHECK(manager_->namespace_count().code() == code);
    RKVS_FUZZ_CHECK(manager_->total_key_count().code() == code);
    RKVS_FUZZ_CHECK(manager_->all_namespace_stats().code() == code);
    RKVS_FUZZ_CHECK(manager_->namespace_stats("a").code() == code);
    RKVS_FUZZ_CHECK(manager_->update_config({}).code() == code);
    RKVS_FUZZ_CHECK(manager_->save_all("one.rkvs").code() == code);
    RKVS_FUZZ_CHECK(manager_->load_namespace("one.rkvs").code() == code);
    // A file that is not there is an empty store.
    if (persistent_) RKVS_FUZZ_CHECK(manager_->initialize("missing.rkvs").ok());
  }

  void step() {
    switch (input_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3: return create();
      case 4: return get();
      case 5:
      case 6: return remove();
      case 7: return configure_namespace();
      case 8: return configure();
      case 9: return load();
      case 10: return save();
      case 11: {
        StorageManager moved = *std::move(manager_);
        manager_ = std::move(moved);
        RKVS_FUZZ_CHECK(manager_->initialize().ok());
        return;
      }
      case 12: {
        if (!deleted_.empty()) use(deleted_[input_.below(256) % deleted_.size()]);
        return;
      }
      default: {
        if (namespaces_.empty()) return;
        auto it = namespaces_.begin();
        std::advance(it, input_.below(256) % namespaces_.size());
        return use(it->second);
      }
    }
  }

  // Why a namespace of this name cannot be added, or Ok.
  StatusCode room_for(const std::string& name) const {
    if (namespaces_.contains(name)) return StatusCode::kNamespaceExists;
    if (limit_ != 0 && namespaces_.size() >= limit_) return StatusCode::kTooManyNamespaces;
    return StatusCode::kOk;
  }

  void create() {
    const std::string name = name_of(input_);
    const NamespaceConfig config = any_config(input_);
    const Result<rkvs::Namespace> created = manager_->create_namespace(name, config);
    const StatusCode code = !is_valid_name(name)                  ? StatusCode::kInvalidName
                            : !CheckedNamespace::is_valid(config) ? StatusCode::kInvalidArgument
                                                                  : room_for(name);
    RKVS_FUZZ_CHECK(created.code() == code);
    if (!created.ok()) return;
    RKVS_FUZZ_CHECK(created->name() == name);
    namespaces_.emplace(name, CheckedNamespace(*created, config));
  }

  void get() {
    const std::string name = name_of(input_);
    const Result<rkvs::Namespace> found = manager_->get_namespace(name);
    const auto it = namespaces_.find(name);
    RKVS_FUZZ_CHECK(found.code() ==
                    (it == namespaces_.end() ? StatusCode::kNamespaceNotFound : StatusCode::kOk));
    if (!found.ok()) return;
    // Another handle to the same data.
    RKVS_FUZZ_CHECK(found->name() == name);
    const auto stats = found->metadata();
    RKVS_FUZZ_CHECK(stats.ok() && stats->key_count == it->second.data().size());
  }

  void remove() {
    const std::string name = name_of(input_);
    const auto it = namespaces_.find(name);
    RKVS_FUZZ_CHECK(manager_->delete_namespace(name).code() ==
                    (it == namespaces_.end() ? StatusCode::kNamespaceNotFound : StatusCode::kOk));
    if (it == namespaces_.end()) return;
    it->second.close(StatusCode::kNamespaceDeleted);
    use(it->second);
    deleted_.push_back(std::move(it->second));
    namespaces_.erase(it);
  }

  void configure_namespace() {
    const std::string name = name_of(input_);
    NamespaceConfig config = any_config(input_);
    const auto it = namespaces_.find(name);
    // Resizes take too long for here.
    if (it != namespaces_.end() && config.shard_count <= rkvs::kMaxShardCount) {
      config.shard_count = it->second.config().shard_count;
    }
    const Status status = manager_->update_namespace_config(name, config);
    if (it != namespaces_.end()) return it->second.expect_config(status, config);
    RKVS_FUZZ_CHECK(status.code() == StatusCode::kNamespaceNotFound);
  }

  void configure() {
    StorageConfig config;
    if (input_.flag()) config.max_namespaces = input_.below(6);
    const uint64_t limit = config.max_namespaces.value_or(0);
    const bool fits = limit == 0 || limit >= namespaces_.size();
    RKVS_FUZZ_CHECK(manager_->update_config(config).code() ==
                    (fits ? StatusCode::kOk : StatusCode::kLimitBelowUse));
    if (fits) limit_ = limit;
  }

  // A few operations on keys; all refused when the namespace is closed.
  void use(CheckedNamespace& ns) {
    using rkvs::fuzz::key_of;
    using rkvs::fuzz::value_of;
    const std::string key = key_of(input_);
    const std::string value = value_of(input_);
    const BatchMode mode = input_.flag() ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
    switch (input_.below(12)) {
      case 0: ns.set(key, value); break;
      case 1: ns.update(key, value); break;
      case 2: ns.get(key); break;
      case 3: ns.exists(key); break;
      case 4: ns.delete_key(key); break;
      case 5: ns.consume(key); break;
      case 6: ns.set_multiple({{key, value}, {"b", "x"}}, mode); break;
      case 7: ns.get_multiple({key, "a"}, mode); break;
      case 8: ns.consume_multiple({key}, mode); break;
      case 9: ns.delete_multiple({}, mode); break;
      case 10: ns.set_max_keys(input_.below(4)); break;
      default: ns.put(key, value); break;
    }
    ns.check_figures();
    ns.check_held();
  }

  void save() {
    const FileName file = file_of(input_);
    const bool only_one = input_.flag();
    const std::string name = only_one ? name_of(input_) : std::string();
    if (saves_++ >= kMostSaves && persistent_) return;
    const Status status =
        only_one ? manager_->save_namespace(name, file.name) : manager_->save_all(file.name);
    const bool missing = only_one && !namespaces_.contains(name);
    const StatusCode code = missing        ? StatusCode::kNamespaceNotFound
                            : !persistent_ ? StatusCode::kNoPersistence
                            : !file.valid  ? StatusCode::kInvalidName
                                           : StatusCode::kOk;
    RKVS_FUZZ_CHECK(status.code() == code);
    if (!status.ok()) return;
    Saved saved;
    saved.max_namespaces = limit_;
    for (const auto& [saved_name, ns] : namespaces_) {
      if (only_one && saved_name != name) continue;
      saved.namespaces.emplace(saved_name, SavedNamespace{ns.config(), ns.values()});
    }
    check_initialize_from(file.name, saved);
    files_[std::string(file.name)] = std::move(saved);
  }

  // A new manager finds everything in the file.
  static void check_initialize_from(std::string_view file, const Saved& saved) {
    StorageOptions options;
    options.directory = directory();
    StorageManager other(options);
    RKVS_FUZZ_CHECK(other.initialize(file).ok());
    RKVS_FUZZ_CHECK(other.get_config().max_namespaces == saved.max_namespaces);
    RKVS_FUZZ_CHECK(*other.namespace_count() == saved.namespaces.size());
    for (const auto& [name, expected] : saved.namespaces) check_loaded(other, name, expected);
  }

  static void check_loaded(const StorageManager& manager, const std::string& name,
                           const SavedNamespace& expected) {
    const Result<rkvs::Namespace> ns = manager.get_namespace(name);
    RKVS_FUZZ_CHECK(ns.ok() && ns->get_config() == expected.config);
    RKVS_FUZZ_CHECK(ns->metadata()->key_count == expected.data.size());
    for (const auto& [key, value] : expected.data) {
      const Result<rkvs::Value> found = ns->get(key);
      RKVS_FUZZ_CHECK(found.ok() && *found == std::string_view(value));
    }
  }

  // Adds a namespace from a file under a new name.
  void load() {
    const FileName file = file_of(input_);
    const std::string new_name = name_of(input_);
    const std::optional<std::string> from =
        input_.flag() ? std::optional(name_of(input_)) : std::nullopt;
    const Result<std::string> loaded = from
                                           ? manager_->load_namespace_as(file.name, new_name, *from)
                                           : manager_->load_namespace_as(file.name, new_name);
    const auto saved = files_.find(std::string(file.name));
    StatusCode code = StatusCode::kOk;
    const SavedNamespace* source = nullptr;
    if (!is_valid_name(new_name)) {
      code = StatusCode::kInvalidName;
    } else if (room_for(new_name) != StatusCode::kOk) {
      code = room_for(new_name);
    } else if (!persistent_) {
      code = StatusCode::kNoPersistence;
    } else if (!file.valid) {
      code = StatusCode::kInvalidName;
    } else if (saved == files_.end()) {
      code = StatusCode::kSnapshotNotFound;
    } else if (!from && saved->second.namespaces.size() != 1) {
      code = StatusCode::kInvalidArgument;
    } else if (from && !saved->second.namespaces.contains(*from)) {
      code = StatusCode::kNamespaceNotFound;
    } else {
      source =
          &(from ? saved->second.namespaces.find(*from) : saved->second.namespaces.begin())->second;
    }
    RKVS_FUZZ_CHECK(loaded.code() == code);
    if (!loaded.ok()) return;
    RKVS_FUZZ_CHECK(*loaded == new_name);
    check_loaded(*manager_, new_name, *source);
    // It goes again: the oracle of a namespace begins with an empty one.
    RKVS_FUZZ_CHECK(manager_->delete_namespace(new_name).ok());
  }

  void check() const {
    RKVS_FUZZ_CHECK(manager_->is_initialized());
    RKVS_FUZZ_CHECK(manager_->has_persistence() == persistent_);
    RKVS_FUZZ_CHECK(manager_->get_config().max_namespaces == limit_);
    const auto names = manager_->list_namespaces();
    const auto stats = manager_->all_namespace_stats();
    RKVS_FUZZ_CHECK(names.ok() && stats.ok() && names->size() == namespaces_.size() &&
                    stats->size() == namespaces_.size());
    uint64_t keys = 0;
    size_t i = 0;
    for (const auto& [name, ns] : namespaces_) {  // sorted, as the lists are
      RKVS_FUZZ_CHECK((*names)[i] == name);
      ns.check_stats((*stats)[i]);
      keys += ns.data().size();
      ++i;
    }
    RKVS_FUZZ_CHECK(*manager_->namespace_count() == namespaces_.size());
    RKVS_FUZZ_CHECK(*manager_->total_key_count() == keys);
  }

  FuzzInput& input_;
  bool persistent_ = false;
  uint64_t limit_ = 0;
  int saves_ = 0;
  std::optional<StorageManager> manager_;
  std::map<std::string, CheckedNamespace> namespaces_;
  std::vector<CheckedNamespace> deleted_;
  std::map<std::string, Saved> files_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  FuzzInput input(data, size);
  ManagerRun(input).run();
  return 0;
}
