// Writes the golden files that are missing to the folder named on the command line; run by hand
// when one is added. Files that are there stay as they are: that is what they are for.
//
//   build/dev/tests/make_golden tests/data/v1
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/snapshot/golden.h"

namespace {

bool write_if_missing(const std::filesystem::path& path, std::string_view bytes) {
  if (std::filesystem::exists(path)) return true;
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    return false;
  }
  std::printf("%s: %zu bytes\n", path.c_str(), bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s <folder>\n", argv[0]);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  for (const auto& golden : rkvs::testing::all_golden()) {
    const std::string bytes = rkvs::testing::file_of(golden.model, golden.chunk_size);
    if (bytes.empty()) {
      std::fprintf(stderr, "%s: refused by the writer\n", golden.name.c_str());
      return 1;
    }
    if (!write_if_missing(folder / (golden.name + ".rkvs"), bytes) ||
        !write_if_missing(folder / (golden.name + ".json"), json_of(golden.model))) {
      return 1;
    }
  }
  return 0;
}
