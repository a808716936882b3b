# Where each third-party library comes from: the installed one when there is one (find_package),
# else a fetched, pinned commit of the same version. Only the installed ones are tested; the fetched
# ones are offered as they are. FETCHCONTENT_FULLY_DISCONNECTED=ON forbids fetching.

include(FetchContent)
find_package(Threads REQUIRED)

# --- What the library needs ----------------------------------------------------------------------

# Headers only (XXH_INLINE_ALL), and without a CMake package on most systems.
find_path(RKVS_XXHASH_INCLUDE_DIR xxhash.h)
mark_as_advanced(RKVS_XXHASH_INCLUDE_DIR)
if(NOT RKVS_XXHASH_INCLUDE_DIR)
  FetchContent_Declare(xxhash
    GIT_REPOSITORY https://github.com/Cyan4973/xxHash.git
    GIT_TAG 35b0373c697b5f160d3db26b1cbb45a0d5ba788c # 0.8.1
    SOURCE_SUBDIR no_cmake_project_wanted)
  FetchContent_MakeAvailable(xxhash)
  set(RKVS_XXHASH_INCLUDE_DIR ${xxhash_SOURCE_DIR})
endif()
add_library(rkvs_xxhash INTERFACE)
target_include_directories(rkvs_xxhash SYSTEM INTERFACE ${RKVS_XXHASH_INCLUDE_DIR})

# The headers and flatc, which must be of one version: generated code checks that it is.
set(FLATBUFFERS_BUILD_TESTS OFF)
set(FLATBUFFERS_INSTALL OFF)
FetchContent_Declare(flatbuffers
  GIT_REPOSITORY https://github.com/google/flatbuffers.git
  GIT_TAG 06c5c7ed0bd987a918cf88caafb094f22cdd1721 # 2.0.8
  SYSTEM
  FIND_PACKAGE_ARGS NAMES FlatBuffers)
FetchContent_MakeAvailable(flatbuffers)
add_library(rkvs_flatbuffers INTERFACE)
foreach(candidate flatbuffers::flatbuffers flatbuffers)
  if(TARGET ${candidate})
    target_include_directories(rkvs_flatbuffers SYSTEM INTERFACE
      $<TARGET_PROPERTY:${candidate},INTERFACE_INCLUDE_DIRECTORIES>)
    break()
  endif()
endforeach()
if(TARGET flatbuffers::flatc)
  set(RKVS_FLATC flatbuffers::flatc)
elseif(TARGET flatc)
  set(RKVS_FLATC flatc)
else()
  find_program(RKVS_FLATC flatc REQUIRED)
endif()

# Compiles `schema` (a .fbs file) into <build>/generated/<subdir>/<stem>_generated.h and sets
# `out` to that path. Generated code is never committed.
function(rkvs_compile_schema schema subdir out)
  cmake_path(GET schema STEM stem)
  set(dir ${PROJECT_BINARY_DIR}/generated/${subdir})
  set(header ${dir}/${stem}_generated.h)
  add_custom_command(OUTPUT ${header}
    COMMAND ${RKVS_FLATC} --cpp --scoped-enums --cpp-std c++17 -o ${dir} ${schema}
    DEPENDS ${schema}
    COMMENT "Compiling schema ${subdir}/${stem}.fbs"
    VERBATIM)
  set(${out} ${header} PARENT_SCOPE)
endfunction()

# Boost.Asio is header-only; 1.81 is the first release with every part used here.
find_package(Boost 1.81 REQUIRED)
add_library(rkvs_asio INTERFACE)
target_include_directories(rkvs_asio SYSTEM INTERFACE ${Boost_INCLUDE_DIRS})
target_compile_definitions(rkvs_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)

# --- What tests and benchmarks need, found only where they are built -----------------------------

macro(rkvs_find_googletest)
  set(INSTALL_GTEST OFF)
  FetchContent_Declare(googletest
    GIT_REPOSITORY https://github.com/google/googletest.git
    GIT_TAG 58d77fa8070e8cec2dc1ed015d66b454c8d78850 # 1.12.1
    SYSTEM
    FIND_PACKAGE_ARGS NAMES GTest)
  FetchContent_MakeAvailable(googletest)
endmacro()

macro(rkvs_find_benchmark)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_INSTALL OFF)
  FetchContent_Declare(benchmark
    GIT_REPOSITORY https://github.com/google/benchmark.git
    GIT_TAG d572f4777349d43653b21d6c2fc63020ab326db2 # 1.7.1
    SYSTEM
    FIND_PACKAGE_ARGS NAMES benchmark)
  FetchContent_MakeAvailable(benchmark)
endmacro()

# The hash table that the store's own is compared with.
macro(rkvs_find_abseil)
  set(ABSL_PROPAGATE_CXX_STD ON)
  FetchContent_Declare(absl
    GIT_REPOSITORY https://github.com/abseil/abseil-cpp.git
    GIT_TAG 8c0b94e793a66495e0b1f34a5eb26bd7dc672db0 # 20220623.1
    SYSTEM
    FIND_PACKAGE_ARGS NAMES absl)
  FetchContent_MakeAvailable(absl)
endmacro()

# --- What the tool needs -------------------------------------------------------------------------

macro(rkvs_find_cli11)
  set(CLI11_PRECOMPILED OFF)
  set(CLI11_BUILD_TESTS OFF)
  set(CLI11_BUILD_EXAMPLES OFF)
  FetchContent_Declare(cli11
    GIT_REPOSITORY https://github.com/CLIUtils/CLI11.git
    GIT_TAG 70f8072f9dd2292fd0b9f9e5f58e279f60483ed3 # 2.1.2
    SYSTEM
    FIND_PACKAGE_ARGS NAMES CLI11)
  FetchContent_MakeAvailable(cli11)
endmacro()

macro(rkvs_find_json)
  set(JSON_BuildTests OFF)
  set(JSON_Install OFF)
  FetchContent_Declare(nlohmann_json
    GIT_REPOSITORY https://github.com/nlohmann/json.git
    GIT_TAG bc889afb4c5bf1c0d8ee29ef35eaaf4c8bef8a5d # 3.11.2
    SYSTEM
    FIND_PACKAGE_ARGS)
  FetchContent_MakeAvailable(nlohmann_json)
endmacro()
