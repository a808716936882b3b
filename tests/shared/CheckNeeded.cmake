# cmake -DREADELF=<readelf> -DFILE=<file> [-DSONAME=<name>] -P CheckNeeded.cmake
#
# What the shared library, or the tool, asks of the machine that it is loaded on.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${READELF} -d -W ${FILE}
  OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)

string(REGEX MATCHALL "\\(NEEDED\\)[^\n]*" lines "${dynamic}")
string(REGEX REPLACE "[^;]*\\[([^];]*)\\]" "\\1" needed "${lines}")
list(JOIN needed " " text)
# The loader is named for thread-local storage, and is a part of libc.
set(allowed "libc|libm|libgcc_s|libstdc\\+\\+|ld-linux-[a-z0-9-]+")
set(others ${needed})
list(FILTER others EXCLUDE REGEX "^(${allowed})\\.so\\.")
if(NOT needed OR others)
  message(FATAL_ERROR "${FILE} needs ${text}")
endif()

if(DEFINED SONAME AND NOT dynamic MATCHES "\\(SONAME\\)[^\n]*\\[${SONAME}\\]")
  message(FATAL_ERROR "${FILE} is not called ${SONAME}:\n${dynamic}")
endif()
# A path of the machine that it was built on.
if(dynamic MATCHES "\\((RPATH|RUNPATH)\\)[^\n]*")
  message(FATAL_ERROR "${FILE}: ${CMAKE_MATCH_0}")
endif()
message(STATUS "needs ${text}")
