// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The memsim program as a shell runs it.

#include <cstdlib>
#include <string>

#include <sys/wait.h>

#include "temporary_directory.hpp"

namespace memsim::test {

struct outcome {
  int status = -1;
  std::string out{};
  std::string complaints{};
};

/// Runs a command in a scratch directory. A redirection among the arguments counts.
/// \param first  what the shell does before
inline outcome run_command(const temporary_directory& scratch, const std::string& command,
                           const std::string& arguments, const std::string& first = "true") {
  const std::string line = "cd " + scratch.path().string() + " && " + first + " && " + command +
                           " > out.txt 2> err.txt < /dev/null " + arguments;
  const int status = std::system(line.c_str());
  return {.status = WEXITSTATUS(status),
          .out = scratch.read("out.txt"),
          .complaints = scratch.read("err.txt")};
}

/// Likewise `memsim ARGUMENTS`.
inline outcome run_program(const temporary_directory& scratch, const std::string& arguments,
                           const std::string& first = "true") {
  return run_command(scratch, MEMSIM_PROGRAM, arguments, first);
}

}  // namespace memsim::test
