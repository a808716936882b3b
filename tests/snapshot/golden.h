// The golden files: snapshots as this version of the format must always read them, what is in each,
// and that as a text that programs in other languages can compare with.
//
// tests/data/v1/ has two files for each, made once by make_golden and never changed again:
// NAME.rkvs and NAME.json. Add new ones; a change to an old one is a change of the format.
#ifndef RKVS_TESTS_SNAPSHOT_GOLDEN_H_
#define RKVS_TESTS_SNAPSHOT_GOLDEN_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/snapshot/snapshot_model.h"

namespace rkvs::testing {

struct Golden {
  std::string name;
  Model model;
  // Which the file was written with: small, so that files of several chunks stay small.
  size_t chunk_size = internal::kTargetChunkSize;
};

std::vector<Golden> all_golden();

// All of the model in JSON. Names, keys, values and other texts are base64 (RFC 4648), since any
// bytes may be in them; numbers may need 64 bits.
std::string json_of(const Model& model);

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SNAPSHOT_GOLDEN_H_
