# The target `coverage_report`: what the tests that have run so far executed, as text and as pages.
find_program(RKVS_GCOVR gcovr REQUIRED)
mark_as_advanced(RKVS_GCOVR)
add_custom_target(coverage_report
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/coverage
  COMMAND ${RKVS_GCOVR} --root ${PROJECT_SOURCE_DIR} --object-directory ${PROJECT_BINARY_DIR}
    --filter ${PROJECT_SOURCE_DIR}/src/ --filter ${PROJECT_SOURCE_DIR}/include/
    --exclude-throw-branches --exclude-unreachable-branches -j 2
    --html-details ${PROJECT_BINARY_DIR}/coverage/index.html
    --txt ${PROJECT_BINARY_DIR}/coverage/lines.txt --print-summary
  COMMAND ${CMAKE_COMMAND} -E cat ${PROJECT_BINARY_DIR}/coverage/lines.txt
  COMMENT "Reading coverage into ${PROJECT_BINARY_DIR}/coverage"
  VERBATIM USES_TERMINAL)
