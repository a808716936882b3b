# The target rkvs_abseil: flat_hash_map and what it is made of, from where RKVS_DEPS says.
#
#   system   The installed Abseil, shared or static as it is. For distributions, and for programs
#            that link it anyway: one copy in the process.
#   bundled  Debian's source of it, built here to go into our libraries (bundle-abseil.sh). They
#            then need nothing but libc, libm, libgcc_s and libstdc++, and meet no other Abseil in
#            the process. For wheels and tarballs.
#
# Without it, either way: a fetched, pinned commit of the same version.
set(RKVS_DEPS system CACHE STRING "Where Abseil comes from: system, or bundled with our libraries")
set_property(CACHE RKVS_DEPS PROPERTY STRINGS system bundled)
if(NOT RKVS_DEPS MATCHES "^(system|bundled)$")
  message(FATAL_ERROR "RKVS_DEPS=${RKVS_DEPS}: system or bundled expected")
endif()

add_library(rkvs_abseil INTERFACE)
set_target_properties(rkvs_abseil PROPERTIES EXPORT_NAME abseil)

set(RKVS_ABSEIL_ARCHIVE)
if(RKVS_DEPS STREQUAL "bundled")
  # Built once for all build trees of one compiler.
  if(PROJECT_IS_TOP_LEVEL)
    set(cache ${PROJECT_SOURCE_DIR}/build/abseil)
  else()
    set(cache ${PROJECT_BINARY_DIR}/abseil)
  endif()
  set(RKVS_ABSEIL_CACHE ${cache} CACHE PATH "Where bundled Abseil is built and kept")
  mark_as_advanced(RKVS_ABSEIL_CACHE)
  cmake_path(APPEND RKVS_ABSEIL_CACHE
    "${CMAKE_CXX_COMPILER_ID}-${CMAKE_CXX_COMPILER_VERSION}-${CMAKE_SYSTEM_PROCESSOR}"
    OUTPUT_VARIABLE dir)
  execute_process(
    COMMAND ${PROJECT_SOURCE_DIR}/cmake/bundle-abseil.sh ${dir} ${CMAKE_CXX_COMPILER}
    RESULT_VARIABLE result)
  if(result EQUAL 0)
    set(RKVS_ABSEIL_ARCHIVE ${dir}/lib/librkvs_abseil.a)
    set(RKVS_ABSEIL_LICENSE ${dir}/LICENSE)
    file(READ ${dir}/version RKVS_ABSEIL_VERSION)
    string(REGEX REPLACE " .*" "" RKVS_ABSEIL_VERSION "${RKVS_ABSEIL_VERSION}")
    message(STATUS "Abseil: bundled, ${RKVS_ABSEIL_VERSION}")
    target_include_directories(rkvs_abseil SYSTEM INTERFACE $<BUILD_INTERFACE:${dir}/include>)
    target_link_libraries(rkvs_abseil INTERFACE
      $<BUILD_INTERFACE:${RKVS_ABSEIL_ARCHIVE}>
      $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}/librkvs_abseil.a>
      Threads::Threads)
  elseif(NOT result EQUAL 3)
    message(FATAL_ERROR "bundle-abseil.sh failed (${result}); -DRKVS_DEPS=system does without it")
  endif()
endif()

if(NOT RKVS_ABSEIL_ARCHIVE)
  set(find_package_args)
  if(RKVS_DEPS STREQUAL "system")
    set(find_package_args FIND_PACKAGE_ARGS NAMES absl)
  endif()
  # For the fetched one, which is linked into a shared library, and hidden there.
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  set(CMAKE_CXX_VISIBILITY_PRESET hidden)
  set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
  set(ABSL_PROPAGATE_CXX_STD ON)
  set(ABSL_ENABLE_INSTALL ON)
  FetchContent_Declare(absl
    GIT_REPOSITORY https://github.com/abseil/abseil-cpp.git
    GIT_TAG 8c0b94e793a66495e0b1f34a5eb26bd7dc672db0 # 20220623.1
    SYSTEM
    ${find_package_args})
  FetchContent_MakeAvailable(absl)
  unset(CMAKE_POSITION_INDEPENDENT_CODE)
  unset(CMAKE_CXX_VISIBILITY_PRESET)
  unset(CMAKE_VISIBILITY_INLINES_HIDDEN)
  # The tool takes the latter two.
  target_link_libraries(rkvs_abseil INTERFACE
    absl::flat_hash_map absl::flat_hash_set absl::strings)
endif()
