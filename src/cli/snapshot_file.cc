#include "cli/snapshot_file.h"

#include "base/error.h"
#include "store/namespace_impl.h"

namespace rkvs::cli {

using internal::SnapshotEvent;

Result<std::unique_ptr<SnapshotFile>> SnapshotFile::open(const std::string& path,
                                                         std::string label) {
  auto source = internal::ReadableFile::open(path);
  if (!source.ok()) return source.status();
  auto reader = internal::SnapshotReader::open(*std::move(source));
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<SnapshotFile>(new SnapshotFile(*std::move(reader), std::move(label)));
}

Result<SnapshotEvent> SnapshotFile::next() {
  auto event = reader_->next(chunk_);
  if (!event.ok()) return event;
  if (*event == SnapshotEvent::kNamespace) {
    if (Status s = internal::validate_namespace_name(current().name); !s.ok()) {
      return internal::make_error(StatusCode::kSnapshotCorrupt, "namespace ",
                                  reader_->namespace_index(), " of the snapshot: ", s.message());
    }
  }
  if (Status s = progress_.step(reader_->offset()); !s.ok()) return s;
  return event;
}

}  // namespace rkvs::cli
