# SPDX-License-Identifier: Apache-2.0
#
# Compiles the programs in a Markdown page and compares what they print with what the page says.
#
#   memsim_add_snippets(PREFIX PAGE)
#
# Each block that begins with ```cpp becomes a program PREFIX_<n>, and a test of that name. Where a
# block that begins with ```text follows it before the next program, the test expects that output.

function(memsim_add_snippets prefix page)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
  file(READ ${page} rest)
  set(n 0)
  string(FIND "${rest}" "\n```cpp\n" begin)
  while(NOT begin EQUAL -1)
    math(EXPR n "${n} + 1")
    set(name ${prefix}_${n})
    math(EXPR begin "${begin} + 8")
    string(SUBSTRING "${rest}" ${begin} -1 rest)
    string(FIND "${rest}" "\n```\n" end)
    string(SUBSTRING "${rest}" 0 ${end} program)
    math(EXPR end "${end} + 4")
    string(SUBSTRING "${rest}" ${end} -1 rest)
    file(CONFIGURE OUTPUT ${name}.cpp CONTENT "${program}\n" @ONLY)
    add_executable(${name} ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
    target_link_libraries(${name} PRIVATE memsim::memsim memsim::testing)
    add_test(NAME ${name} COMMAND ${name})

    string(FIND "${rest}" "\n```text\n" output)
    string(FIND "${rest}" "\n```cpp\n" begin)
    if(NOT output EQUAL -1 AND (begin EQUAL -1 OR output LESS begin))
      math(EXPR output "${output} + 9")
      string(SUBSTRING "${rest}" ${output} -1 said)
      string(FIND "${said}" "\n```\n" end)
      string(SUBSTRING "${said}" 0 ${end} said)
      # The expectation as a regular expression: every special character stands for itself.
      string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" said "${said}")
      set_tests_properties(${name} PROPERTIES PASS_REGULAR_EXPRESSION "^${said}\n$")
    endif()
  endwhile()
  if(n EQUAL 0)
    message(FATAL_ERROR "${page} has no program")
  endif()
endfunction()
