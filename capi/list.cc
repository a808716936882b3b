#include "capi/list.h"

#include <memory>
#include <utility>

#include "capi/options.h"

using rkvs::AutosaveStatus;
using rkvs::NamespaceConfig;
using rkvs::NamespaceStats;
using rkvs::ShardStats;
using rkvs::Status;
using rkvs::StatusCode;
using rkvs::StorageConfig;
using namespace rkvs::capi;

namespace rkvs::capi {

namespace {

template <typename Figures>
rkvs_list* finish_list(std::unique_ptr<rkvs_list> list, Figures figures) {
  list->figures = std::move(figures);
  return list.release();
}

template <typename Figures>  // a vector
rkvs_list* make_nameless(Figures figures) {
  auto list = std::make_unique<rkvs_list>();
  list->offsets.assign(figures.size() + 1, 0);
  return finish_list(std::move(list), std::move(figures));
}

}  // namespace

rkvs_list* make_list(const std::vector<std::string>& items) {
  auto list = std::make_unique<rkvs_list>();
  std::size_t size = 0;
  for (const std::string& item : items) size += item.size();
  list->bytes.reserve(size);
  list->offsets.reserve(items.size() + 1);
  for (const std::string& item : items) list->append(item);
  return list.release();
}

rkvs_list* make_list(std::vector<NamespaceStats> stats) {
  auto list = std::make_unique<rkvs_list>();
  for (const NamespaceStats& one : stats) list->append(one.name);
  return finish_list(std::move(list), std::move(stats));
}

rkvs_list* make_list(std::vector<AutosaveStatus> tasks) {
  auto list = std::make_unique<rkvs_list>();
  for (const AutosaveStatus& task : tasks) list->append(task.namespace_name);
  return finish_list(std::move(list), std::move(tasks));
}

rkvs_list* make_list(std::vector<ShardStats> shards) { return make_nameless(std::move(shards)); }
rkvs_list* make_list(std::vector<uint64_t> numbers) { return make_nameless(std::move(numbers)); }
rkvs_list* make_list(const StorageConfig& config) { return make_nameless(std::vector{config}); }

rkvs_list* make_list(std::string_view name, const NamespaceConfig& config) {
  auto list = std::make_unique<rkvs_list>();
  list->append(name);
  return finish_list(std::move(list), std::vector{config});
}

rkvs_list* make_list(LoadReport report) {
  auto list = std::make_unique<rkvs_list>();
  list->append(report.file);
  return finish_list(std::move(list), LoadReportRef(new rkvs_load_report(std::move(report))));
}

}  // namespace rkvs::capi

namespace {

// A forked child may read what it has: lists take no lock.
rkvs_status check_list(const rkvs_list* list, rkvs_error** error) {
  if (is_valid(list)) return RKVS_OK;
  return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a list");
}

rkvs_status check_item(size_t index, size_t count, rkvs_error** error) {
  if (index < count) return RKVS_OK;
  return refuse(StatusCode::kInvalidArgument, error, "item ", index, " of ", count);
}

// Calls `use(figures)` with what the list has in place of, or beside, texts.
template <typename Figures, typename Use>
rkvs_status use_figures(const rkvs_list* list, rkvs_error** error, Use use) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_list(list, error)) return bad;
    const Figures* const figures = std::get_if<Figures>(&list->figures);
    if (figures == nullptr) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "a list of something else");
    }
    return use(*figures);
  });
}

// Calls `use(item)` with those of one item.
template <typename Item, typename Use>
rkvs_status use_item(const rkvs_list* list, size_t index, rkvs_error** error, Use use) {
  return use_figures<std::vector<Item>>(list, error, [&](const std::vector<Item>& items) {
    if (const rkvs_status bad = check_item(index, items.size(), error)) return bad;
    return finish(use(items[index]), error);
  });
}

}  // namespace

size_t rkvs_list_count(const rkvs_list* list) { return is_valid(list) ? list->count() : 0; }

rkvs_status rkvs_list_item(const rkvs_list* list, size_t index, const void** data, size_t* size,
                           rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_list(list, error)) return bad;
    if (const rkvs_status bad = check_item(index, list->count(), error)) return bad;
    const uint64_t begin = list->offsets[index];
    if (data != nullptr) *data = list->bytes.data() + begin;
    if (size != nullptr) *size = list->offsets[index + 1] - begin;
    return RKVS_OK;
  });
}

rkvs_status rkvs_list_packed(const rkvs_list* list, const void** bytes, const uint64_t** offsets,
                             size_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_list(list, error)) return bad;
    if (bytes != nullptr) *bytes = list->bytes.data();
    if (offsets != nullptr) *offsets = list->offsets.data();
    if (count != nullptr) *count = list->count();
    return RKVS_OK;
  });
}

rkvs_status rkvs_list_namespace_stats(const rkvs_list* list, size_t index,
                                      rkvs_namespace_stats* stats, rkvs_error** error) {
  return use_item<NamespaceStats>(list, index, error, [&](const NamespaceStats& item) {
    return write_struct(from_stats(item), stats);
  });
}

rkvs_status rkvs_list_autosave_status(const rkvs_list* list, size_t index,
                                      rkvs_autosave_status* status, rkvs_error** error) {
  return use_item<AutosaveStatus>(list, index, error, [&](const AutosaveStatus& item) {
    return write_struct(from_autosave_status(item), status);
  });
}

rkvs_status rkvs_list_namespace_config(const rkvs_list* list, size_t index,
                                       rkvs_namespace_config* config, rkvs_error** error) {
  return use_item<NamespaceConfig>(list, index, error, [&](const NamespaceConfig& item) {
    return write_struct(from_namespace_config(item), config);
  });
}

rkvs_status rkvs_list_manager_config(const rkvs_list* list, size_t index,
                                     rkvs_manager_config* config, rkvs_error** error) {
  return use_item<StorageConfig>(list, index, error, [&](const StorageConfig& item) {
    return write_struct(from_storage_config(item), config);
  });
}

rkvs_status rkvs_list_shard_stats(const rkvs_list* list, size_t index, rkvs_shard_stats* stats,
                                  size_t item_size, rkvs_error** error) {
  return use_item<ShardStats>(list, index, error, [&](const ShardStats& item) -> Status {
    if (stats == nullptr) {
      return rkvs::internal::make_error(StatusCode::kInvalidArgument, "nothing to fill in");
    }
    if (Status bad = check_size<rkvs_shard_stats>(item_size); !bad.ok()) return bad;
    copy_sized(from_shard_stats(item), stats, item_size);
    return Status();
  });
}

rkvs_status rkvs_list_numbers(const rkvs_list* list, const uint64_t** numbers, size_t* count,
                              rkvs_error** error) {
  return use_figures<std::vector<uint64_t>>(list, error, [&](const auto& figures) -> rkvs_status {
    if (numbers != nullptr) *numbers = figures.data();
    if (count != nullptr) *count = figures.size();
    return RKVS_OK;
  });
}

rkvs_status rkvs_list_load_report(const rkvs_list* list, rkvs_load_report** report,
                                  rkvs_error** error) {
  if (report != nullptr) *report = nullptr;
  return use_figures<LoadReportRef>(list, error, [&](const LoadReportRef& found) -> rkvs_status {
    if (report == nullptr) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "NULL where a result is to go");
    }
    *report = retain(found.get());
    return RKVS_OK;
  });
}

rkvs_list* rkvs_list_retain(rkvs_list* list) { return rkvs::capi::retain(list); }
void rkvs_list_release(rkvs_list* list) { rkvs::capi::release(list); }
