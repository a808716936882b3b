// StatusCode, Status and Result<T>: how every operation of rkvs says what came of it.
#ifndef RKVS_STATUS_H_
#define RKVS_STATUS_H_

#include <cassert>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace rkvs {

// One code for each decision that a caller can make. Zero is success, positive codes are outcomes
// that belong to normal use, negative codes are errors. The numbers are part of the ABI and never
// change or return with another meaning.
enum class StatusCode : int32_t {
  kOk = 0,

  // Outcomes.
  kNotFound = 1,         // the key is not there
  kExists = 2,           // the key is there already
  kVersionMismatch = 3,  // the entry has another version than the one asked for
  kNotApplied = 4,       // an item of a failed all-or-nothing batch that had no fault of its own

  // Errors.
  kInvalidArgument = -1,
  kInvalidName = -2,     // a namespace or file name that is not allowed
  kNotInitialized = -3,  // StorageManager::initialize() has not succeeded yet
  kClosed = -4,          // the manager is closed
  kNamespaceNotFound = -5,
  kNamespaceExists = -6,
  kNamespaceDeleted = -7,   // the handle's namespace was deleted
  kTooManyNamespaces = -8,  // max_namespaces is reached
  kTooManyKeys = -9,        // max_keys is reached
  kLimitBelowUse = -10,     // a new limit is below what is in use now
  kKeyTooLarge = -11,
  kValueTooLarge = -12,
  kMemoryLimit = -13,  // max_bytes is reached
  kNoMemory = -14,     // the system has no memory left
  kTimeout = -15,      // lock_timeout passed before the operation could finish
  kCancelled = -16,
  kNotANumber = -17,
  kOverflow = -18,
  kNoPersistence = -19,  // the manager was built without a directory
  kSnapshotNotFound = -20,
  kSnapshotCorrupt = -21,
  kSnapshotVersion = -22,  // a snapshot of a format that this version does not read
  kIo = -23,
  kDirectoryLocked = -24,  // another process saves into this directory
  kAutosaveExists = -25,
  kAutosaveNotConfigured = -26,
  kAutosaveNotRunning = -27,
  kBusy = -28,
  kWouldDeadlock = -29,
  kForked = -30,  // the process is a fork of the one that opened the store
  kUnsupported = -31,
  kInternal = -32,
};

// The code's name as it stands in the enumeration, without the k: "NotFound". Never empty.
std::string_view status_code_name(StatusCode code) noexcept;

// True for negative codes alone: an outcome such as NotFound is not an error.
constexpr bool is_error(StatusCode code) noexcept { return static_cast<int32_t>(code) < 0; }

// A code and, for errors, a message that names the value and the limit. Copying is cheap and never
// throws. A const Status may be read by many threads.
class [[nodiscard]] Status {
 public:
  // Ok.
  Status() noexcept = default;
  // A code without a message. Never allocates.
  Status(StatusCode code) noexcept : code_(code) {}  // NOLINT(google-explicit-constructor)
  // Keeps the code and drops the message where no memory is left for it.
  Status(StatusCode code, std::string message) noexcept;
  Status(const Status& other) noexcept : code_(other.code_), message_(other.message_) {
    if (message_ != nullptr) retain(message_);
  }
  // Leaves the code in `other`, without its message.
  Status(Status&& other) noexcept
      : code_(other.code_), message_(std::exchange(other.message_, nullptr)) {}
  Status& operator=(Status other) noexcept {
    code_ = other.code_;
    std::swap(message_, other.message_);
    return *this;
  }
  ~Status() {
    if (message_ != nullptr) release(message_);
  }

  bool ok() const noexcept { return code_ == StatusCode::kOk; }
  bool is_error() const noexcept { return rkvs::is_error(code_); }
  StatusCode code() const noexcept { return code_; }
  // The message, or an empty view. Valid as long as this Status or a copy of it.
  std::string_view message() const noexcept;
  // "TooManyKeys: ...", for logs.
  std::string to_string() const;

  // Statuses are equal when their codes are.
  friend bool operator==(const Status& a, const Status& b) noexcept { return a.code_ == b.code_; }

 private:
  struct Message;  // shared by copies
  static void retain(Message* message) noexcept;
  static void release(Message* message) noexcept;

  StatusCode code_ = StatusCode::kOk;
  Message* message_ = nullptr;
};

// A T, or the status that says why there is none. ok() exactly when it holds a T.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Holds a value; the status is Ok.
  Result(T value) noexcept(  // NOLINT(google-explicit-constructor)
      std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(value)) {}
  // Holds no value. `status` must not be Ok.
  Result(Status status) noexcept  // NOLINT(google-explicit-constructor)
      : status_(std::move(status)) {
    assert(!status_.ok());
  }
  Result(StatusCode code) noexcept : Result(Status(code)) {}  // NOLINT(google-explicit-constructor)

  Result(const Result& other) : status_(other.status_) {
    if (ok()) std::construct_at(&value_, other.value_);
  }
  // `other` is ok() as before; what it holds is what a move leaves.
  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : status_(std::move(other.status_)) {
    if (other.ok()) std::construct_at(&value_, std::move(other.value_));
  }
  Result& operator=(const Result& other) {
    if (this != &other) *this = Result(other);
    return *this;
  }
  Result& operator=(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    static_assert(std::is_nothrow_move_constructible_v<T>);
    if (this == &other) return *this;
    const bool has_value = other.ok();
    if (ok()) std::destroy_at(&value_);
    status_ = std::move(other.status_);
    if (has_value) std::construct_at(&value_, std::move(other.value_));
    return *this;
  }
  ~Result() {
    if (ok()) std::destroy_at(&value_);
  }

  bool ok() const noexcept { return status_.ok(); }
  // As ok(). Not for Result<bool>, where it would be taken for the value: `if (*ns.exists(key))`.
  explicit operator bool() const noexcept requires(!std::is_same_v<T, bool>) { return ok(); }
  const Status& status() const& noexcept { return status_; }
  // Taken out of a temporary. An Ok one stays so.
  Status status() && noexcept { return std::move(status_); }
  StatusCode code() const noexcept { return status_.code(); }

  // The value. Only where ok(). Out of a temporary Result it comes by value, so that
  // `for (auto& key : *ns.list_keys())` goes through something that lives.
  T& value() & { return assert(ok()), value_; }
  const T& value() const& { return assert(ok()), value_; }
  T value() && { return assert(ok()), std::move(value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  // In one expression only: what it leads to ends with a temporary Result.
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // The value, or `other` where there is none.
  template <typename U>
  T value_or(U&& other) && {
    return ok() ? std::move(value_) : static_cast<T>(std::forward<U>(other));
  }

 private:
  Status status_;
  union {
    // Where the status is Ok.
    T value_;  // NOLINT(readability-identifier-naming): private as any other
  };
};

}  // namespace rkvs

#endif  // RKVS_STATUS_H_
