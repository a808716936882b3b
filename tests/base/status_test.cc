#include <gtest/gtest.h>
#include <rkvs/status.h>
#include <rkvs/version.h>

#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "tests/support/test_util.h"

namespace rkvs {
namespace {

// Every code with its number, which is part of the ABI, and its name.
struct CodeRow {
  StatusCode code;
  int32_t number;
  const char* name;
};
constexpr CodeRow kCodes[] = {
    {StatusCode::kOk, 0, "Ok"},
    {StatusCode::kNotFound, 1, "NotFound"},
    {StatusCode::kExists, 2, "Exists"},
    {StatusCode::kVersionMismatch, 3, "VersionMismatch"},
    {StatusCode::kNotApplied, 4, "NotApplied"},
    {StatusCode::kInvalidArgument, -1, "InvalidArgument"},
    {StatusCode::kInvalidName, -2, "InvalidName"},
    {StatusCode::kNotInitialized, -3, "NotInitialized"},
    {StatusCode::kClosed, -4, "Closed"},
    {StatusCode::kNamespaceNotFound, -5, "NamespaceNotFound"},
    {StatusCode::kNamespaceExists, -6, "NamespaceExists"},
    {StatusCode::kNamespaceDeleted, -7, "NamespaceDeleted"},
    {StatusCode::kTooManyNamespaces, -8, "TooManyNamespaces"},
    {StatusCode::kTooManyKeys, -9, "TooManyKeys"},
    {StatusCode::kLimitBelowUse, -10, "LimitBelowUse"},
    {StatusCode::kKeyTooLarge, -11, "KeyTooLarge"},
    {StatusCode::kValueTooLarge, -12, "ValueTooLarge"},
    {StatusCode::kMemoryLimit, -13, "MemoryLimit"},
    {StatusCode::kNoMemory, -14, "NoMemory"},
    {StatusCode::kTimeout, -15, "Timeout"},
    {StatusCode::kCancelled, -16, "Cancelled"},
    {StatusCode::kNotANumber, -17, "NotANumber"},
    {StatusCode::kOverflow, -18, "Overflow"},
    {StatusCode::kNoPersistence, -19, "NoPersistence"},
    {StatusCode::kSnapshotNotFound, -20, "SnapshotNotFound"},
    {StatusCode::kSnapshotCorrupt, -21, "SnapshotCorrupt"},
    {StatusCode::kSnapshotVersion, -22, "SnapshotVersion"},
    {StatusCode::kIo, -23, "Io"},
    {StatusCode::kDirectoryLocked, -24, "DirectoryLocked"},
    {StatusCode::kAutosaveExists, -25, "AutosaveExists"},
    {StatusCode::kAutosaveNotConfigured, -26, "AutosaveNotConfigured"},
    {StatusCode::kAutosaveNotRunning, -27, "AutosaveNotRunning"},
    {StatusCode::kBusy, -28, "Busy"},
    {StatusCode::kWouldDeadlock, -29, "WouldDeadlock"},
    {StatusCode::kForked, -30, "Forked"},
    {StatusCode::kUnsupported, -31, "Unsupported"},
    {StatusCode::kInternal, -32, "Internal"},
};

TEST(StatusCode, D35_NumbersAndNamesNeverChange) {
  for (const CodeRow& row : kCodes) {
    EXPECT_EQ(static_cast<int32_t>(row.code), row.number) << row.name;
    EXPECT_EQ(status_code_name(row.code), row.name);
  }
}

TEST(StatusCode, NameOfAnUnknownCodeIsNotEmpty) {
  EXPECT_FALSE(status_code_name(static_cast<StatusCode>(1000)).empty());
}

TEST(StatusCode, D35_OnlyNegativeCodesAreErrors) {
  for (const CodeRow& row : kCodes) EXPECT_EQ(is_error(row.code), row.number < 0) << row.name;
}

TEST(Status, DefaultIsOkWithoutMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_FALSE(status.is_error());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_TRUE(status.message().empty());
  EXPECT_EQ(status.to_string(), "Ok");
}

TEST(Status, OutcomeIsNeitherOkNorError) {
  const Status status(StatusCode::kNotFound);
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(status.is_error());
}

TEST(Status, KeepsCodeAndMessage) {
  const Status status(StatusCode::kTooManyKeys, "the limit is 7");
  EXPECT_TRUE(status.is_error());
  EXPECT_EQ(status.message(), "the limit is 7");
  EXPECT_EQ(status.to_string(), "TooManyKeys: the limit is 7");
}

TEST(Status, CopiesShareTheMessageAndOutliveTheOriginal) {
  auto original = std::make_unique<Status>(StatusCode::kIo, std::string(1000, 'm'));
  const Status copy = *original;
  const char* data = original->message().data();
  original.reset();
  EXPECT_EQ(copy.message().data(), data);
  EXPECT_EQ(copy.message(), std::string(1000, 'm'));
}

TEST(Status, EqualityIsThatOfTheCodes) {
  EXPECT_EQ(Status(StatusCode::kIo, "a"), Status(StatusCode::kIo, "b"));
  EXPECT_FALSE(Status(StatusCode::kIo) == Status());
}

TEST(Result, HoldsAValue) {
  Result<std::string> result(std::string("text"));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(static_cast<bool>(result));
  EXPECT_EQ(result.code(), StatusCode::kOk);
  EXPECT_TRUE(result.status().ok());
  EXPECT_EQ(*result, "text");
  EXPECT_EQ(result->size(), 4U);
  EXPECT_EQ(std::move(result).value_or("other"), "text");
}

TEST(Result, HoldsAStatus) {
  Result<std::string> result(Status(StatusCode::kTimeout, "late"));
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(static_cast<bool>(result));
  EXPECT_EQ(result.code(), StatusCode::kTimeout);
  EXPECT_EQ(result.status().message(), "late");
  EXPECT_EQ(std::move(result).value_or("other"), "other");
}

TEST(Result, MovesAValueThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 5);
}

TEST(Result, CopiesMovesAndAssignmentsKeepWhatItHolds) {
  using Text = Result<std::shared_ptr<std::string>>;
  const auto text = std::make_shared<std::string>("text");
  const Status failure(StatusCode::kIo, "no disk");
  {
    Text value(text);
    Text error(failure);
    const Text copy = value;
    EXPECT_EQ(text.use_count(), 3);
    const Text error_copy = error;
    EXPECT_EQ(error_copy.status().message(), "no disk");
    error = value;  // a value over an error
    ASSERT_TRUE(error.ok());
    EXPECT_EQ(text.use_count(), 4);
    value = Text(failure);  // an error over a value
    EXPECT_EQ(value.status().message(), "no disk");
    EXPECT_EQ(text.use_count(), 3);
    error = copy;  // a value over a value
    EXPECT_EQ(text.use_count(), 3);
    Text& same = error;
    error = same;
    EXPECT_EQ(**error, "text");
    const Text moved = std::move(error);
    EXPECT_EQ(text.use_count(), 3);
    EXPECT_EQ(**moved, "text");
  }
  EXPECT_EQ(text.use_count(), 1);
}

TEST(Result, OfBoolTellsFalseFromFailure) {
  const Result<bool> no = false;
  EXPECT_TRUE(no.ok());
  EXPECT_FALSE(*no);
  const Result<bool> failed = StatusCode::kTimeout;
  EXPECT_FALSE(failed.ok());
}

TEST(MakeError, JoinsTextsAndNumbers) {
  const Status status = internal::make_error(StatusCode::kValueTooLarge, "a value of ", size_t{11},
                                             " bytes; the limit is ", uint64_t{10}, "; ", -3);
  EXPECT_EQ(status.code(), StatusCode::kValueTooLarge);
  EXPECT_EQ(status.message(), "a value of 11 bytes; the limit is 10; -3");
}

TEST(Version, AgreesWithTheHeader) { EXPECT_EQ(version(), RKVS_VERSION_STRING); }

}  // namespace
}  // namespace rkvs
