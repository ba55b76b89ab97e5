// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "commands.hpp"

int main(int argc, char** argv) {
  CLI::App app{"memsim: a machine's physical memory, and the kernel policies that manage it"};
  app.require_subcommand(1);
  int outcome = memsim::cli::success;
  memsim::cli::add_record(app, outcome);
  memsim::cli::add_replay(app, outcome);
  memsim::cli::add_verify(app, outcome);

  try {
    app.parse(argc, argv);
    return outcome;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? memsim::cli::success : memsim::cli::bad_input;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "memsim: %s\n", e.what());
    return memsim::cli::bad_input;
  }
}
