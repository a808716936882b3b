# Builds SOURCE, a Cargo project, into TARGET_DIRECTORY. Never fails: what is missing is a missing
# contender, and TARGET_DIRECTORY/reason.txt says why.
set(reason ${TARGET_DIRECTORY}/reason.txt)
file(MAKE_DIRECTORY ${TARGET_DIRECTORY})
file(REMOVE ${reason})

find_program(CARGO cargo)
if(NOT CARGO)
  file(WRITE ${reason} "there is no cargo\n")
  return()
endif()
execute_process(COMMAND ${CARGO} --version OUTPUT_VARIABLE version)
string(REGEX MATCH "[0-9]+\\.[0-9]+" version "${version}")
if(version VERSION_LESS 1.85)
  file(WRITE ${reason} "cargo is ${version}, and 1.85 is needed\n")
  return()
endif()
execute_process(
  COMMAND ${CARGO} build --release --quiet --target-dir ${TARGET_DIRECTORY}
  WORKING_DIRECTORY ${SOURCE}
  TIMEOUT 600
  ERROR_VARIABLE error
  RESULT_VARIABLE failed)
if(failed)
  message(STATUS "Benchmarks: without the peers in Rust, which cannot be built:\n${error}")
  file(WRITE ${reason} "cargo could not build it\n")
  file(REMOVE ${TARGET_DIRECTORY}/release/rkvs_rs ${TARGET_DIRECTORY}/release/dashmap)
endif()
