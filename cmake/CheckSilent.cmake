# cmake -DNM=<nm> -DLIBRARY=<file> -P CheckSilent.cmake
#
# A library inside somebody's program neither prints nor ends it. Fails when LIBRARY refers to what
# does.
execute_process(COMMAND ${NM} --undefined-only ${LIBRARY}
  OUTPUT_VARIABLE symbols ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
set(printing "stdout|stderr|_ZSt4(cout|cerr|clog)|(__)?v?printf(_chk)?|puts|putchar|perror|v?syslog")
set(ending "abort|_?exit|_Exit|quick_exit")
string(REGEX MATCHALL "U (${printing}|${ending})\n" found "${symbols}\n")
if(found)
  list(REMOVE_DUPLICATES found)
  string(REGEX REPLACE "[U\n]" "" found "${found}")
  message(FATAL_ERROR "${LIBRARY} uses:${found}")
endif()
if(NOT symbols MATCHES "U memcpy\n")
  message(FATAL_ERROR "${NM} shows no symbols of ${LIBRARY}")
endif()
