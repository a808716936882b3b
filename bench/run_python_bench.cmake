# Runs python/bench.py against LIBRARY (librkvs.so) with the package of the source tree, in a virtual
# environment at VENV, and writes JSON. Never fails: where a part is missing, JSON says why.
#
#   -DPYTHON= -DSOURCE= -DLIBRARY= -DVENV= -DJSON=
function(leave_out reason)
  message(STATUS "Benchmarks: without Python: ${reason}")
  file(WRITE ${JSON}
    "{\"program\": \"python\", \"targets\": [], \"missing\": {\"python\": \"${reason}\"}}\n")
endfunction()

if(NOT EXISTS ${VENV}/done)
  execute_process(COMMAND ${PYTHON} -m venv ${VENV}
    OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    execute_process(
      COMMAND ${VENV}/bin/python -m pip install --quiet -r ${SOURCE}/bench/python/requirements.txt
      TIMEOUT 300 OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE failed)
  endif()
  if(failed)
    leave_out("its packages cannot be installed")
    return()
  endif()
  file(TOUCH ${VENV}/done)
endif()
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env RKVS_LIBRARY=${LIBRARY} PYTHONPATH=${SOURCE}/bindings/python
          ${VENV}/bin/python ${SOURCE}/bench/python/bench.py --json ${JSON} --rounds 5
  TIMEOUT 300
  RESULT_VARIABLE failed)
if(failed)
  leave_out("bench/python/bench.py failed")
endif()
cmake_path(REPLACE_FILENAME JSON python_holds.json OUTPUT_VARIABLE holds)
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env RKVS_LIBRARY=${LIBRARY} PYTHONPATH=${SOURCE}/bindings/python
          ${VENV}/bin/python ${SOURCE}/bench/python/holds.py --json ${holds} --items 50000 --rounds 3
  TIMEOUT 300
  RESULT_VARIABLE failed)
if(failed)
  message(STATUS "bench/python/holds.py failed")
endif()
