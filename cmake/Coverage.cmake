# The target `coverage_report`: what the tests that have run so far executed, in figures and as pages
# in build/reliability/coverage. gcovr.cfg says what counts.
find_package(Python3 3.10 REQUIRED COMPONENTS Interpreter)
add_custom_target(coverage_report
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/reliability/run.py --coverage-report
  VERBATIM USES_TERMINAL)

# The target `reliability_run`: the whole programme, coverage among it. Goes on where it was ended;
# the environment's RKVS_RELIABILITY_HOURS makes it smaller. See docs/reliability.md.
add_custom_target(reliability_run
  COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/reliability/run.py
  VERBATIM USES_TERMINAL)
