// SPDX-License-Identifier: Apache-2.0
// memsim sweep as a shell runs it.
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <memsim/core/random.hpp>
#include <memsim/metrics/scenario_run.hpp>

#include "catch.hpp"
#include "run_program.hpp"
#include "sweep_tables.hpp"

using namespace memsim;
using namespace memsim::test;
using test::run_program;
using test::temporary_directory;

namespace {

namespace fs = std::filesystem;

/// Starts a sweep and ends it after a while, as `kill -9` does.
void run_and_kill(const temporary_directory& scratch, const std::string& arguments,
                  std::chrono::microseconds after) {
  const std::string line =
      "cd " + scratch.path().string() + " && exec " MEMSIM_PROGRAM " > /dev/null " + arguments;
  const char* command[] = {"sh", "-c", line.c_str(), nullptr};
  pid_t process = -1;
  REQUIRE(posix_spawnp(&process, "sh", nullptr, nullptr, const_cast<char**>(command), environ) ==
          0);
  std::this_thread::sleep_for(after);
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
}

}  // namespace

SCENARIO("a sweep writes a row for each point, with all metrics", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto done = run_program(scratch, "sweep s.toml -o out" + points);
  REQUIRE(done.complaints == "");
  REQUIRE(done.status == 0);
  const auto [csv, json] = read_tables(scratch, "out");
  THEN("a table is printed") {
    CHECK_THAT(done.out, ContainsSubstring("ageing.recipe=build_farm ageing.occupancy=0.4 "
                                           "machine.profile=linux_6_1 "));
    CHECK_THAT(done.out, ContainsSubstring("24 points, 0 failed\n"));
    CHECK_THAT(done.out, ContainsSubstring("Written to out: results.json results.csv\n"));
  }
  THEN("results.csv has a line for each, in the order of the product") {
    CHECK(lines_of(csv) == 25);
    CHECK(
        csv.starts_with("point,ageing.recipe,ageing.occupancy,machine.profile,outcome,recipe,"
                        "profile,seed,digest,memory [pages],"));
    CHECK_THAT(csv, ContainsSubstring("\n1,build_farm,0.4,linux_6_12,done,"));
    CHECK_THAT(csv, ContainsSubstring("\n23,order_mixed_churn,0.8,linux_6_12,done,"));
  }
  THEN("results.json says what the library says") {
    const auto results = nlohmann::json::parse(json);
    CHECK(results["schema"] == "memsim.sweep/1");
    CHECK(results["scenario"] == scenario_text);
    CHECK(results["failed"] == 0);
    REQUIRE(results["points"].size() == 24);
    const auto& point = results["points"][9];
    CHECK(point["name"] ==
          "ageing.recipe=fill_shuffle_free ageing.occupancy=0.6 machine.profile=linux_6_12");
    CHECK(point["outcome"] == "done");
    const auto expected = run_scenario(
        parse_scenario(scenario_text, "",
                       std::vector<scenario_setting>{{"ageing.recipe", "fill_shuffle_free"},
                                                     {"ageing.occupancy", "0.6"},
                                                     {"machine.profile", "linux_6_12"}})
            .value());
    REQUIRE(expected);
    CHECK(point["values"].size() == expected->values.size());
    for (const auto& v : expected->values) {
      CAPTURE(v.name);
      std::visit([&](const auto& value) { CHECK(point["values"][v.name] == value); }, v.value);
      CHECK(results["columns"][v.name]["unit"] == v.unit);
      CHECK(results["columns"][v.name]["description"] == v.description);
    }
  }
  THEN("it does not depend on how many processes there were") {
    REQUIRE(run_program(scratch, "sweep s.toml -o one -j 1" + points).status == 0);
    REQUIRE(run_program(scratch, "sweep s.toml -o many -j 7" + points).status == 0);
    CHECK((read_tables(scratch, "one") == tables{csv, json}));
    CHECK((read_tables(scratch, "many") == tables{csv, json}));
  }
  THEN("once finished it does nothing again, and --json prints what is written") {
    const auto journal = scratch.read("out/journal");
    const auto again = run_program(scratch, "sweep s.toml --json -o out" + points);
    CHECK(again.status == 0);
    CHECK(again.out == json);
    CHECK(scratch.read("out/journal") == journal);
    CHECK((read_tables(scratch, "out") == tables{csv, json}));
  }
  THEN("nobody else's sweep may be in the directory") {
    const auto other = run_program(scratch, "sweep s.toml -o out --vary ageing.occupancy=0.4");
    CHECK(other.status == 2);
    CHECK_THAT(other.complaints, ContainsSubstring("out/journal: is of another sweep"));
    CHECK((read_tables(scratch, "out") == tables{csv, json}));
  }
}

TEST_CASE("a sweep that is killed again and again ends in the same tables", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  REQUIRE(run_program(scratch, "sweep s.toml -o undisturbed" + points).status == 0);
  random_stream random{1, "sweep test"};
  std::size_t records = 0;
  bool was_part_done = false;
  // Later and later, until it was killed between its first point and its last.
  for (unsigned i = 0; i < 12 || (!was_part_done && i < 100); ++i) {
    run_and_kill(scratch, "sweep s.toml -j 2 -o killed" + points,
                 std::chrono::microseconds{random.below(150'000 * (1 + i / 12))});
    const auto now = lines_of(scratch.read("killed/journal"));
    CHECK(now >= records);  // nothing that was finished is lost
    records = now;
    was_part_done = was_part_done || (now > 2 && now < 2 + 24);
  }
  CHECK(was_part_done);
  const auto finished = run_program(scratch, "sweep s.toml -o killed" + points);
  CHECK(finished.status == 0);
  CHECK((read_tables(scratch, "killed") == read_tables(scratch, "undisturbed")));
  // A heading, the columns, and no point twice.
  CHECK(lines_of(scratch.read("killed/journal")) == 2 + 24);
}

TEST_CASE("a point that fails does not keep the others from their results", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const std::string arguments =
      "sweep s.toml -o out --vary machine.tuning.min_free_kbytes=1024,60000";
  for (int i = 0; i < 2; ++i) {  // and is tried again
    const auto done = run_program(scratch, arguments);
    CHECK(done.status == 1);
    CHECK_THAT(done.out, ContainsSubstring("2 points, 1 failed"));
    CHECK_THAT(done.out, ContainsSubstring("failed: build_farm: occupancy 0.7 of 16128 frames"));
    const auto [csv, json] = read_tables(scratch, "out");
    CHECK_THAT(csv, ContainsSubstring("\n0,1024,done,build_farm,"));
    CHECK_THAT(csv, ContainsSubstring("\n1,60000,failed,,"));
    const auto results = nlohmann::json::parse(json);
    CHECK(results["failed"] == 1);
    CHECK(results["points"][0]["outcome"] == "done");
    CHECK(results["points"][1]["outcome"] == "failed");
    CHECK_FALSE(results["points"][1].contains("values"));
  }
}

TEST_CASE("a sweep that cannot be is refused before it begins", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    CAPTURE(arguments);
    const auto done = run_program(scratch, "sweep " + arguments);
    CHECK(done.status == 2);
    CHECK(done.out == "");
    CHECK_THAT(done.complaints, ContainsSubstring(why));
    CHECK_FALSE(fs::exists(scratch.path() / "memsim-sweep"));
  };
  refused("none.toml --vary seed=1", "none.toml: cannot be opened");
  refused("s.toml", "--vary");
  refused("s.toml --vary seed", "wanted is KEY=A,B,C");
  refused("s.toml --vary seed=1,1", "1 is there twice");
  refused("s.toml --vary seed=1 --vary seed=2", "seed is varied twice");
  refused("s.toml --vary ageing.occupancy=0.5,5",
          "ageing.occupancy = 5: allowed are 0.01 to 0.98 (with ageing.occupancy=5)");
  refused("s.toml --vary machine.cores=1", "unknown key \"machine.cores\"");
  refused("s.toml --vary seed=1 -j 0", "'0' is not a whole number from 1 to 4096");
  refused("s.toml --vary seed=1 -o s.toml", "s.toml: cannot be made");
}

TEST_CASE("two sweeps do not work in one directory", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  REQUIRE(run_program(scratch, "sweep s.toml --vary seed=1 -o out").status == 0);
  const int journal = open((scratch.path() / "out/journal").c_str(), O_RDWR | O_CLOEXEC);
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  REQUIRE(fcntl(journal, F_SETLK, &whole) == 0);
  const auto second = run_program(scratch, "sweep s.toml --vary seed=1 -o out");
  CHECK(second.status == 2);
  CHECK_THAT(second.complaints,
             ContainsSubstring("out/journal: another memsim sweep is at work in this directory"));
  std::jthread going{[journal] {
    std::this_thread::sleep_for(std::chrono::milliseconds{300});
    close(journal);
  }};
  CHECK(run_program(scratch, "sweep s.toml --vary seed=1 -o out").status == 0);
}

#ifndef MEMSIM_MPIRUN
TEST_CASE("without MPI a sweep is not run by every rank", "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto rank = [&](int number) {
    return run_program(
        scratch, "sweep s.toml --vary seed=1",
        "export OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=" + std::to_string(number));
  };
  const auto first = rank(0);
  CHECK(first.status == 2);
  CHECK_THAT(first.complaints, ContainsSubstring("built without MPI"));
  const auto another = rank(1);
  CHECK(another.status == 2);
  CHECK(another.complaints == "");
  CHECK_FALSE(fs::exists(scratch.path() / "memsim-sweep"));
}
#endif

SCENARIO("a scenario with actors is swept, each of its policies a part of the row",
         "[cli][sweep]") {
  temporary_directory scratch;
  scratch.write("s.toml", R"(duration = "10 ms"
[machine]
memory = "64 MiB"
[[policy]]
name = "merged"
secretmem = "5_14"
[[policy]]
name = "reserved"
secretmem = "reserved"
set_aside = "2 MiB"
[[actor]]
name = "tenant"
memory = "secret"
size = "1 MiB"
)");
  const auto done = run_program(scratch, "sweep s.toml -o out --vary actor.tenant.processes=1,4");
  CHECK(done.complaints == "");
  REQUIRE(done.status == 0);
  const auto results = nlohmann::json::parse(scratch.read("out/results.json"));
  REQUIRE(results["points"].size() == 2);
  const auto& few = results["points"][0]["values"];
  const auto& many = results["points"][1]["values"];
  CHECK(few["reserved.tenant.no_memory_at_mmap"] == 0);
  CHECK(many["reserved.tenant.no_memory_at_mmap"] == 2);
  CHECK(many["reserved.refused_at_mmap"] == 2);
  CHECK(many["merged.refused_at_mmap"] == 0);
  CHECK(many["merged.first_uses"] == 1024);
  CHECK(few["merged.digest"] != many["merged.digest"]);
  CHECK(results["columns"]["merged.kernel_access"]["unit"] == "ns");
  CHECK_THAT(done.out, ContainsSubstring("Point ") && ContainsSubstring(" refused") &&
                           ContainsSubstring("actor.tenant.processes=4 reserved ") &&
                           ContainsSubstring("2 points, 0 failed"));
}
