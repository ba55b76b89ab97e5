# SPDX-License-Identifier: Apache-2.0
#
# Reads every #include of the library and the program and holds it to docs/architecture.md:
#
#   1. a file includes only from its own floor or below;
#   2. public headers, and everything up to the floor alloc, need the standard library, the system,
#      Boost, fmt and spdlog alone;
#   3. the program, the benchmarks and the examples know public headers only.
#
# cmake -D ROOT=<source tree> -P check_floors.cmake; fails with a line for each breach.

cmake_minimum_required(VERSION 3.25)

set(floors core sim frames alloc arch vm policy machine workload metrics testing)
set(plain_floors core sim frames alloc arch vm policy machine)
set(plain_libraries boost fmt spdlog sys linux)
set(data_libraries ${plain_libraries} nlohmann toml++)
set(breaches "")

# The first component of `path`, and its rank among the floors; -1 if it is none.
function(floor_of path name_out rank_out)
  string(REGEX REPLACE "(/|\\.hpp).*" "" name "${path}")
  list(FIND floors "${name}" rank)
  set(${name_out} ${name} PARENT_SCOPE)
  set(${rank_out} ${rank} PARENT_SCOPE)
endfunction()

macro(breach reason)
  list(APPEND breaches "${file}: ${line}: ${reason}")
endmacro()

# Every include of one file. `floor` is that of the file, or empty for a user of the library.
function(check_file file floor libraries)
  list(FIND floors "${floor}" rank)
  file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE ".*include[ \t]*([<\"])([^>\"]*)[>\"].*" "\\1;\\2" parts "${line}")
    list(GET parts 0 quote)
    list(GET parts 1 path)
    if(path MATCHES "^memsim/")
      string(REGEX REPLACE "^memsim/" "" inside "${path}")
      floor_of("${inside}" name included)
      if(included EQUAL -1)
        breach("there is no floor '${name}'")
      elseif(NOT rank EQUAL -1 AND included GREATER rank)
        breach("the floor ${name} is above ${floor}")
      endif()
    elseif(quote STREQUAL "\"")
      floor_of("${path}" name included)
      if(path MATCHES "/" AND rank EQUAL -1)
        breach("only public headers and those beside the file are known here")
      elseif(path MATCHES "/" AND included EQUAL -1)
        breach("there is no floor '${name}'")
      elseif(path MATCHES "/" AND included GREATER rank)
        breach("the floor ${name} is above ${floor}")
      endif()
    elseif(path MATCHES "/" AND NOT libraries STREQUAL "any")
      string(REGEX REPLACE "/.*" "" name "${path}")
      if(NOT name IN_LIST libraries)
        breach("'${name}' is not a library that this file may need")
      endif()
    endif()
  endforeach()
  set(breaches "${breaches}" PARENT_SCOPE)
endfunction()

function(check_tree pattern kind)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${pattern}/*.hpp ${ROOT}/${pattern}/*.cpp)
  list(SORT files)
  foreach(file IN LISTS files)
    string(REGEX REPLACE "^(include/memsim|src)/" "" inside "${file}")
    floor_of("${inside}" floor rank)
    if(kind STREQUAL "user" OR floor STREQUAL "cli")
      check_file(${file} "" any)
    elseif(rank EQUAL -1)
      list(APPEND breaches "${file}: there is no floor '${floor}'")
    elseif(kind STREQUAL "public" OR floor IN_LIST plain_floors)
      check_file(${file} ${floor} "${plain_libraries}")
    else()
      check_file(${file} ${floor} "${data_libraries}")
    endif()
  endforeach()
  list(LENGTH files count)
  math(EXPR checked "${checked} + ${count}")
  set(checked ${checked} PARENT_SCOPE)
  set(breaches "${breaches}" PARENT_SCOPE)
endfunction()

set(checked 0)
check_tree(include/memsim public)
check_tree(src private)
check_tree(bench user)
check_tree(examples user)

if(breaches)
  list(JOIN breaches "\n" text)
  message(FATAL_ERROR "The floors are not kept:\n${text}")
elseif(checked EQUAL 0)
  message(FATAL_ERROR "No source file under ${ROOT}")
endif()
message(STATUS "${checked} files keep the floors")
