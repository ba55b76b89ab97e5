// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/wait.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "run_program.hpp"
#include "temporary_directory.hpp"

using namespace memsim;
using test::temporary_directory;

namespace {

namespace fs = std::filesystem;

const fs::path recordings = fs::path{MEMSIM_TEST_DATA} / "golden" / "traces";

struct outcome {
  int status = -1;
  std::string out{};
  std::string complaints{};
};

/// Runs `memsim replay` with the given arguments in a scratch directory.
outcome replay(const temporary_directory& scratch, const std::string& arguments,
               const fs::path& input = "/dev/null") {
  const std::string line = "cd " + scratch.path().string() + " && " MEMSIM_PROGRAM " replay " +
                           arguments + " < " + input.string() + " > out.txt 2> err.txt";
  const int status = std::system(line.c_str());
  return {.status = WEXITSTATUS(status),
          .out = scratch.read("out.txt"),
          .complaints = scratch.read("err.txt")};
}

std::string small_trace() { return (recordings / "small.trace").string(); }
std::string small_machine() { return (recordings / "small.zoneinfo.before").string(); }

std::string read_file(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

SCENARIO("the recorded trace is replayed on its captured machine", "[cli]") {
  temporary_directory scratch;
  const auto [status, out, complaints] = replay(scratch, small_trace() + " -o a/b");

  THEN("it succeeds, and says nothing on standard error") {
    CHECK(status == 0);
    CHECK(complaints == "");
  }
  THEN("it prints memory's state, and both sides' free lists and fallbacks") {
    CHECK_THAT(out, ContainsSubstring("Free blocks, zone Normal"));
    CHECK_THAT(out, ContainsSubstring("  Normal memsim "));
    CHECK_THAT(out, ContainsSubstring("  Normal recorded       8485  2368  630"));
    CHECK_THAT(out, ContainsSubstring("Fallbacks: none here, none in the recording"));
    CHECK_THAT(out, ContainsSubstring("Digest of the final state: "));
  }
  THEN("the directory is made and holds all results, and nothing unfinished") {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator{scratch.path() / "a/b"}) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    CHECK(names == std::vector<std::string>{"buddyinfo", "pagetypeinfo", "report.html",
                                            "results.json", "samples.csv"});
  }
  THEN("the report can be drawn anew from the results alone") {
    const auto page = scratch.read("a/b/report.html");
    scratch.write("a/b/report.html", "");
    CHECK(memsim::test::run_program(scratch, "report a/b").out == "Written to a/b: report.html\n");
    CHECK(scratch.read("a/b/report.html") == page);
  }
  THEN("results.json says how the run was made and what came out") {
    const auto results = nlohmann::json::parse(scratch.read("a/b/results.json"));
    CHECK(results["schema"] == "memsim.results/1");
    CHECK(results["run"]["profile"] == "linux_6_12");
    CHECK(results["run"]["seed"] == 1);
    CHECK(results["run"]["looked_ahead"] == true);
    CHECK(results["run"]["first_malformed"].is_null());
    CHECK(results["run"]["command"] == "memsim replay " + small_trace() + " --machine " +
                                           small_machine() + " --profile linux_6_12 --seed 1");
    CHECK(results["statistics"]["allocations"]["value"] == 7995);
    CHECK(results["comparison"]["recorded"]["buddyinfo"]["Normal"][0] == 8485);
  }
  THEN("the free lists at the end are in the kernel's own format") {
    const auto recorded = read_file(recordings / "small.buddyinfo.after");
    CHECK(scratch.read("a/b/buddyinfo") == recorded);
    CHECK_THAT(scratch.read("a/b/pagetypeinfo"), ContainsSubstring("Pages per block:  512\n"));
    CHECK_THAT(scratch.read("a/b/pagetypeinfo"), !ContainsSubstring("CMA"));
  }
  THEN("there is a sample before, one at the end, and about a hundred at most between") {
    const auto csv = scratch.read("a/b/samples.csv");
    const auto lines = std::ranges::count(csv, '\n');
    CHECK(csv.starts_with("time [s],free [MiB],"));
    CHECK(lines > 20);
    CHECK(lines < 110);
  }
}

TEST_CASE("the same replay gives the same files", "[cli][determinism]") {
  temporary_directory scratch;
  REQUIRE(replay(scratch, small_trace() + " -o first").status == 0);
  REQUIRE(replay(scratch, small_trace() + " -o second").status == 0);
  for (const auto* name : {"results.json", "samples.csv", "report.html", "buddyinfo"}) {
    CHECK(scratch.read(fs::path{"first"} / name) == scratch.read(fs::path{"second"} / name));
  }
}

TEST_CASE("a trace comes through standard input with a machine of its own", "[cli]") {
  temporary_directory scratch;
  scratch.write("machine.toml", "memory = \"24 GiB\"\ncpus = 2\nprofile = \"linux_6_1\"\n");
  const auto [status, out, complaints] = replay(
      scratch, "- --machine machine.toml --json --seed 5 --sample-every 0.05", small_trace());
  CHECK(complaints == "");
  REQUIRE(status == 0);
  const auto results = nlohmann::json::parse(out);
  CHECK(results["run"]["input"] == "standard input");
  CHECK(results["run"]["profile"] == "linux_6_1");
  CHECK(results["run"]["seed"] == 5);
  CHECK(results["run"]["looked_ahead"] == false);
  CHECK(results["comparison"]["recorded"]["buddyinfo"].is_null());
  CHECK_FALSE(fs::exists(scratch.path() / "memsim-results"));
}

TEST_CASE("results go to memsim-results unless told otherwise", "[cli]") {
  temporary_directory scratch;
  REQUIRE(replay(scratch, small_trace()).status == 0);
  const auto results = scratch.read("memsim-results/results.json");
  REQUIRE(!results.empty());
  const auto json = replay(scratch, small_trace() + " --json -o elsewhere");
  CHECK(json.out == results);
  CHECK(scratch.read("elsewhere/results.json") == results);
}

TEST_CASE("unusable input is a message, exit code 2, and no files", "[cli]") {
  temporary_directory scratch;
  const auto refused = [&](const std::string& arguments) {
    const auto result = replay(scratch, arguments + " -o out");
    CHECK(result.status == 2);
    CHECK(result.out == "");
    CHECK_FALSE(fs::exists(scratch.path() / "out"));
    return result.complaints;
  };

  SECTION("no such trace") {
    CHECK_THAT(refused("nowhere.trace"), ContainsSubstring("nowhere.trace: cannot be opened"));
  }
  SECTION("a trace without a machine") {
    scratch.write("lonely.trace", "");
    CHECK_THAT(refused("lonely.trace"), ContainsSubstring("--machine"));
  }
  SECTION("a torn line") {
    scratch.write("torn.trace",
                  "sh-1 [000] ..... 1.000001: mm_page_alloc: pfn=0x1 order=0 migratetype=0 "
                  "gfp_flags=GFP_KERNEL\n"
                  "sh-1 [000] ..... 1.000002: mm_page_alloc: pfn=oops order=0\n");
    const auto complaint = refused("torn.trace --machine " + small_machine());
    CHECK_THAT(complaint, ContainsSubstring("torn.trace:2: "));
    CHECK_THAT(complaint, ContainsSubstring("pfn=oops"));
  }
  SECTION("a machine that is none") {
    scratch.write("machine.toml", "memory = \"much\"\n");
    CHECK_THAT(refused(small_trace() + " --machine machine.toml"),
               ContainsSubstring("machine.toml:1"));
  }
  SECTION("a kernel that memsim does not know") {
    CHECK_THAT(refused(small_trace() + " --profile linux_2_4"), ContainsSubstring("linux_6_12"));
  }
  SECTION("a time that is none") {
    for (const std::string time : {"0", "nan", "-1", "inf", "1s", "2e9"}) {
      CHECK_THAT(refused(small_trace() + " --sample-every " + time),
                 ContainsSubstring("--sample-every: '" + time + "' is not a number from 1e-09 to"));
    }
  }
  SECTION("a seed that is none") {
    for (const std::string seed : {"-1", "1.5", "0x10", "18446744073709551616"}) {
      CHECK_THAT(refused(small_trace() + " --seed " + seed),
                 ContainsSubstring("--seed: '" + seed +
                                   "' is not a whole number from 0 to 18446744073709551615"));
    }
  }
  SECTION("a machine that cannot be") {
    scratch.write("cma.toml", "memory = \"64 MiB\"\n[[cma]]\nbase = 0\nsize = 4096\n");
    CHECK_THAT(refused(small_trace() + " --machine cma.toml"),
               ContainsSubstring("cma.toml: cma_areas: "));
    scratch.write("movable.toml", "memory = \"64 MiB\"\nmovable_zone = \"1 GiB\"\n");
    CHECK_THAT(refused(small_trace() + " --machine movable.toml"),
               ContainsSubstring("movable.toml: movable zone of "));
  }
  SECTION("a recording of trace-cmd") {
    scratch.write("trace.dat", "\x17\x08\x44tracing6");
    CHECK_THAT(refused("trace.dat --lenient --machine " + small_machine()),
               ContainsSubstring("trace.dat: ") && ContainsSubstring("`trace-cmd report`"));
  }
  SECTION("a directory") {
    CHECK_THAT(refused(". --machine " + small_machine()), ContainsSubstring("is a directory"));
  }
}

TEST_CASE("a torn line is counted if asked", "[cli]") {
  temporary_directory scratch;
  fs::copy_file(small_trace(), scratch.path() / "torn.trace");
  fs::permissions(scratch.path() / "torn.trace", fs::perms::owner_all);
  std::ofstream{scratch.path() / "torn.trace", std::ios::app} << "half a li\n";
  const auto result = replay(scratch, "torn.trace --lenient --json --machine " + small_machine());
  CHECK(result.status == 0);
  const auto results = nlohmann::json::parse(result.out);
  CHECK(results["statistics"]["malformed_lines"]["value"] == 1);
  CHECK_THAT(results["run"]["first_malformed"].get<std::string>(),
             ContainsSubstring("not an event: \"half a li\""));
  CHECK_THAT(results["run"]["command"].get<std::string>(), ContainsSubstring("--lenient"));
}

TEST_CASE("the recording's fallbacks are counted to the last sample, however many", "[cli]") {
  constexpr int fallbacks = 100'002;  // more than a replay keeps one by one
  temporary_directory scratch;
  std::string trace;
  for (int i = 0; i < fallbacks; ++i) {
    trace +=
        "a-1 [000] 1.0: mm_page_alloc_extfrag: pfn=0x200 alloc_order=0 fallback_order=9 "
        "alloc_migratetype=0 fallback_migratetype=1\n";
  }
  scratch.write("many.trace", trace);
  scratch.write("machine.toml", "memory = \"64 MiB\"\n");
  const auto result = replay(scratch, "many.trace --machine machine.toml -o out");
  CHECK(result.complaints == "");
  REQUIRE(result.status == 0);
  CHECK(scratch.read("out/samples.csv").ends_with(",100002\n"));
}

TEST_CASE("pagetypeinfo has a row and a column for CMA if the captured one has", "[cli]") {
  temporary_directory scratch;
  fs::copy_file(small_machine(), scratch.path() / "cma.zoneinfo.before");
  fs::copy_file(recordings / "small.buddyinfo.before", scratch.path() / "cma.buddyinfo.before");
  std::istringstream captured{read_file(recordings / "small.pagetypeinfo.before")};
  std::string text;
  bool counting_blocks = false;
  for (std::string line; std::getline(captured, line);) {
    if (line.starts_with("Number of blocks")) counting_blocks = true;
    const auto isolate = line.find("     Isolate ");
    if (counting_blocks && isolate != std::string::npos) {
      line.insert(isolate, "         CMA ");
    } else if (counting_blocks && line.starts_with("Node")) {
      line.insert(line.size() - 13, "           0 ");
    } else if (isolate != std::string::npos) {
      text += std::string{line}.replace(isolate, 13, "         CMA ") + '\n';
    }
    text += line + '\n';
  }
  scratch.write("cma.pagetypeinfo.before", text);
  scratch.write("empty.trace", "# tracer: nop\n");
  const auto result = replay(scratch, "empty.trace --machine cma.zoneinfo.before -o out");
  INFO(result.complaints);
  REQUIRE(result.status == 0);
  CHECK(scratch.read("out/pagetypeinfo") == text);
}

TEST_CASE("a trace without events is replayed with a warning", "[cli]") {
  temporary_directory scratch;
  scratch.write("empty.trace", "# tracer: nop\n");
  scratch.write("machine.toml", "memory = \"64 MiB\"\n");
  const auto result = replay(scratch, "empty.trace --machine machine.toml --json");
  CHECK(result.status == 0);
  CHECK(result.complaints ==
        "memsim replay: warning: empty.trace: no event of the page allocator in 1 lines\n");
}

TEST_CASE("a trace of unknown length has samples within bounds, the last at its end", "[cli]") {
  temporary_directory scratch;
  std::string trace;
  constexpr int events = 5000;
  for (int i = 0; i <= events; ++i) {
    trace += fmt::format("a-1 [000] {}.{}: mm_page_free_batched: page=0x1 pfn=0x200 order=0\n",
                         i / 10, i % 10);
  }
  scratch.write("long.trace", trace);
  scratch.write("machine.toml", "memory = \"64 MiB\"\n");
  REQUIRE(
      replay(scratch, "- --machine machine.toml -o out", scratch.path() / "long.trace").status ==
      0);
  const auto csv = scratch.read("out/samples.csv");
  const auto rows = std::ranges::count(csv, '\n') - 1;
  CHECK(rows > 1000);
  CHECK(rows <= 2001);
  CHECK_THAT(csv, ContainsSubstring("\n500.000000000,"));

  REQUIRE(replay(scratch, "- --machine machine.toml -o asked --sample-every 0.1",
                 scratch.path() / "long.trace")
              .status == 0);
  const auto asked = scratch.read("asked/samples.csv");
  CHECK(std::ranges::count(asked, '\n') == 1 + events + 2);
}

TEST_CASE("results that cannot be written are a message and exit code 2", "[cli]") {
  temporary_directory scratch;
  scratch.write("taken", "");
  const auto at_once = replay(scratch, small_trace() + " -o taken");
  CHECK(at_once.status == 2);
  CHECK_THAT(at_once.complaints, ContainsSubstring("taken: cannot be made"));

  // One of the files cannot take its place: none of the unfinished ones is left behind.
  fs::create_directories(scratch.path() / "out/pagetypeinfo/in-the-way");
  const auto at_the_end = replay(scratch, small_trace() + " -o out");
  CHECK(at_the_end.status == 2);
  CHECK_THAT(at_the_end.complaints, ContainsSubstring("pagetypeinfo: cannot be written"));
  for (const auto& entry : fs::directory_iterator{scratch.path() / "out"}) {
    CHECK_THAT(entry.path().filename().string(), !ContainsSubstring("unfinished"));
  }
}
