// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <string>

#include <sys/wait.h>

#include "catch.hpp"
#include "cli/tracefs.hpp"
#include "temporary_directory.hpp"

using namespace memsim;
using test::temporary_directory;

namespace {

namespace fs = std::filesystem;

struct outcome {
  int status = -1;
  std::string said{};
};

/// Runs `memsim record` with the given arguments.
outcome record(const temporary_directory& scratch, const std::string& arguments) {
  const fs::path log = scratch.path() / "log";
  const std::string line =
      MEMSIM_PROGRAM " record " + arguments + " > " + log.string() + " 2>&1 < /dev/null";
  const int status = std::system(line.c_str());
  return {.status = WEXITSTATUS(status), .said = scratch.read("log")};
}

}  // namespace

TEST_CASE("memsim record says what it lacks, exits with 2 and leaves no files", "[cli]") {
  temporary_directory scratch;
  const std::string output = (scratch.path() / "out").string();

  SECTION("a command") {
    const auto [status, said] = record(scratch, "-o " + output);
    CHECK(status == 2);
    CHECK_THAT(said, ContainsSubstring("COMMAND is required"));
  }
  SECTION("a directory") {
    const auto [status, said] = record(scratch, "-- true");
    CHECK(status == 2);
    CHECK_THAT(said, ContainsSubstring("--output is required"));
  }
  SECTION("tracefs") {
    const auto [status, said] =
        record(scratch, "--tracefs " + scratch.path().string() + " -o " + output + " -- true");
    CHECK(status == 2);
    CHECK_THAT(said, ContainsSubstring("not a tracefs"));
  }
  SECTION("the events") {
    fs::create_directory(scratch.path() / "instances");
    const auto [status, said] =
        record(scratch, "--tracefs " + scratch.path().string() + " -o " + output + " -- true");
    CHECK(status == 2);
    CHECK_THAT(said, ContainsSubstring("no event kmem/mm_page_alloc"));
    CHECK(fs::is_empty(scratch.path() / "instances"));
  }
  CHECK_FALSE(fs::exists(output));
}

// Hidden, because it needs root and a kernel that lets itself be traced: memsim_tests "[host]"
TEST_CASE("memsim record records this machine", "[.][host]") {
  const auto tracefs = cli::find_tracefs();
  REQUIRE(tracefs);
  temporary_directory scratch;
  const std::string output = (scratch.path() / "out").string();

  const auto [status, said] = record(scratch, "-o " + output + " -- sh -c 'ls /; exit 7'");
  INFO(said);
  CHECK(status == 7);
  CHECK_THAT(said, ContainsSubstring("no event was lost"));
  CHECK_THAT(scratch.read("out/recording.trace"), ContainsSubstring(": mm_page_alloc: "));
  for (const char* const when : {"before", "after"}) {
    CHECK_THAT(scratch.read(std::string{"out/recording.zoneinfo."} + when),
               ContainsSubstring("Node 0, zone"));
    CHECK_THAT(scratch.read(std::string{"out/recording.buddyinfo."} + when),
               ContainsSubstring("Node 0, zone"));
    CHECK_THAT(scratch.read(std::string{"out/recording.pagetypeinfo."} + when),
               ContainsSubstring("Page block order"));
  }
  CHECK(record(scratch, "-o " + output + " -- true").status == 2);  // never overwrites
  CHECK(record(scratch, "-o " + output + "2 -- /no/such/program").status == 2);
  CHECK_FALSE(fs::exists(output + "2"));
  for (const auto& entry : fs::directory_iterator{*tracefs / "instances"}) {
    CHECK_THAT(entry.path().filename().string(), !ContainsSubstring("memsim-"));
  }
}
