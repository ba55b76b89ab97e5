// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The commands of the memsim program, one source file each.

namespace CLI {
class App;
}

namespace memsim::cli {

/// Exit codes that all commands share.
enum exit_code : int {
  success = 0,
  difference = 1,    ///< the command ran, and what it compares is not equal
  point_failed = 1,  ///< the sweep ran, and one of its points has no result
  bad_input = 2,     ///< a file or an option is unusable; the message says which and why
};

// Each adds a command to the program, whose callback sets `outcome` to the exit code.
void add_record(CLI::App& app, int& outcome);
void add_replay(CLI::App& app, int& outcome);
void add_report(CLI::App& app, int& outcome);
void add_run(CLI::App& app, int& outcome);
void add_sweep(CLI::App& app, int& outcome);
void add_verify(CLI::App& app, int& outcome);

}  // namespace memsim::cli
