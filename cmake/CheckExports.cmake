# cmake -DNM=<nm> -DLIBRARY=<file> -DEXPECTED=<exports.txt> -DHEADER=<rkvs.h> -P CheckExports.cmake
#
# Fails unless LIBRARY exports exactly the symbols that EXPECTED lists, and HEADER declares just
# these. A function that is added is added to EXPECTED; none is ever taken away.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY}
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
# Lines such as "0000000000012340 T rkvs_abi_version@@RKVS_1.0"; the version itself is an absolute
# symbol.
string(REGEX MATCHALL "[0-9a-f]+ [^A\n] [^@\n]+" exported "${symbols}")
list(TRANSFORM exported REPLACE "^[0-9a-f]+ . " "")
list(SORT exported)

file(STRINGS ${EXPECTED} expected)
list(SORT expected)

file(READ ${HEADER} header)
string(REGEX MATCHALL "rkvs_[a-z_]+\\(" declared "${header}")
list(TRANSFORM declared REPLACE "\\($" "")
list(REMOVE_DUPLICATES declared)
list(SORT declared)

foreach(list exported declared)
  set(missing ${expected})
  list(REMOVE_ITEM missing ${${list}})
  set(unexpected ${${list}})
  list(REMOVE_ITEM unexpected ${expected})
  if(missing OR unexpected)
    message(FATAL_ERROR
      "Against ${EXPECTED}, of what is ${list}:\nmissing: ${missing}\nunexpected: ${unexpected}")
  endif()
endforeach()
