# SPDX-License-Identifier: Apache-2.0
#
# Gives check_floors.cmake small source trees with one include each, good and bad.
# cmake -D SCRATCH=<directory> -P check_floors_test.cmake

cmake_minimum_required(VERSION 3.25)

# expect(kept|broken FILE INCLUDE): what the check must say of a tree with this one file.
function(expect verdict file include)
  file(REMOVE_RECURSE ${SCRATCH})
  file(WRITE ${SCRATCH}/${file} "#pragma once\n#include ${include}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${SCRATCH} -P
                          ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_floors.cmake
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE said)
  if(verdict STREQUAL "kept" AND failed)
    message(SEND_ERROR "${file} may include ${include}, but the check says:\n${said}")
  elseif(verdict STREQUAL "broken" AND NOT said MATCHES "floors are not kept")
    message(SEND_ERROR "${file} may not include ${include}, and the check does not say so")
  endif()
endfunction()

expect(kept include/memsim/alloc/a.hpp <memsim/frames/zones.hpp>)
expect(kept include/memsim/alloc/a.hpp <memsim/alloc/b.hpp>)
expect(kept src/frames/a.cpp <sys/mman.h>)
expect(kept src/alloc/a.cpp "\"alloc/b.hpp\"")
expect(kept src/alloc/a.cpp "\"b.hpp\"")
expect(kept src/metrics/a.cpp <nlohmann/json.hpp>)
expect(kept src/cli/a.cpp <CLI/CLI.hpp>)
expect(kept src/cli/a.cpp <memsim/testing/golden.hpp>)
expect(kept bench/a.cpp <benchmark/benchmark.h>)

expect(broken include/memsim/frames/a.hpp <memsim/alloc/zone.hpp>)
expect(broken src/frames/a.cpp "\"alloc/b.hpp\"")
expect(broken src/core/a.cpp "<memsim/no_such_floor/a.hpp>")
expect(broken include/memsim/attic/a.hpp <string>)
expect(broken src/alloc/a.cpp <nlohmann/json.hpp>)
expect(broken include/memsim/metrics/a.hpp <nlohmann/json.hpp>)
expect(broken src/cli/a.cpp "\"alloc/b.hpp\"")
expect(broken examples/a.cpp "\"core/b.hpp\"")
expect(broken include/memsim/core/a.hpp "  <toml++/toml.h>")
