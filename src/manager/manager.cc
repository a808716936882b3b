// The public face of ManagerImpl.
#include <rkvs/manager.h>

#include <new>
#include <utility>

#include "manager/manager_impl.h"

namespace rkvs {

using internal::ManagerImpl;
using internal::NamespaceImpl;
using internal::NamespacePtr;

namespace {

// What a moved-from manager answers.
const Status& closed() {
  static const Status status =
      internal::make_error(StatusCode::kClosed, "the StorageManager was moved from");
  return status;
}

std::shared_ptr<ManagerImpl> owner_of(std::shared_ptr<ManagerImpl> impl) {
  ManagerImpl* const owned = impl.get();
  return {owned, [impl = std::move(impl)](ManagerImpl* manager) { manager->end_ownership(); }};
}

}  // namespace

StorageManager::StorageManager() : StorageManager(StorageOptions()) {}
StorageManager::StorageManager(StorageOptions options)
    // Operations that are on share the manager with its owner, but only the end of the owner's
    // handle closes it.
    : impl_(owner_of(std::make_shared<ManagerImpl>(std::move(options)))) {}
StorageManager::~StorageManager() = default;
StorageManager::StorageManager(StorageManager&& other) noexcept = default;
StorageManager& StorageManager::operator=(StorageManager&& other) noexcept = default;

Status StorageManager::initialize() { return impl_ ? impl_->initialize(std::nullopt) : closed(); }
Status StorageManager::initialize(std::string_view file, const OperationOptions& options) {
  return impl_ ? impl_->initialize(file, options) : closed();
}
Result<LoadReport> StorageManager::load_report() const {
  if (!impl_) return closed();
  return impl_->load_report();
}
bool StorageManager::is_initialized() const noexcept { return impl_ && impl_->is_initialized(); }
bool StorageManager::has_persistence() const noexcept { return impl_ && impl_->has_persistence(); }
Status StorageManager::close() { return impl_ ? impl_->close() : Status(); }

Result<Namespace> StorageManager::create_namespace(std::string_view name,
                                                   const NamespaceConfig& config) {
  if (!impl_) return closed();
  auto created = impl_->create(name, config);
  if (!created.ok()) return created.status();
  return NamespaceImpl::handle(*std::move(created));
}

Result<Namespace> StorageManager::get_namespace(std::string_view name) const {
  if (!impl_) return closed();
  auto found = impl_->find(name);
  if (!found.ok()) return found.status();
  return NamespaceImpl::handle(*std::move(found));
}

Result<Namespace> StorageManager::clone_namespace(std::string_view name, std::string_view new_name,
                                                  const OperationOptions& options) {
  if (!impl_) return closed();
  auto cloned = impl_->clone(name, new_name, options);
  if (!cloned.ok()) return cloned.status();
  return NamespaceImpl::handle(*std::move(cloned));
}

Status StorageManager::delete_namespace(std::string_view name) {
  return impl_ ? impl_->remove(name) : closed();
}

Result<std::vector<std::string>> StorageManager::list_namespaces() const {
  if (!impl_) return closed();
  auto all = impl_->all();
  if (!all.ok()) return all.status();
  try {
    std::vector<std::string> names;
    names.reserve(all->size());
    for (const NamespacePtr& impl : *all) names.push_back(impl->name());
    return names;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

Status StorageManager::update_namespace_config(std::string_view name,
                                               const NamespaceConfig& config) {
  if (!impl_) return closed();
  const auto found = impl_->find(name);
  return found.ok() ? (*found)->update_config(config) : found.status();
}

StorageConfig StorageManager::get_config() const {
  return impl_ ? impl_->get_config() : StorageConfig();
}
Status StorageManager::update_config(const StorageConfig& config) {
  return impl_ ? impl_->update_config(config) : closed();
}

Result<NamespaceStats> StorageManager::namespace_stats(std::string_view name) const {
  if (!impl_) return closed();
  const auto found = impl_->find(name);
  if (!found.ok()) return found.status();
  return (*found)->stats();
}

Result<std::vector<NamespaceStats>> StorageManager::all_namespace_stats() const {
  if (!impl_) return closed();
  auto all = impl_->all();
  if (!all.ok()) return all.status();
  try {
    std::vector<NamespaceStats> list;
    list.reserve(all->size());
    for (const NamespacePtr& impl : *all) {
      auto stats = impl->stats();
      // Deleted since the list was made: it is not one of them any more.
      if (stats.code() == StatusCode::kNamespaceDeleted) continue;
      if (!stats.ok()) return stats.status();
      list.push_back(*std::move(stats));
    }
    return list;
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

Result<std::string> StorageManager::metrics_text() const {
  if (!impl_) return closed();
  return impl_->metrics_text();
}

Result<std::size_t> StorageManager::namespace_count() const {
  if (!impl_) return closed();
  return impl_->count();
}

Result<uint64_t> StorageManager::total_key_count() const {
  const auto all = all_namespace_stats();
  if (!all.ok()) return all.status();
  uint64_t keys = 0;
  for (const NamespaceStats& stats : *all) keys += stats.key_count;
  return keys;
}

Status StorageManager::save_all(std::string_view file, const OperationOptions& options) {
  if (!impl_) return closed();
  const auto all = impl_->all();
  return all.ok() ? impl_->save(*all, file, options) : all.status();
}

Status StorageManager::save_namespace(std::string_view name, std::string_view file,
                                      const OperationOptions& options) {
  return impl_ ? impl_->save_namespace(name, file, options) : closed();
}

Result<std::string> StorageManager::load_namespace(std::string_view file,
                                                   const OperationOptions& options) {
  if (!impl_) return closed();
  return impl_->load(file, std::nullopt, std::nullopt, options);
}

Result<std::string> StorageManager::load_namespace_as(std::string_view file,
                                                      std::string_view new_name,
                                                      const OperationOptions& options) {
  if (!impl_) return closed();
  return impl_->load(file, new_name, std::nullopt, options);
}

Result<std::string> StorageManager::load_namespace_as(std::string_view file,
                                                      std::string_view new_name,
                                                      std::string_view from,
                                                      const OperationOptions& options) {
  if (!impl_) return closed();
  return impl_->load(file, new_name, from, options);
}

// --- Autosave ------------------------------------------------------------------------------------

Status StorageManager::add_namespace_autosave_task(std::string_view name,
                                                   const AutosaveConfig& config) {
  return impl_ ? impl_->add_namespace_autosave(name, config) : closed();
}

Status StorageManager::start_namespace_autosave_task(std::string_view name) {
  return impl_ ? impl_->start_namespace_autosave(name) : closed();
}

Result<std::size_t> StorageManager::start_missing_autosave_tasks() {
  if (!impl_) return closed();
  return impl_->start_missing_autosave();
}

Result<std::vector<AutosaveStatus>> StorageManager::list_autosave_tasks() const {
  if (!impl_) return closed();
  return impl_->list_autosave();
}

Status StorageManager::stop_namespace_autosave(std::string_view name) {
  return impl_ ? impl_->stop_namespace_autosave(name) : closed();
}

Status StorageManager::stop_manager_autosave() {
  return impl_ ? impl_->stop_manager_autosave() : closed();
}

}  // namespace rkvs
