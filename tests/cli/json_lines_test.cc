#include "cli/json_lines.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "cli/base64.h"
#include "cli/text.h"
#include "tests/support/test_util.h"

namespace rkvs::cli {
namespace {

using internal::SnapshotEntry;
using rkvs::testing::is_ok;

std::string line_of(const SnapshotEntry& entry) {
  std::string line;
  append_json_line(line, entry);
  return line;
}

// What the parser says about a line that it must refuse.
std::string complaint(std::string_view line) {
  JsonEntry entry;
  const Status status = parse_json_line(line, entry);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << line;
  return std::string(status.message());
}

TEST(JsonLines, FieldsComeInAnyOrderAndSpacing) {
  JsonEntry entry;
  ASSERT_TRUE(is_ok(parse_json_line(
      " { \"version\" : 7,\t\"value\":\"v\" , \"expires_at\":9, \"key\":\"k\" } \r", entry)));
  EXPECT_EQ(entry, (JsonEntry{"k", "v", 7, 9}));
  // Nothing of the line before stays.
  ASSERT_TRUE(is_ok(parse_json_line(R"({"key":"","value":""})", entry)));
  EXPECT_EQ(entry, JsonEntry());
}

TEST(JsonLines, EscapesMeanWhatJsonSays) {
  JsonEntry entry;
  ASSERT_TRUE(is_ok(
      parse_json_line(R"({"key":"\u0000\"\\\/\b\f\n\r\t","value":"\u00e4\ud83d\ude00ä"})", entry)));
  EXPECT_EQ(entry.key, std::string("\0\"\\/\b\f\n\r\t", 9));
  EXPECT_EQ(entry.value, "ä😀ä");
}

TEST(JsonLines, WritesTheShortestForm) {
  EXPECT_EQ(line_of({"k", "v", 0, 0}), "{\"key\":\"k\",\"value\":\"v\"}\n");
  EXPECT_EQ(line_of({"k", "v", 3, 4}),
            "{\"key\":\"k\",\"value\":\"v\",\"version\":3,\"expires_at\":4}\n");
  EXPECT_EQ(line_of({"\xff", std::string_view("\0\n\"", 3), 0, 0}),
            "{\"key_base64\":\"/w==\",\"value\":\"\\u0000\\n\\\"\"}\n");
  std::string line;
  append_json_line(line, {"", "", 0, 0}, "a\"b");
  EXPECT_EQ(line, "{\"namespace\":\"a\\\"b\",\"key\":\"\",\"value\":\"\"}\n");
}

TEST(JsonLines, WhatIsNotJsonIsRefused) {
  for (const std::string& line :
       std::vector<std::string>{"",
                                "x",
                                "{",
                                "{\"key\":\"a\",\"value\":\"b\"",
                                "{\"key\":\"a\",\"value\":\"b\"}}",
                                "{\"key\":\"a\",\"value\":\"b\"} {}",
                                "{\"key\":\"a\",\"value\":\"b\",}",
                                "{'key':'a','value':'b'}",
                                "{\"key\":\"a\",\"value\":\"b\"} // note",
                                "{\"key\":\"a\tb\",\"value\":\"\"}",
                                "{\"key\":\"\\x41\",\"value\":\"\"}",
                                "{\"key\":\"\xff\",\"value\":\"\"}",
                                "{\"key\":\"\xc0\x80\",\"value\":\"\"}",
                                "{\"key\":\"\xed\xa0\x80\",\"value\":\"\"}",
                                R"({"key":"\ud800","value":""})",
                                R"({"key":"\udc00","value":""})",
                                R"({"key":"\ud800\u0041","value":""})",
                                R"({"key":"\u12","value":""})",
                                R"({"key":"a","value":"b","version":01})",
                                R"({"key":"a","value":"b","version":1e999})",
                                R"({"key":"a","value":"b","version":NaN})",
                                "\xEF\xBB\xBF{\"key\":\"a\",\"value\":\"b\"}",
                                std::string("{\"key\":\"a\",\"value\":\"b\"}\0", 24),
                                std::string("{\"key\":\"a\",\"value\":\"b\"}\0garbage", 31)}) {
    EXPECT_NE(complaint(line).find("not JSON at byte "), std::string::npos) << line;
  }
}

TEST(JsonLines, ComplaintsNameTheField) {
  EXPECT_EQ(complaint(R"({"key":"a","key":"b","value":""})"), "\"key\" twice");
  EXPECT_EQ(complaint(R"({"key":"a","value":"","ttl":1})"), "unknown field \"ttl\"");
  EXPECT_EQ(complaint(R"({"Key":"a","value":""})"), "unknown field \"Key\"");
  EXPECT_EQ(complaint(R"({"key":"a"})"), "neither \"value\" nor \"value_base64\"");
  EXPECT_EQ(complaint(R"({"value":"a"})"), "neither \"key\" nor \"key_base64\"");
  EXPECT_EQ(complaint(R"({"key":"a","key_base64":"YQ==","value":""})"),
            "both \"key\" and \"key_base64\"");
  EXPECT_EQ(complaint(R"({"key":null,"value":""})"), "\"key\" must be a string, not null");
  EXPECT_EQ(complaint(R"({"key":1,"value":""})"), "\"key\" must be a string, not a number");
  EXPECT_EQ(complaint(R"({"key":-1,"value":""})"), "\"key\" must be a string, not a number");
  EXPECT_EQ(complaint(R"({"key":0.5,"value":""})"), "\"key\" must be a string, not a number");
  EXPECT_EQ(complaint(R"({"key":"a","value":{"b":1}})"),
            "\"value\" must be a string, not an object");
  EXPECT_EQ(complaint(R"({"key":"a","value":["b"]})"), "\"value\" must be a string, not an array");
  EXPECT_EQ(complaint(R"({"key":"a","value":true})"),
            "\"value\" must be a string, not true or false");
  EXPECT_EQ(complaint(R"({"key":"a","value":"","version":"1"})"),
            "\"version\" must be an integer, not a string");
  EXPECT_EQ(complaint("[]"), "an object is needed, not an array");
  EXPECT_EQ(complaint("\"key\""), "an object is needed, not a string");
  EXPECT_EQ(complaint("3"), "an object is needed, not a number");
}

TEST(JsonLines, NumbersKeepTheirLimits) {
  const auto with = [](const std::string& field) {
    return R"({"key":"a","value":"b",)" + field + "}";
  };
  JsonEntry entry;
  ASSERT_TRUE(is_ok(parse_json_line(with(R"("version":4611686018427387904)"), entry)));
  EXPECT_EQ(entry.version, internal::kMaxSnapshotVersion);
  ASSERT_TRUE(is_ok(parse_json_line(with(R"("expires_at":9223372036854775807)"), entry)));
  EXPECT_EQ(entry.expires_at_ms, INT64_MAX);
  ASSERT_TRUE(is_ok(parse_json_line(with(R"("version":0,"expires_at":-0)"), entry)));
  EXPECT_EQ(entry, (JsonEntry{"a", "b", 0, 0}));

  EXPECT_NE(complaint(with(R"("version":4611686018427387905)")).find("is over"), std::string::npos);
  EXPECT_NE(complaint(with(R"("version":18446744073709551616)")).find("out of range"),
            std::string::npos);
  EXPECT_NE(complaint(with(R"("version":-1)")).find("negative"), std::string::npos);
  EXPECT_NE(complaint(with(R"("version":1.0)")).find("not an integer"), std::string::npos);
  EXPECT_NE(complaint(with(R"("version":1e3)")).find("not an integer"), std::string::npos);
  EXPECT_NE(complaint(with(R"("expires_at":9223372036854775808)")).find("is over"),
            std::string::npos);
  EXPECT_NE(complaint(with(R"("expires_at":-5)")).find("negative"), std::string::npos);
}

TEST(JsonLines, Base64IsThatOfTheRfc) {
  // RFC 4648, section 10, and the two digits that are neither letters nor numbers.
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"},
                                                                    {"\xfb\xff\xbf", "+/+/"}};
  for (const auto& [bytes, text] : vectors) {
    std::string encoded = "before ";
    append_base64(encoded, bytes);
    EXPECT_EQ(encoded, "before " + text);
    std::string decoded = "what was there";
    EXPECT_TRUE(decode_base64(text, decoded)) << text;
    EXPECT_EQ(decoded, bytes);
  }
}

TEST(JsonLines, Base64KeepsBytesOfEveryLength) {
  std::mt19937_64 random(1);
  for (size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    std::string text;
    append_base64(text, bytes);
    std::string decoded;
    ASSERT_TRUE(decode_base64(text, decoded)) << text;
    ASSERT_EQ(decoded, bytes);
  }
}

// Every byte in every place of one group, whole or padded.
TEST(JsonLines, Base64IsTakenOnlyAsItIsWritten) {
  size_t taken = 0;
  for (const std::string base : {"ABCD", "ABC=", "AB==", "AA==", "AAA=", "A===", "===="}) {
    for (size_t at = 0; at < base.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text = base;
        text[at] = static_cast<char>(byte);
        std::string bytes;
        if (!decode_base64(text, bytes)) continue;
        std::string written;
        append_base64(written, bytes);
        ASSERT_EQ(written, text);
        ++taken;
      }
    }
  }
  // By the bases in turn: 4 x 64; 16 + 64 (C has loose bits); 4 + 16; 64 + 4 + 17 + 1;
  // 64 + 64 + 17 + 65; 4; none.
  EXPECT_EQ(taken, 256u + 80 + 20 + 86 + 210 + 4);
}

TEST(JsonLines, OnlyCanonicalBase64IsTaken) {
  std::string bytes;
  EXPECT_TRUE(decode_base64("", bytes));
  EXPECT_EQ(bytes, "");
  EXPECT_TRUE(decode_base64("AP/+", bytes));
  EXPECT_EQ(bytes, std::string("\0\xff\xfe", 3));
  EXPECT_TRUE(decode_base64("AA==", bytes));
  EXPECT_EQ(bytes, std::string(1, '\0'));
  for (const char* text :
       {"AA", "AA=", "AB==", "A", "AP_-", "AA== ", " AA==", "A A==", "AA..", "===="}) {
    EXPECT_FALSE(decode_base64(text, bytes)) << text;
  }
  EXPECT_NE(complaint(R"({"key_base64":"AA","value":""})").find("not base64"), std::string::npos);
}

TEST(JsonLines, KeysAndValuesKeepTheFormatsLimits) {
  JsonEntry entry;
  const std::string largest(internal::kMaxSnapshotKeySize, 'k');
  ASSERT_TRUE(is_ok(parse_json_line(R"({"value":"","key":")" + largest + "\"}", entry)));
  EXPECT_EQ(entry.key, largest);
  EXPECT_NE(complaint(R"({"value":"","key":"k)" + largest + "\"}").find("1048577 bytes"),
            std::string::npos);
}

TEST(JsonLines, ComplaintsStayShortHoweverLongTheLine) {
  const std::string long_text(1 << 20, 'x');
  EXPECT_LT(complaint("{\"" + long_text + "\":1}").size(), 200U);
  EXPECT_LT(complaint("{\"key\":\"" + long_text).size(), 400U);
  EXPECT_LT(
      complaint(R"({"key":"a","value":"","version":)" + std::string(100000, '9') + "}").size(),
      400U);
}

TEST(JsonLines, DeepNestingIsRefusedAtItsFirstLevel) {
  EXPECT_NE(complaint("{\"key\":" + std::string(1 << 20, '[')).find("not an array"),
            std::string::npos);
  EXPECT_NE(complaint(std::string(1 << 20, '[')).find("not an array"), std::string::npos);
}

TEST(JsonLines, RandomBytesComeBackAndOthersReadThemAlike) {
  std::mt19937_64 random(1);
  const auto bytes = [&random] {
    std::string text;
    const auto kind = random() % 3;
    for (auto left = random() % 20; left > 0; --left) {
      if (kind == 0) text += static_cast<char>(random() % 256);
      if (kind == 1) text += static_cast<char>(random() % 128);
      if (kind == 2) text += "ä€😀\xed\x9f\xbf";
    }
    return text;
  };
  int encoded = 0;
  for (int i = 0; i < 3000; ++i) {
    const JsonEntry entry = {bytes(), bytes(), random() % 3 == 0 ? 0 : random() >> 2,
                             static_cast<int64_t>(random() % 2 == 0 ? 0 : random() >> 1)};
    const std::string line = line_of(entry.view());
    JsonEntry back;
    ASSERT_TRUE(is_ok(parse_json_line(std::string_view(line).substr(0, line.size() - 1), back)));
    ASSERT_EQ(back, entry) << line;
    const auto tree = nlohmann::json::parse(line);
    ASSERT_EQ(tree.contains("key"), is_utf8(entry.key));
    if (tree.contains("key")) {
      ASSERT_EQ(tree["key"], entry.key);
    } else {
      ++encoded;
    }
  }
  EXPECT_GT(encoded, 100);
}

TEST(JsonLines, BlankLinesAreWhiteSpaceAlone) {
  EXPECT_TRUE(is_blank_line(""));
  EXPECT_TRUE(is_blank_line(" \t\r"));
  EXPECT_FALSE(is_blank_line(" x"));
  EXPECT_FALSE(is_blank_line(std::string_view("\0", 1)));
}

TEST(CliText, Utf8IsWhatUnicodeSays) {
  for (const char* good : {"", "a", "ä", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf",
                           "long enough for a word of eight bytes, and one ä"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xff", "\xc3", "a\xc3", "\xc1\xbf", "\xe0\x9f\xbf",
                          "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "12345678\xff", "1234567\xc3"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(CliText, NothingPrintableSteersATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jä\n\xff\x7f"), "a\\x1B[2Jä\\x0A\\xFF\\x7F");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xC2\\x9B");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(iso_time(1767323045678), "2026-01-02T03:04:05.678Z");
  EXPECT_EQ(iso_time(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(iso_time(INT64_MAX), "9223372036854775807");
}

TEST(CliText, FiguresOfEverySizeAreReadable) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1024), "1.0 KiB");
  EXPECT_EQ(human_size(uint64_t{5} << 20), "5.0 MiB");
  EXPECT_EQ(human_size(uint64_t{7} << 40), "7.0 TiB");
  EXPECT_EQ(human_size(uint64_t{1} << 50), "1.0 PiB");
  EXPECT_EQ(human_size(UINT64_MAX), "16.0 EiB") << "there is no larger unit";
  EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
  EXPECT_EQ(counted(1, "entry", "entries"), "1 entry");
  EXPECT_EQ(counted(0, "entry", "entries"), "0 entries");
  EXPECT_EQ(counted(2000, "entry", "entries"), "2,000 entries");
}

TEST(CliText, TimesOfYearsWithFourDigitsAreDatesAndOthersNumbers) {
  EXPECT_EQ(iso_time(-62167219200000), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(iso_time(-62167219200001), "-62167219200001");
  EXPECT_EQ(iso_time(253402300799999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(iso_time(253402300800000), "253402300800000");
  EXPECT_EQ(iso_time(INT64_MIN), "-9223372036854775808");
  EXPECT_GT(unix_ms_now(), 1'700'000'000'000);
}

TEST(JsonLines, EachOfKeyAndValueIsGivenInOneForm) {
  EXPECT_NE(complaint(R"({"key":"a","key_base64":"YQ==","value":""})").find("both"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"value":""})").find("neither"), std::string::npos);
  EXPECT_NE(complaint(R"({"key":"a","value":"","value_base64":""})").find("both"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"key":"a"})").find("neither"), std::string::npos);
  JsonEntry entry;
  ASSERT_TRUE(is_ok(parse_json_line(R"({"key_base64":"AP8=","value_base64":"gA=="})", entry)));
  EXPECT_EQ(entry.key, std::string("\0\xff", 2));
  EXPECT_EQ(entry.value, "\x80");
}

TEST(JsonLines, Base64ThatIsNoneIsRefusedInEitherField) {
  for (const char* const field : {"key", "value"}) {
    const std::string other = field == std::string("key") ? "value" : "key";
    const std::string line =
        std::string("{\"") + field + "_base64\":\"?\",\"" + other + "\":\"x\"}";
    const std::string what = complaint(line);
    EXPECT_NE(what.find(std::string(field) + "_base64"), std::string::npos) << what;
  }
}

}  // namespace
}  // namespace rkvs::cli
