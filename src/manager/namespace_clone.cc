// clone_namespace: a namespace with the content that another has at one instant.
#include <algorithm>
#include <new>
#include <utility>

#include "manager/manager_impl.h"
#include "store/namespace_image.h"
#include "store/namespace_restore.h"

namespace rkvs::internal {
namespace {

constexpr size_t kEntriesPerCheck = 8192;

// Fills `into` with the entries of `image`, shared.
Status fill(NamespaceImpl& into, NamespaceImage& image, int64_t cut_ms, OperationMonitor& monitor) {
  Progress progress;
  progress.entries_total = image.keys;
  progress.bytes_total = image.value_bytes;
  Restorer restorer;
  OperationTime time(cut_ms);
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    const auto entries = image.entries(shard);
    if (!entries.ok()) return entries.status();
    for (auto rest = *entries; !rest.empty();) {
      if (monitor.is_cancelled()) return OperationMonitor::cancelled("the clone");
      const auto part = rest.first(std::min(rest.size(), kEntriesPerCheck));
      rest = rest.subspan(part.size());
      if (const StatusCode code = restorer.share(into, part, time); code != StatusCode::kOk)
        return code;
      progress.entries_done += part.size();
      for (const Entry* entry : part) progress.bytes_done += entry->value_size;
      monitor.report(progress);
    }
    image.release(shard);
  }
  restore_last_version(into, image.last_version);
  monitor.report_end(progress);
  return Status();
}

}  // namespace

Result<NamespacePtr> ManagerImpl::clone(std::string_view name, std::string_view new_name,
                                        const OperationOptions& options) try {
  const auto source = find(name);
  if (!source.ok()) return source.status();
  if (Status status = validate_namespace_name(new_name); !status.ok()) return status;
  {
    // The usual refusals before the work; add() asks again.
    const ReaderLock lock(mutex_);
    if (Status status = check_room(new_name); !status.ok()) return status;
  }
  auto cut = Cut::take({*source});
  if (!cut.ok()) return cut.status();
  auto& images = (*cut)->namespaces();
  if (images.empty()) return (*source)->error(StatusCode::kNamespaceDeleted);
  NamespaceImage& image = images.front();
  auto created =
      NamespaceImpl::create(new_name, image.config, image.keys, KeyHash::of_process(), time_);
  if (!created.ok()) return created.status();
  const uint64_t max_bytes = image.config.max_bytes;
  OperationMonitor monitor(options);
  // Room ahead may be more than is needed, which a limit of bytes would count.
  if (image.config.max_bytes == 0 && !restore_room(**created, image.keys)) {
    return StatusCode::kNoMemory;
  }
  if (Status status = fill(**created, image, (*cut)->steady_ms(), monitor); !status.ok())
    return status;
  cut->reset();
  const auto stats = (*created)->stats();
  if (!stats.ok()) return stats.status();
  if (max_bytes != 0 && stats->memory_bytes > max_bytes) {
    return make_error(StatusCode::kMemoryLimit, "the clone takes ", stats->memory_bytes,
                      " bytes; the max_bytes of \"", name, "\" is ", max_bytes);
  }
  if (Status status = add(*created); !status.ok()) return status;
  return created;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

}  // namespace rkvs::internal
