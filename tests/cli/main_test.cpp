// SPDX-License-Identifier: Apache-2.0
// The program as a whole: which commands there are, and whether its output arrives.
#include "catch.hpp"
#include "run_program.hpp"

using namespace memsim;
using test::run_program;
using test::temporary_directory;

TEST_CASE("a command that does not exist is named, with those that do", "[cli]") {
  temporary_directory scratch;
  const auto bogus = run_program(scratch, "bogus --json");
  CHECK(bogus.status == 2);
  CHECK(bogus.complaints ==
        "memsim: no command 'bogus': there are record, replay, report, run, sweep, verify\n");

  const auto none = run_program(scratch, "");
  CHECK(none.status == 2);
  CHECK(none.complaints ==
        "memsim: which command? There are record, replay, report, run, sweep, verify\n");
}

TEST_CASE("the program tells its version", "[cli]") {
  temporary_directory scratch;
  const auto version = run_program(scratch, "--version");
  CHECK(version.status == 0);
  CHECK(version.out.starts_with("memsim 0."));
}

TEST_CASE("output that does not arrive is an error, whatever the command", "[cli]") {
  temporary_directory scratch;
  scratch.write("empty.trace", "# tracer: nop\n");
  scratch.write("m.toml", "memory = \"64 MiB\"\n");
  const auto* const arguments =
      GENERATE("--version", "--help", "verify nowhere.trace", "verify --json nowhere.trace",
               "replay empty.trace --machine m.toml", "replay empty.trace --machine m.toml --json");
  const auto result = run_program(scratch, std::string{arguments} + " > /dev/full");
  INFO(arguments);
  CHECK(result.status == 2);
  CHECK_THAT(result.complaints, ContainsSubstring("No space left on device"));
}

TEST_CASE("the help of every command says its exit status in the same place", "[cli]") {
  temporary_directory scratch;
  const auto* const command = GENERATE("record", "replay", "verify");
  const auto help = run_program(scratch, std::string{command} + " --help").out;
  INFO(help);
  CHECK(help.find("Exit status: ") < help.find("Usage: "));
}
