// Text for people: bytes made safe for a terminal, sizes, numbers, times.
#ifndef RKVS_CLI_TEXT_H_
#define RKVS_CLI_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace rkvs::cli {

// Whether the bytes are well-formed UTF-8: no overlong form, no surrogate, nothing over U+10FFFF.
bool is_utf8(std::string_view bytes);

// The bytes with what could steer a terminal, or is not UTF-8, as \xHH.
std::string printable(std::string_view bytes);

// "1234567" as "1,234,567".
std::string grouped(uint64_t number);

// "1 entry", "2,000 entries".
std::string counted(uint64_t number, const char* one, const char* many);

// "1.2 MiB"; below 1 KiB "17 B".
std::string human_size(uint64_t bytes);

// UTC, "2026-01-02T03:04:05.678Z". Times outside of the years 0 to 9999 as the number itself.
std::string iso_time(int64_t unix_ms);

// The present in Unix milliseconds.
int64_t unix_ms_now();

}  // namespace rkvs::cli

#endif  // RKVS_CLI_TEXT_H_
