// Where a command's bytes go: standard output, or a file that appears whole or not at all.
#ifndef RKVS_CLI_OUTPUT_H_
#define RKVS_CLI_OUTPUT_H_

#include <rkvs/status.h>

#include <memory>
#include <string>

#include "base/file.h"

namespace rkvs::cli {

// Bytes in order, then finish(). Destroyed without finish(), a file stays what it was.
class Output : public internal::ByteSink {
 public:
  // All of it is where it belongs: flushed, or synced and under its name. Once.
  virtual Status finish() = 0;
};

// Standard output, gathered into large writes. Cancelled when its reader has closed the pipe: there
// is nobody to tell, and nothing left to do. Io.
std::unique_ptr<Output> standard_output();

// Exactly `path`, replaced in one step by finish(), with no older generations kept; mode 0600.
// InvalidArgument where there is something else than a regular file: a device is not to be
// replaced, and a symbolic link would be, instead of what it leads to. InvalidName, Io.
Result<std::unique_ptr<Output>> file_output(const std::string& path);

// The directory that `path` lies in.
std::string directory_of(const std::string& path);

// Whether both paths lead to one file: what is read must not be replaced.
bool is_same_file(const std::string& a, const std::string& b);

// Writes all of `text` to standard output.
Status print(const std::string& text);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_OUTPUT_H_
