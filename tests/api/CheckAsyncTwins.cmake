# Every public function of Namespace, Scan and StorageManager has its `async_` form, or is listed here
# with the reason why it needs none.
#
#   cmake -DPROJECT=... -P CheckAsyncTwins.cmake

cmake_minimum_required(VERSION 3.25)

set(headers ${PROJECT}/include/rkvs)

# rkvs_check_twins(<header> <class> <header of the async_ forms> <fewest functions> [ALONE <name>...])
function(rkvs_check_twins header class async_header fewest)
  cmake_parse_arguments(PARSE_ARGV 4 arg "" "" "ALONE")
  file(READ ${headers}/${async_header} async)
  # Declarations stand two columns in, the parts of one that goes on in the next line further.
  file(STRINGS ${headers}/${header} lines
    REGEX "^(class |};|  [A-Za-z_][A-Za-z0-9_:<>,& ]* [a-z_]+\\()")
  set(names)
  set(is_inside NO)
  foreach(line IN LISTS lines)
    if(line MATCHES "^class ${class} .*{$")
      set(is_inside YES)
    elseif(line MATCHES "^}" OR line MATCHES "^class ")
      set(is_inside NO)
    elseif(is_inside AND line MATCHES "^  [^(]* ([a-z_]+)\\(")
      list(APPEND names ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES names)
  list(LENGTH names count)
  if(count LESS fewest)
    message(FATAL_ERROR "${header}: ${count} functions of ${class} found, there should be ${fewest}: "
      "${names}")
  endif()
  foreach(name IN LISTS names arg_ALONE)
    string(FIND "${async}" " async_${name}(" at)
    if(at EQUAL -1 AND NOT name IN_LIST arg_ALONE)
      message(SEND_ERROR "${async_header} has no async_${name} for ${class}::${name}")
    elseif(name IN_LIST arg_ALONE AND (NOT at EQUAL -1 OR NOT name IN_LIST names))
      message(SEND_ERROR "${class}::${name} is listed for nothing")
    endif()
  endforeach()
  message(STATUS "${class}: ${count} functions")
endfunction()

# What never waits: the asynchronous classes have it as it is, or give the handle that does (sync()).
rkvs_check_twins(namespace.h Namespace async_namespace.h 39 ALONE name)
rkvs_check_twins(scan.h Scan async_namespace.h 2 ALONE is_done)
rkvs_check_twins(manager.h StorageManager async_manager.h 28 ALONE is_initialized has_persistence)
