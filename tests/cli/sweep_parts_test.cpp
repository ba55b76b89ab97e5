// SPDX-License-Identifier: Apache-2.0
// What memsim sweep is made of: its points, its journal, its processes.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "catch.hpp"
#include "cli/jobs.hpp"
#include "cli/mpi_launch.hpp"
#include "cli/progress.hpp"
#include "cli/sweep_journal.hpp"
#include "cli/sweep_plan.hpp"
#include "cli/worker_processes.hpp"
#include "temporary_directory.hpp"

using namespace memsim;
using namespace memsim::cli;
using test::temporary_directory;

namespace {

namespace fs = std::filesystem;

sweep_plan plan_of(const std::string& text, const std::vector<std::string>& options,
                   const std::string& program = "1") {
  std::vector<sweep_axis> axes;
  for (const auto& option : options) axes.push_back(parse_axis(option).value());
  return sweep_plan::make(text, axes, program).value();
}

sweep_journal open_journal(const temporary_directory& scratch, digest sweep = {}) {
  auto journal = sweep_journal::open(scratch.path(), sweep);
  if (!journal) FAIL(journal.error().message());
  return std::move(*journal);
}

}  // namespace

TEST_CASE("the last key varies fastest, and points are named by their values", "[cli][sweep]") {
  const auto plan = plan_of("", {"a=1,2", "b.c=x,y,z"});
  REQUIRE(plan.points() == 6);
  CHECK(plan.name(0) == "a=1 b.c=x");
  CHECK(plan.name(1) == "a=1 b.c=y");
  CHECK(plan.name(5) == "a=2 b.c=z");
}

TEST_CASE("what is varied says a key and different values", "[cli][sweep]") {
  for (const auto* bad : {"", "a", "=1", "a=", "a=1,", "a=,1", "a=1,2,1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_axis(bad));
  }
  CHECK(parse_axis("a=b=c").value().values == std::vector<std::string>{"b=c"});
  CHECK_FALSE(sweep_plan::make("", {{"a", {"1"}}, {"a", {"2"}}}, ""));
  const std::vector<std::string> thousand(1000, "x");
  CHECK_FALSE(sweep_plan::make("", {{"a", thousand}, {"b", thousand}}, ""));
}

TEST_CASE("a sweep is another if anything of it is", "[cli][sweep]") {
  const auto id = plan_of("x", {"a=1,2"}).id();
  CHECK(id == plan_of("x", {"a=1,2"}).id());
  CHECK(id != plan_of("y", {"a=1,2"}).id());
  CHECK(id != plan_of("x", {"a=2,1"}).id());
  CHECK(id != plan_of("x", {"b=1,2"}).id());
  CHECK(id != plan_of("x", {"a=1", "b=2"}).id());
  CHECK(id == plan_of("x", {"a=1,2"}, "2").id());

  const auto run = plan_of("x", {"a=1,2"}, "1").run_id();
  CHECK(run == plan_of("x", {"a=1,2"}, "1").run_id());
  CHECK(run != plan_of("x", {"a=1,2"}, "2").run_id());
  CHECK(run != plan_of("y", {"a=1,2"}, "1").run_id());
}

TEST_CASE("a journal has what was added when it is opened again", "[cli][sweep]") {
  temporary_directory scratch;
  {
    auto journal = open_journal(scratch);
    CHECK(journal.records().empty());
    REQUIRE(journal.add("point:1", "one and more"));
    REQUIRE(journal.add("point:0", ""));
  }
  const auto again = open_journal(scratch);
  REQUIRE(again.find("point:1") != nullptr);
  CHECK(*again.find("point:1") == "one and more");
  CHECK(*again.find("point:0") == "");
  CHECK(again.find("point:2") == nullptr);
}

TEST_CASE("wherever a journal is cut off, what was whole before counts and can be added to",
          "[cli][sweep]") {
  temporary_directory scratch;
  std::vector<std::size_t> lengths;  // of the file, after each record
  {
    auto journal = open_journal(scratch);
    for (int i = 0; i < 3; ++i) {
      lengths.push_back(fs::file_size(scratch.path() / "journal"));
      REQUIRE(journal.add(fmt::format("point:{}", i), "{\"a\":1}"));
    }
    lengths.push_back(fs::file_size(scratch.path() / "journal"));
  }
  const auto whole = scratch.read("journal");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    CAPTURE(cut);
    scratch.write("journal", whole.substr(0, cut));
    const auto expected = static_cast<std::size_t>(
        std::ranges::count_if(lengths, [&](auto end) { return end <= cut && end != lengths[0]; }));
    {
      auto journal = open_journal(scratch);
      REQUIRE(journal.records().size() == expected);
      REQUIRE(journal.add("after", "more"));
    }
    const auto again = open_journal(scratch);
    CHECK(again.records().size() == expected + 1);
    CHECK(again.find("after") != nullptr);
  }
}

TEST_CASE("a journal's line that is not as it was written ends it", "[cli][sweep]") {
  temporary_directory scratch;
  {
    auto journal = open_journal(scratch);
    REQUIRE(journal.add("point:0", "1"));
    REQUIRE(journal.add("point:1", "2"));
  }
  auto text = scratch.read("journal");
  text[text.size() - 2] = '3';
  scratch.write("journal", text);
  const auto journal = open_journal(scratch);
  CHECK(journal.records().size() == 1);
  CHECK(journal.find("point:0") != nullptr);
}

TEST_CASE("a journal of something else is left alone", "[cli][sweep]") {
  temporary_directory scratch;
  {
    (void)open_journal(scratch, digest{}.add(1));
  }
  const auto before = scratch.read("journal");
  const auto other = sweep_journal::open(scratch.path(), digest{}.add(2));
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == errc::inconsistent);
  CHECK_THAT(other.error().message(), ContainsSubstring("is of another sweep"));
  CHECK(scratch.read("journal") == before);

  scratch.write("journal", "Dear diary\n");
  const auto diary = sweep_journal::open(scratch.path(), digest{});
  REQUIRE_FALSE(diary);
  CHECK(diary.error().code() == errc::malformed);
  CHECK(scratch.read("journal") == "Dear diary\n");
}

TEST_CASE("jobs run in processes of their own, and their results come back", "[cli][sweep]") {
  const std::vector<std::size_t> jobs{0, 1, 2, 3, 4, 5, 6, 7};
  const unsigned at_once = GENERATE(1U, 3U, 20U);
  std::map<std::size_t, std::string> results;
  const auto parent = getpid();
  worker_processes processes{at_once, [&](std::size_t job) -> job_result {
                               if (getpid() == parent) return fail(errc::io, "in the parent");
                               return std::string(job * 100'000, 'x') +  // more than a pipe holds
                                      std::to_string(job);
                             }};
  const auto ran =
      run_jobs(jobs, processes,
               {.done = [&](std::size_t job, job_result result) -> std::expected<void, error> {
                 results[job] = result ? *result : result.error().message();
                 return {};
               }});
  REQUIRE(ran);
  REQUIRE(results.size() == jobs.size());
  for (const auto job : jobs) {
    CHECK(results[job] == std::string(job * 100'000, 'x') + std::to_string(job));
  }
}

TEST_CASE("a job that crashes, throws or fails takes nothing with it", "[cli][sweep]") {
  const std::vector<std::size_t> jobs{0, 1, 2, 3, 4};
  std::map<std::size_t, std::string> failed;
  std::size_t succeeded = 0;
  worker_processes processes{2, [](std::size_t job) -> job_result {
                               if (job == 0) raise(SIGKILL);
                               if (job == 1) throw std::runtime_error{"thrown"};
                               if (job == 2) return fail(errc::no_memory, "failed");
                               if (job == 3) _exit(7);
                               return "fine";
                             }};
  const auto ran =
      run_jobs(jobs, processes,
               {.done = [&](std::size_t job, job_result result) -> std::expected<void, error> {
                 if (result) {
                   ++succeeded;
                 } else {
                   failed[job] = result.error().message();
                 }
                 return {};
               }});
  REQUIRE(ran);
  CHECK(succeeded == 1);
  CHECK(failed ==
        std::map<std::size_t, std::string>{{0, "its process was ended by signal 9 (Killed)"},
                                           {1, "thrown"},
                                           {2, "failed"},
                                           {3, "its process ended with status 7"}});
}

TEST_CASE("what cannot be kept ends the work, and the processes", "[cli][sweep]") {
  const std::vector<std::size_t> jobs{0, 1};
  worker_processes processes{2, [](std::size_t job) -> job_result {
                               if (job == 1) sleep(1000);
                               return "done";
                             }};
  const auto ran = run_jobs(
      jobs, processes, {.done = [](std::size_t, const job_result&) -> std::expected<void, error> {
        return fail(errc::io, "full");
      }});
  REQUIRE_FALSE(ran);
  CHECK(ran.error().message() == "full");
}

TEST_CASE("who started this process is read from the environment", "[cli][sweep]") {
  const auto launch_with = [](const std::map<std::string, std::string>& environment) {
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    const auto launch = find_mpi_launch();
    for (const auto& [name, value] : environment) unsetenv(name.c_str());
    return launch;
  };
  CHECK_FALSE(launch_with({}));
  const auto open_mpi = launch_with({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}});
  REQUIRE(open_mpi);
  CHECK(open_mpi->rank == 2);
  CHECK(open_mpi->ranks == 3);
  CHECK(launch_with({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}).value_or(mpi_launch{}).ranks == 2);
  for (const auto* bad : {"", "x", "3", "-1", "2 "}) {
    CAPTURE(bad);
    CHECK_FALSE(launch_with({{"PMI_RANK", bad}, {"PMI_SIZE", "3"}}));
  }
  CHECK_FALSE(launch_with({{"PMI_RANK", "0"}}));
}

TEST_CASE("the time left is what the rest takes at the pace so far", "[cli][sweep]") {
  using namespace std::chrono_literals;
  CHECK(time_left_text(10s, 0, 5) == "");
  CHECK(time_left_text(10s, 5, 5) == ", 11 s left");
  CHECK(time_left_text(100s, 1, 2) == ", 3 min 21 s left");
  CHECK(time_left_text(3600s, 1, 2) == ", 2 h 0 min left");
}
