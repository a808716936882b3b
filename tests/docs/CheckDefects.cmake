# Checks docs/defects.md: it has a row for each of D1 to D37, and every test that it names exists;
# so does every one that SECURITY.md and docs/reliability.md name.
#
#   cmake -DPROJECT=<repository> -P CheckDefects.cmake
cmake_minimum_required(VERSION 3.25)
file(READ ${PROJECT}/docs/defects.md page)

foreach(number RANGE 1 37)
  if(NOT page MATCHES "\n\\| D${number} \\|")
    message(SEND_ERROR "docs/defects.md has no row for D${number}")
  endif()
endforeach()

file(GLOB_RECURSE sources ${PROJECT}/tests/*.cc)
set(tests)
foreach(source IN LISTS sources)
  file(READ ${source} text)
  # A long name may begin on the next line.
  string(REGEX MATCHALL "\nTEST(_F|_P)?\\([ \n]*[A-Za-z0-9_]+,[ \n]*[A-Za-z0-9_]+\\)"
    found "${text}")
  foreach(test IN LISTS found)
    string(REGEX REPLACE "^\nTEST(_F|_P)?\\([ \n]*([A-Za-z0-9_]+),[ \n]*([A-Za-z0-9_]+)\\)"
      "\\2.\\3" test "${test}")
    list(APPEND tests ${test})
  endforeach()
endforeach()

string(REGEX MATCHALL "`[A-Z][A-Za-z0-9]+\\.[A-Za-z0-9_]+`" names "${page}")
list(REMOVE_DUPLICATES names)
list(LENGTH names count)
if(count LESS 37)
  message(SEND_ERROR "docs/defects.md names ${count} tests only")
endif()
foreach(document docs/defects.md docs/reliability.md SECURITY.md)
  file(READ ${PROJECT}/${document} page)
  string(REGEX MATCHALL "`[A-Z][A-Za-z0-9]+\\.[A-Za-z0-9_]+`" names "${page}")
  foreach(name IN LISTS names)
    string(REPLACE "`" "" name ${name})
    if(NOT name IN_LIST tests AND NOT name MATCHES "\\.(md|txt|json)$")
      message(SEND_ERROR "${document} names ${name}, which no file under tests/ has")
    endif()
  endforeach()
endforeach()
