# SPDX-License-Identifier: Apache-2.0
# cmake -D PROGRAM=... -D ARGUMENTS=... -D EXPECTED=<file> -P check_output.cmake: fails unless the
# program prints exactly what the file says. ARGUMENTS is as a shell would have it.
# FRESH is a directory that is removed before.
if(DEFINED FRESH)
  file(REMOVE_RECURSE ${FRESH})
endif()
separate_arguments(ARGUMENTS UNIX_COMMAND "${ARGUMENTS}")
execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ ${EXPECTED} expected)
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "${EXPECTED} says:\n${expected}\nbut this was printed:\n${printed}")
endif()
