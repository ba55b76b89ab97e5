# SPDX-License-Identifier: Apache-2.0
#
# Which compilers will do, and how compiling them twice is avoided. Sets no flag: warnings and
# sanitizers come from the presets.

# std::expected in the standard library, and in clang the concepts that libstdc++ guards it with.
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
   OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19))
  message(FATAL_ERROR "memsim needs g++ 12 or clang 19, or newer; "
                      "this is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
endif()

if(MEMSIM_USE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(MEMSIM_CCACHE ccache)
  mark_as_advanced(MEMSIM_CCACHE)
  if(MEMSIM_CCACHE)
    # The base directory lets two clones share results; the sloppiness is what ccache's manual asks
    # for where headers are precompiled.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
        ${MEMSIM_CCACHE})
  endif()
endif()

# memsim_precompile(TARGET HEADER...): precompiles headers for a target, in a form that ccache can
# work with.
function(memsim_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  target_compile_options(
    ${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
                      $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
endfunction()
