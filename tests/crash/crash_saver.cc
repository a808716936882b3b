// The program that crash_test kills: loads the store, changes it, saves it, says so, for ever.
//
//   crash_saver save|autosave <directory> <fd of the acknowledgements> <fd of Shared> <phase> <n>
//
// With `save` it saves after each change, with `autosave` it leaves that to the library, while it
// goes on with changes. Each acknowledgement is the serial number of a state that is saved for
// sure, 8 bytes. With a phase other than 0 it kills itself at the n-th such call, a write after
// half of its bytes; else somebody else has to.
#include <rkvs/all.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "manager/manager_impl.h"
#include "tests/crash/crash_contents.h"
#include "tests/manager/hooked_file_system.h"

namespace {

using rkvs::Namespace;
using rkvs::Status;
using rkvs::crash::NamespaceContents;
using rkvs::crash::Phase;
using rkvs::crash::Shared;
using rkvs::crash::StoreContents;
using rkvs::internal::ManagerImpl;
using rkvs::internal::NamespaceImpl;

[[noreturn]] void die() {
  raise(SIGKILL);
  std::abort();
}

void require(const Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "crash_saver: %s: %s\n", what, status.to_string().c_str());
  std::_Exit(rkvs::crash::kSaverFailed);
}

Phase phase_of(std::string_view call) {
  if (call == "create") return Phase::kCreate;
  if (call == "write") return Phase::kWrite;
  if (call == "sync") return Phase::kSync;
  if (call == "rename") return Phase::kRename;
  if (call == "link") return Phase::kLink;
  if (call == "sync_directory") return Phase::kSyncDirectory;
  if (call == "unlink") return Phase::kUnlink;
  return Phase::kOther;
}

// Writes down what it is asked for, and ends the process when its time has come.
class MortalFileSystem : public rkvs::manager_test::HookedFileSystem {
 public:
  MortalFileSystem(Shared& shared, Phase last_phase, uint64_t last_number)
      : shared_(shared), last_phase_(last_phase), left_(last_number) {
    set_hook([this](std::string_view call) {
      if (!saving_.load()) return 0;
      const Phase phase = phase_of(call);
      shared_.phase.store(static_cast<uint32_t>(phase));
      // Writes have some of their bytes written first.
      if (phase == last_phase_ && --left_ == 0 && phase != Phase::kWrite) die();
      return 0;
    });
  }
  int64_t write(int fd, const char* data, size_t size) override {
    if (saving_.load() && last_phase_ == Phase::kWrite && left_ == 1) {
      shared_.phase.store(static_cast<uint32_t>(Phase::kWrite));
      rkvs::internal::FileSystem::posix().write(fd, data, size / 2);
      die();
    }
    return HookedFileSystem::write(fd, data, size);
  }

  int unlink(int directory, const char* name) override {
    const int result = HookedFileSystem::unlink(directory, name);
    // A save ends with looking for generations that are too old.
    if (result != 0) shared_.phase.store(static_cast<uint32_t>(Phase::kNone));
    return result;
  }

  // Not before the store is loaded.
  void begin_saving() { saving_.store(true); }

 private:
  Shared& shared_;
  const Phase last_phase_;
  uint64_t left_;
  std::atomic<bool> saving_{false};
};

Namespace find_or_create(ManagerImpl& manager, const std::string& name) {
  auto found = manager.find(name);
  if (!found.ok()) found = manager.create(name, {});
  require(found.status(), "create");
  return NamespaceImpl::handle(*found);
}

void become(Namespace ns, const NamespaceContents& contents) {
  const auto keys = ns.list_keys();
  require(keys.status(), "list_keys");
  for (const std::string& key : *keys) {
    if (contents.count(key) == 0) require(ns.delete_key(key).status(), "delete_key");
  }
  for (const auto& [key, value] : contents) require(ns.put(key, value), "put");
}

void become(ManagerImpl& manager, const StoreContents& contents) {
  const auto all = manager.all();
  require(all.status(), "list");
  for (const auto& ns : *all) {
    if (contents.count(ns->name()) == 0) require(manager.remove(ns->name()), "delete");
  }
  for (const auto& [name, in_it] : contents) become(find_or_create(manager, name), in_it);
}

uint64_t serial_of(ManagerImpl& manager) {
  const auto found = manager.find("always");
  if (!found.ok()) return 0;
  const auto serial = NamespaceImpl::handle(*found).get("serial");
  // Saved when the namespace was there and nothing in it yet.
  if (serial.code() == rkvs::StatusCode::kNotFound) return 0;
  require(serial.status(), "get");
  return std::stoull(serial->to_string());
}

void acknowledge(int fd, uint64_t serial) {
  if (write(fd, &serial, sizeof serial) != sizeof serial) std::_Exit(rkvs::crash::kSaverFailed);
}

// Saves after each change.
[[noreturn]] void save_for_ever(ManagerImpl& manager, Shared& shared, int acknowledgements) {
  for (uint64_t serial = serial_of(manager) + 1;; ++serial) {
    shared.changing.store(serial);
    become(manager, rkvs::crash::contents_of(serial));
    const auto all = manager.all();
    require(all.status(), "list");
    require(manager.save(*all, rkvs::crash::kFile, {}), "save");
    acknowledge(acknowledgements, serial);
  }
}

uint64_t saves_so_far(const ManagerImpl& manager) {
  const auto tasks = manager.list_autosave();
  require(tasks.status(), "list_autosave");
  if (tasks->size() != 1) std::_Exit(rkvs::crash::kSaverFailed);
  require(tasks->front().last_error, "autosave");
  return tasks->front().saves;
}

// Changes without a pause, one batch for each change. Of a save that succeeds nobody knows when it
// began; the next one began after that.
[[noreturn]] void change_for_ever(ManagerImpl& manager, Shared& shared, int acknowledgements) {
  const uint64_t first = serial_of(manager) + 1;
  Namespace ns = find_or_create(manager, "always");
  uint64_t marked = 0;  // a change that was there when `saves` were
  uint64_t saves = 0;
  for (uint64_t serial = first;; ++serial) {
    shared.changing.store(serial);
    const StoreContents store = rkvs::crash::background_contents_of(serial);
    std::vector<rkvs::KeyValue> items;
    for (const auto& [key, value] : store.at("always")) items.push_back({key, value});
    require(ns.set_multiple(items, rkvs::BatchMode::kAllOrNothing).status, "set_multiple");
    const uint64_t now = saves_so_far(manager);
    if (marked == 0) {
      marked = serial;
      saves = now;
    } else if (now >= saves + 2) {
      acknowledge(acknowledgements, marked);
      marked = 0;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "crash_saver: six arguments; see the source\n");
    return 2;
  }
  const bool by_itself = std::string_view(argv[1]) == "autosave";
  const int acknowledgements = std::atoi(argv[3]);
  void* const memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(argv[4]), 0);
  if (memory == MAP_FAILED) return 2;
  Shared& shared = *static_cast<Shared*>(memory);
  MortalFileSystem fs(shared, static_cast<Phase>(std::atoi(argv[5])),
                      std::strtoull(argv[6], nullptr, 10));

  rkvs::StorageOptions options{.directory = argv[2]};
  if (by_itself) {
    options.manager_autosave = {.interval = std::chrono::milliseconds(1),
                                .file = rkvs::crash::kFile};
  }
  ManagerImpl manager(std::move(options), fs);
  fs.begin_saving();
  require(manager.initialize(rkvs::crash::kFile), "initialize");
  if (by_itself) change_for_ever(manager, shared, acknowledgements);
  save_for_ever(manager, shared, acknowledgements);
}
