#include <rkvs/status.h>
#include <rkvs/version.h>

#include <atomic>
#include <new>

namespace rkvs {

struct Status::Message {
  std::atomic<uint32_t> references{1};
  std::string text;
};

Status::Status(StatusCode code, std::string message) noexcept
    : code_(code), message_(new (std::nothrow) Message) {
  // Without memory for the text there is the code, which is what callers decide by.
  if (message_ != nullptr) message_->text = std::move(message);
}

std::string_view Status::message() const noexcept {
  return message_ == nullptr ? std::string_view() : std::string_view(message_->text);
}

void Status::retain(Message* message) noexcept {
  message->references.fetch_add(1, std::memory_order_relaxed);
}

void Status::release(Message* message) noexcept {
  if (message->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete message;
}

std::string Status::to_string() const {
  std::string text(status_code_name(code_));
  if (!message().empty()) text.append(": ").append(message());
  return text;
}

std::string_view status_code_name(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::kOk: return "Ok";
    case StatusCode::kNotFound: return "NotFound";
    case StatusCode::kExists: return "Exists";
    case StatusCode::kVersionMismatch: return "VersionMismatch";
    case StatusCode::kNotApplied: return "NotApplied";
    case StatusCode::kInvalidArgument: return "InvalidArgument";
    case StatusCode::kInvalidName: return "InvalidName";
    case StatusCode::kNotInitialized: return "NotInitialized";
    case StatusCode::kClosed: return "Closed";
    case StatusCode::kNamespaceNotFound: return "NamespaceNotFound";
    case StatusCode::kNamespaceExists: return "NamespaceExists";
    case StatusCode::kNamespaceDeleted: return "NamespaceDeleted";
    case StatusCode::kTooManyNamespaces: return "TooManyNamespaces";
    case StatusCode::kTooManyKeys: return "TooManyKeys";
    case StatusCode::kLimitBelowUse: return "LimitBelowUse";
    case StatusCode::kKeyTooLarge: return "KeyTooLarge";
    case StatusCode::kValueTooLarge: return "ValueTooLarge";
    case StatusCode::kMemoryLimit: return "MemoryLimit";
    case StatusCode::kNoMemory: return "NoMemory";
    case StatusCode::kTimeout: return "Timeout";
    case StatusCode::kCancelled: return "Cancelled";
    case StatusCode::kNotANumber: return "NotANumber";
    case StatusCode::kOverflow: return "Overflow";
    case StatusCode::kNoPersistence: return "NoPersistence";
    case StatusCode::kSnapshotNotFound: return "SnapshotNotFound";
    case StatusCode::kSnapshotCorrupt: return "SnapshotCorrupt";
    case StatusCode::kSnapshotVersion: return "SnapshotVersion";
    case StatusCode::kIo: return "Io";
    case StatusCode::kDirectoryLocked: return "DirectoryLocked";
    case StatusCode::kAutosaveExists: return "AutosaveExists";
    case StatusCode::kAutosaveNotConfigured: return "AutosaveNotConfigured";
    case StatusCode::kAutosaveNotRunning: return "AutosaveNotRunning";
    case StatusCode::kBusy: return "Busy";
    case StatusCode::kWouldDeadlock: return "WouldDeadlock";
    case StatusCode::kForked: return "Forked";
    case StatusCode::kUnsupported: return "Unsupported";
    case StatusCode::kInternal: return "Internal";
  }
  return "Unknown";
}

std::string_view version() noexcept { return RKVS_VERSION_STRING; }

}  // namespace rkvs
