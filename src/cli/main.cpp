// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "commands.hpp"
#include "mpi_launch.hpp"

namespace memsim::cli {
namespace {

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "memsim: %s\n", what.c_str());
  return bad_input;
}

/// What was printed is only now sure to have gone out: the disk may be full.
int with_output_written(int outcome) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return outcome;
  return complain(std::string{"standard output cannot be written: "} + std::strerror(errno));
}

/// Of the ranks that mpirun started with the same options the first says what is wrong with them.
int be_silent(const CLI::ParseError& e) {
  if (e.get_exit_code() == 0) return success;
  let_first_rank_speak();
  return bad_input;
}

int run(CLI::App& app, int argc, char** argv) {
  int outcome = success;
  add_record(app, outcome);
  add_replay(app, outcome);
  add_report(app, outcome);
  add_run(app, outcome);
  add_sweep(app, outcome);
  add_verify(app, outcome);
  app.require_subcommand(1);
  app.set_version_flag("--version", "memsim " MEMSIM_VERSION);

  const auto commands = names_of_commands(app);
  if (argc < 2)
    return complain(fmt::format("which command? There are {}", fmt::join(commands, ", ")));
  const std::string_view first = argv[1];
  if (!first.starts_with('-') && std::ranges::find(commands, first) == commands.end()) {
    return complain(fmt::format("no command '{}': there are {}", first, fmt::join(commands, ", ")));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (!speaks_for_all_ranks()) return be_silent(e);
    outcome = app.exit(e) == 0 ? success : bad_input;
  } catch (const std::bad_alloc&) {
    return complain("this host has not the memory for that");
  } catch (const std::exception& e) {
    return complain(e.what());
  }
  return with_output_written(outcome);
}

}  // namespace
}  // namespace memsim::cli

int main(int argc, char** argv) {
  CLI::App app{"memsim: a machine's physical memory, and the kernel policies that manage it"};
  return memsim::cli::run(app, argc, argv);
}
