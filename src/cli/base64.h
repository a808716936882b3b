// Base64 as RFC 4648 section 4 has it: padded, without line ends.
#ifndef RKVS_CLI_BASE64_H_
#define RKVS_CLI_BASE64_H_

#include <string>
#include <string_view>

namespace rkvs::cli {

// Appends what stands for `bytes`. Throws std::bad_alloc.
void append_base64(std::string& to, std::string_view bytes);

// Only what append_base64 writes: with padding, without spaces, unused bits zero, so that one text
// has one meaning for every reader. False where `text` is anything else; `bytes` holds anything
// then. Throws std::bad_alloc.
bool decode_base64(std::string_view text, std::string& bytes);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_BASE64_H_
