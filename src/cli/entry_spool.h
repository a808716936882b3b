// Entries of one namespace on their way into a snapshot, held back until they can be counted.
#ifndef RKVS_CLI_ENTRY_SPOOL_H_
#define RKVS_CLI_ENTRY_SPOOL_H_

#include <rkvs/status.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/file.h"
#include "cli/fingerprint.h"
#include "cli/progress.h"
#include "snapshot/format.h"
#include "snapshot/writer.h"

namespace rkvs::cli {

// Which of the entries with one key stays.
enum class DuplicateRule {
  kLast,            // the one that was added last
  kHighestVersion,  // the one with the highest version; of equal ones the last
};

// A snapshot announces how much a namespace holds before its first entry, and holds no key twice.
// Neither is known before the last entry has come. So entries go into a nameless temporary file
// first; in memory stay 24 bytes a key (28 to 58 with the table around them): its fingerprint, and
// where in the file its entry lies. Then the file is read front to back, and what has not been
// superseded goes to the writer in the order it came. Counts are exact, and memory does not depend
// on the size of values, one entry aside.
//
// Keys with one fingerprint are compared in the file, byte by byte: none is ever taken for another.
// Used by one thread at a time. All functions throw std::bad_alloc.
class EntrySpool {
 public:
  // The file lies in `directory`, where there must be room for the entries once more; it goes away
  // with the process, however that ends. Io.
  static Result<std::unique_ptr<EntrySpool>> create(const std::string& directory,
                                                    DuplicateRule rule);

  // Io. Internal where two keys share 128 bits, which another run, with another seed, will not see.
  Status add(const internal::SnapshotEntry& entry);

  // Of what will be written.
  const internal::SnapshotTotals& totals() const { return totals_; }
  // Entries added that another one with their key has superseded.
  uint64_t duplicates() const { return duplicates_; }
  // The greatest version of any entry added.
  uint64_t last_version() const { return last_version_; }
  // Bytes in the file, for progress.
  uint64_t size() const { return size_; }

  // Hands the entries to the writer, between its begin_namespace and end_namespace.
  Status write_to(internal::SnapshotWriter& writer, Progress& progress);

 private:
  // Before each entry in the file, followed by the bytes of key and value.
  struct Record {
    Fingerprint fingerprint = {};
    uint64_t version = 0;
    int64_t expires_at_ms = 0;
    uint32_t key_size = 0;
    uint32_t value_size = 0;
  };

  EntrySpool(internal::FileHandle handle, DuplicateRule rule)
      : handle_(std::move(handle)), rule_(rule) {}

  Status append(const Record& record, const internal::SnapshotEntry& entry);
  Status flush();
  Status write_out(std::string_view data);
  Status read_at(uint64_t offset, char* to, size_t size) const;

  internal::FileHandle handle_;
  const DuplicateRule rule_;
  const Fingerprinter fingerprint_of_;
  boost::unordered_flat_map<Fingerprint, uint64_t, FingerprintHash> offsets_;
  std::string buffer_;    // whole records that are not in the file yet
  uint64_t flushed_ = 0;  // bytes in the file
  uint64_t size_ = 0;     // with those in the buffer
  std::string old_key_;
  internal::SnapshotTotals totals_;
  uint64_t duplicates_ = 0;
  uint64_t last_version_ = 0;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_ENTRY_SPOOL_H_
