# cmake -DPROGRAM=<host> -DNM=<nm> -DABSEIL=static|shared -DWORK=<folder> -P CheckBindings.cmake
#
# Runs a program that has an Abseil of its own beside librkvs.so.1 and reads what the dynamic linker
# bound to what: no Abseil of the one may serve the other, and nobody may use more of the library
# than the C API.
cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(ENV{LD_BIND_NOW} 1)
set(ENV{LD_DEBUG} bindings)
set(ENV{LD_DEBUG_OUTPUT} ${WORK}/bindings)
execute_process(COMMAND ${PROGRAM} COMMAND_ERROR_IS_FATAL ANY)
unset(ENV{LD_DEBUG})

# Lines such as "  123: binding file A [0] to B [0]: normal symbol `name' [VERSION]".
file(GLOB logs ${WORK}/bindings.*)
set(bindings)
foreach(log IN LISTS logs)
  file(STRINGS ${log} lines REGEX "binding file .* to .*: normal symbol")
  list(APPEND bindings ${lines})
endforeach()
set(from_rkvs "binding file [^ ]*librkvs\\.so")
set(to_rkvs " to [^ ]*librkvs\\.so")

# That there was something to see: the host has its own Abseil, in itself and for all to see, or
# bound to the system's; and it uses rkvs.
if(ABSEIL STREQUAL "static")
  execute_process(COMMAND ${NM} -D --defined-only ${PROGRAM}
    OUTPUT_VARIABLE exported COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL " [TWVBDR] _Z[^\n]*4absl[^\n]*" own "${exported}")
else()
  set(own ${bindings})
  list(FILTER own INCLUDE REGEX " to [^ ]*libabsl_.*4absl")
endif()
list(LENGTH own own_count)
if(own_count LESS 10)
  message(FATAL_ERROR "${PROGRAM} shows ${own_count} symbols of Abseil: nothing could be confused")
endif()
set(uses ${bindings})
list(FILTER uses INCLUDE REGEX "${to_rkvs}.*`rkvs_namespace_put'")
if(NOT uses)
  message(FATAL_ERROR "${PROGRAM} does not use librkvs.so")
endif()

set(wrong_to ${bindings})
list(FILTER wrong_to INCLUDE REGEX "${to_rkvs}")
list(FILTER wrong_to EXCLUDE REGEX "`rkvs_[a-z_]*'")
set(wrong_from ${bindings})
list(FILTER wrong_from INCLUDE REGEX "${from_rkvs}")
list(FILTER wrong_from INCLUDE REGEX "4absl")
set(wrong ${wrong_to} ${wrong_from})
if(wrong)
  list(LENGTH wrong count)
  list(SUBLIST wrong 0 5 wrong)
  list(JOIN wrong "\n" text)
  message(FATAL_ERROR "${count} bindings between librkvs.so and others that must not be:\n${text}")
endif()
message(STATUS "${own_count} symbols of the host's Abseil; none met librkvs.so")
