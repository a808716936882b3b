# The target `coverage_report`: what the tests that have run so far executed, as pages by gcovr and
# as figures by a script that leaves out more surely what only exceptions take.
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
find_program(RKVS_GCOVR gcovr REQUIRED)
mark_as_advanced(RKVS_GCOVR)
add_custom_target(coverage_report
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/coverage
  COMMAND ${RKVS_GCOVR} --root ${PROJECT_SOURCE_DIR} --object-directory ${PROJECT_BINARY_DIR}
    --filter ${PROJECT_SOURCE_DIR}/src/ --filter ${PROJECT_SOURCE_DIR}/include/
    --filter ${PROJECT_SOURCE_DIR}/capi/
    --exclude-throw-branches --exclude-unreachable-branches -j 2
    --html-details ${PROJECT_BINARY_DIR}/coverage/index.html
    --txt ${PROJECT_BINARY_DIR}/coverage/lines.txt --print-summary
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/reliability/coverage.py
    ${PROJECT_BINARY_DIR}
  COMMENT "Reading coverage into ${PROJECT_BINARY_DIR}/coverage"
  VERBATIM USES_TERMINAL)

# The target `reliability_run`: the whole programme, coverage among it. Goes on where it was ended;
# the environment's RKVS_RELIABILITY_HOURS makes it smaller. See docs/reliability.md.
add_custom_target(reliability_run
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/reliability/run.py
  VERBATIM USES_TERMINAL)
