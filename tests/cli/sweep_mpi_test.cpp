// SPDX-License-Identifier: Apache-2.0
// memsim sweep under mpirun.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <memsim/core/random.hpp>

#include "catch.hpp"
#include "run_program.hpp"
#include "sweep_tables.hpp"

using namespace memsim;
using namespace memsim::test;
using namespace std::chrono_literals;
using test::run_command;
using test::run_program;
using test::temporary_directory;

namespace {

/// mpirun as it works for root, in a container, on a host of few cores; its own files are in the
/// scratch directory.
std::string mpirun(const temporary_directory& scratch, unsigned ranks) {
  return fmt::format(
      "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
      " OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none"
      // hwloc complains where there is no sysfs.
      " HWLOC_HIDE_ERRORS=2"
      " OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none"
      " OMPI_MCA_btl_vader_backing_directory={0} OMPI_MCA_orte_tmpdir_base={0}"
      " " MEMSIM_MPIRUN " -n {1} " MEMSIM_PROGRAM,
      scratch.path().string(), ranks);
}

std::size_t times(const std::string& part, const std::string& text) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The processes that a process has started, as far as they are still there.
std::vector<pid_t> children_of(pid_t process) {
  std::ifstream file{fmt::format("/proc/{0}/task/{0}/children", process)};
  return {std::istream_iterator<pid_t>{file}, {}};
}

bool is_there(pid_t process) {
  std::ifstream file{fmt::format("/proc/{}/stat", process)};
  std::string number;
  std::string name;
  std::string state;
  return file >> number >> name >> state && state != "Z";
}

template <class Condition>
bool comes_true(Condition condition, std::chrono::milliseconds within) {
  for (auto left = within; left > 0ms; left -= 5ms) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return condition();
}

/// An mpirun at work.
class running_ranks {
 public:
  running_ranks(const temporary_directory& scratch, unsigned ranks, const std::string& arguments) {
    const auto line = "cd " + scratch.path().string() + " && exec > out.txt 2> err.txt " +
                      mpirun(scratch, ranks) + " " + arguments;
    const char* command[] = {"sh", "-c", line.c_str(), nullptr};
    REQUIRE(posix_spawnp(&process_, "sh", nullptr, nullptr, const_cast<char**>(command), environ) ==
            0);
  }

  [[nodiscard]] pid_t process() const { return process_; }
  [[nodiscard]] std::vector<pid_t> ranks() const { return children_of(process_); }
  /// -1 if it was killed, or had to be.
  [[nodiscard]] int wait(std::chrono::seconds longest) const {
    int status = 0;
    if (!comes_true([&] { return waitpid(process_, &status, WNOHANG) == process_; }, longest)) {
      kill(process_, SIGKILL);
      waitpid(process_, &status, 0);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = -1;
};

}  // namespace

TEST_CASE("a sweep in ranks writes the tables that it writes alone", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  REQUIRE(run_program(scratch, "sweep s.toml -o alone" + points).status == 0);
  const auto [ranks, jobs] =
      GENERATE(table<unsigned, std::string>({{1U, ""}, {3U, ""}, {3U, " -j 2"}, {2U, " -j 20"}}));
  CAPTURE(ranks, jobs);
  const auto done =
      run_command(scratch, mpirun(scratch, ranks), "sweep s.toml -o out" + points + jobs);
  CHECK(done.complaints == "");
  CHECK(done.status == 0);
  CHECK(times("24 points, 0 failed\n", done.out) == 1);
  CHECK((read_tables(scratch, "out") == read_tables(scratch, "alone")));
}

TEST_CASE("a sweep whose mpirun or ranks are killed ends in the same tables", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto slow_points = points + " --vary ageing.turnover=10";
  REQUIRE(run_program(scratch, "sweep s.toml -o undisturbed" + slow_points).status == 0);
  random_stream random{1, "sweep under mpirun"};
  std::size_t records = 0;
  int kills = 0;
  for (; kills < 8 && records < 18; ++kills) {  // with some left to be killed at
    const running_ranks running{scratch, 3, "sweep s.toml -o killed" + slow_points};
    const auto victim = random.below(3);
    const bool is_rank = kills % 2 == 1;
    // Ranks once they are at work: an mpirun may wait for ever for one that dies before.
    const auto wanted = records + (is_rank ? 1 : 0) + random.below(2);
    const auto is_time = [&] {
      return running.ranks().size() == 3 && lines_of(scratch.read("killed/journal")) >= wanted;
    };
    CHECK(comes_true(is_time, 20s));
    std::this_thread::sleep_for(std::chrono::microseconds{random.below(30'000)});
    const auto ranks = running.ranks();
    kill(is_rank && victim < ranks.size() ? ranks[victim] : running.process(), SIGKILL);
    (void)running.wait(5s);
    for (const auto rank : ranks) CHECK(comes_true([&] { return !is_there(rank); }, 10s));
    const auto now = lines_of(scratch.read("killed/journal"));
    CHECK(now >= records);  // nothing that was finished is lost
    records = now;
  }
  const auto finished =
      run_command(scratch, mpirun(scratch, 3), "sweep s.toml -o killed" + slow_points);
  CHECK(finished.status == 0);
  CHECK((read_tables(scratch, "killed") == read_tables(scratch, "undisturbed")));
  // A heading, the columns, and no point twice.
  CHECK(lines_of(scratch.read("killed/journal")) == 2 + 24);
}

TEST_CASE("ranks and their points end when mpirun is killed", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const running_ranks running{
      scratch, 2, "sweep s.toml --vary machine.memory='1 GiB' --vary ageing.turnover=999,1000"};
  std::vector<pid_t> at_work;
  const auto both_at_work = [&] {
    at_work.clear();
    for (const auto rank : running.ranks()) {
      std::ranges::copy(children_of(rank), std::back_inserter(at_work));
    }
    return at_work.size() == 2;
  };
  REQUIRE(comes_true(both_at_work, 20s));
  const auto ranks = running.ranks();
  kill(running.process(), SIGKILL);
  CHECK(running.wait(5s) == -1);
  for (const auto rank : ranks) CHECK(comes_true([&] { return !is_there(rank); }, 3s));
  for (const auto child : at_work) CHECK(comes_true([&] { return !is_there(child); }, 3s));
}

TEST_CASE("a point that fails in a rank does not keep the others from their results",
          "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const std::string arguments =
      "sweep s.toml --vary machine.tuning.min_free_kbytes=1024,60000,2048 -o ";
  REQUIRE(run_program(scratch, arguments + "alone").status == 1);
  const auto done = run_command(scratch, mpirun(scratch, 3), arguments + "out");
  CHECK(done.status == 1);
  CHECK(times("3 points, 1 failed", done.out) == 1);
  CHECK((read_tables(scratch, "out") == read_tables(scratch, "alone")));
}

TEST_CASE("a point whose process is killed fails, and its rank goes on", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const running_ranks running{
      scratch, 2, "sweep s.toml --vary 'machine.memory=64 MiB,65 MiB,66 MiB,67 MiB,8 GiB' -o out"};
  std::vector<pid_t> at_work;
  const auto last_points = [&] {
    at_work.clear();
    for (const auto rank : running.ranks())
      std::ranges::copy(children_of(rank), std::back_inserter(at_work));
    return lines_of(scratch.read("out/journal")) == 2 + 4 && at_work.size() == 1;
  };
  REQUIRE(comes_true(last_points, 20s));
  kill(at_work.front(), SIGKILL);
  CHECK(running.wait(60s) == 1);
  CHECK_THAT(scratch.read("out.txt"),
             ContainsSubstring("failed: its process was ended by signal 9 (Killed)"));
  CHECK_THAT(scratch.read("out.txt"), ContainsSubstring("5 points, 1 failed"));
}

TEST_CASE("of all ranks one says why a sweep cannot be", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    CAPTURE(arguments);
    const auto done = run_command(scratch, mpirun(scratch, 3), "sweep " + arguments);
    CAPTURE(done.complaints);
    CHECK(done.status == 2);
    CHECK(times("memsim", done.out) == 0);
    CHECK(times(why, done.complaints) == 1);
    CHECK(times("MPI_ABORT", done.complaints) == 0);
  };
  refused("none.toml --vary seed=1", "none.toml: cannot be opened");
  refused("s.toml --vary seed=1,1", "1 is there twice");
  refused("s.toml --vary ageing.occupancy=0.5,5", "ageing.occupancy = 5: allowed are");
  refused("s.toml --vary seed=1 -j 0", "'0' is not a whole number from 1 to 4096");
  refused("s.toml --vary seed=1 -o s.toml", "s.toml: cannot be made");
}

TEST_CASE("ranks that were started with other options refuse to work", "[cli][sweep][mpi]") {
  temporary_directory scratch;
  scratch.write("s.toml", scenario_text);
  const auto done = run_command(scratch, mpirun(scratch, 1),
                                "sweep s.toml --vary seed=1,2 : -n 1 " MEMSIM_PROGRAM
                                " sweep s.toml --vary seed=3,4");
  CHECK(done.status == 2);
  CHECK_THAT(done.complaints,
             ContainsSubstring("memsim sweep: rank 1: runs another version of memsim, "
                               "or was started with other options"));
}
