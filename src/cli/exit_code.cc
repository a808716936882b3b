#include "cli/exit_code.h"

#include <cstdio>
#include <string>

#include "cli/text.h"

namespace rkvs::cli {

ExitCode exit_code_of(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
    case StatusCode::kCancelled: return ExitCode::kGood;
    case StatusCode::kInvalidArgument:
    case StatusCode::kInvalidName: return ExitCode::kUsage;
    case StatusCode::kSnapshotCorrupt:
    case StatusCode::kSnapshotVersion: return ExitCode::kDamaged;
    case StatusCode::kNotFound:
    case StatusCode::kNamespaceNotFound:
    case StatusCode::kSnapshotNotFound: return ExitCode::kNotFound;
    default: return ExitCode::kIo;
  }
}

ExitCode report(const Status& status) {
  if (!status.ok() && status.code() != StatusCode::kCancelled) {
    const std::string_view text =
        status.message().empty() ? status_code_name(status.code()) : status.message();
    std::fprintf(stderr, "rkvs: %s\n", printable(text).c_str());
  }
  return exit_code_of(status.code());
}

ExitCode report_usage(const char* message) {
  std::fprintf(stderr, "rkvs: %s\n", printable(message).c_str());
  return ExitCode::kUsage;
}

}  // namespace rkvs::cli
