# Compiler flags of everything built here. They sit on a target, `rkvs_build_flags`, that our own
# targets link privately: a project that adds this one keeps its own flags, and third-party code
# gets none of these.

add_library(rkvs_build_flags INTERFACE)
target_compile_features(rkvs_build_flags INTERFACE cxx_std_20 c_std_11)

set(is_clang "$<COMPILE_LANG_AND_ID:CXX,Clang,AppleClang>")
set(is_optimized "$<NOT:$<CONFIG:Debug>>")

target_compile_options(rkvs_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<${is_clang}:-Wthread-safety>
  # gcc 12 sees overlaps in the standard library's string concatenation that are not there (gcc bug
  # 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${RKVS_WARNINGS_AS_ERRORS}>:-Werror>
  # Line tables and function names in release builds: a stack trace from the field is readable.
  $<$<CONFIG:Release>:-g1>)

if(RKVS_SANITIZE)
  # A finding must end the test, hence no recovery; frame pointers make its stack trace whole.
  set(sanitize_flags -fsanitize=${RKVS_SANITIZE} -fno-omit-frame-pointer)
  target_compile_options(rkvs_build_flags INTERFACE ${sanitize_flags} -fno-sanitize-recover=all)
  target_link_options(rkvs_build_flags INTERFACE ${sanitize_flags})
elseif(RKVS_HARDENING)
  # _FORTIFY_SOURCE needs an optimised build and gets in the way of the sanitizers' interceptors.
  target_compile_options(rkvs_build_flags INTERFACE
    -fstack-protector-strong $<${is_optimized}:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
  target_link_options(rkvs_build_flags INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()

if(RKVS_LIBFUZZER)
  # Coverage feedback in every object; only fuzz targets link the engine with its main().
  target_compile_options(rkvs_build_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(rkvs_build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(RKVS_COVERAGE)
  # Atomic counters: the tests are full of threads.
  target_compile_options(rkvs_build_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(rkvs_build_flags INTERFACE --coverage)
endif()
