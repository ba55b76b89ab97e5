# SPDX-License-Identifier: Apache-2.0
#
# Every header under include/ is in the file sets of include/CMakeLists.txt, so it is installed and
# compiled alone. cmake -D ROOT=<source tree> -D LISTED=<file of paths> -P check_headers.cmake

cmake_minimum_required(VERSION 3.25)

file(STRINGS ${LISTED} listed)
file(GLOB_RECURSE present ${ROOT}/include/*.hpp)
list(REMOVE_ITEM present ${listed})
if(present)
  list(JOIN present "\n" text)
  message(FATAL_ERROR "Not in include/CMakeLists.txt:\n${text}")
endif()
