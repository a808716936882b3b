// Where fuzz targets keep their files.
#ifndef RKVS_FUZZ_FUZZ_DIRECTORY_H_
#define RKVS_FUZZ_FUZZ_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

// One directory for the whole run, in memory where the system has such a place.
inline const std::filesystem::path& directory() {
  static const struct Made {
    Made() {
      const std::filesystem::path memory = "/dev/shm";
      const auto base =
          std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
      std::string name = (base / "rkvs_fuzz_XXXXXX").string();
      RKVS_FUZZ_CHECK(mkdtemp(name.data()) != nullptr);
      path = name;
    }
    ~Made() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  } made;
  return made.path;
}

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_FUZZ_DIRECTORY_H_
