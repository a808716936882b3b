// A snapshot as the commands go through it: frame by frame, checked, with progress.
#ifndef RKVS_CLI_SNAPSHOT_FILE_H_
#define RKVS_CLI_SNAPSHOT_FILE_H_

#include <rkvs/status.h>

#include <memory>
#include <string>
#include <utility>

#include "cli/progress.h"
#include "snapshot/reader.h"

namespace rkvs::cli {

// A SnapshotReader, its chunk and a progress line in one. Beyond what the reader checks, names of
// namespaces must be what rkvs allows (UTF-8).
class SnapshotFile {
 public:
  // `label` names the work on the progress line. SnapshotNotFound, and whatever the reader says.
  static Result<std::unique_ptr<SnapshotFile>> open(const std::string& path, std::string label);

  // As SnapshotReader::next(); Cancelled when a signal has come.
  Result<internal::SnapshotEvent> next();

  const internal::SnapshotReader& reader() const { return *reader_; }
  const internal::SnapshotNamespace& current() const { return reader_->current_namespace(); }
  const internal::SnapshotChunk& chunk() const { return chunk_; }

 private:
  SnapshotFile(std::unique_ptr<internal::SnapshotReader> reader, std::string label)
      : reader_(std::move(reader)), progress_(std::move(label), reader_->file_size()) {}

  std::unique_ptr<internal::SnapshotReader> reader_;
  internal::SnapshotChunk chunk_;
  Progress progress_;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_SNAPSHOT_FILE_H_
