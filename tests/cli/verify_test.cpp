// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "run_program.hpp"

using namespace memsim;
using test::run_program;
using test::temporary_directory;

namespace {

// A machine of 4 MiB in one block, on which two pages are taken.
std::string recording(const std::string& second_block,
                      const std::string& kernel = "linux-6.1.192") {
  return "trace page_alloc 1\nkernel " + kernel +
         "\nbegin\nS\n"
         "Z DMA idx 0 start 0 spanned 1024 present 1024 managed 1024 min 0 low 0 high 0 boost 0 "
         "free "
         "1024 cma 0 highatomic 0 dfree 0 dcma 0 thr 2 flags 0 reserve 0 0 0 0\n"
         "P DMA cpu 0 count 0 high 4 batch 1 free_factor 0\n"
         "L DMA order 10 type 1: 0\n"
         "B DMA: 1*2\n"
         "F DMA: -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 "
         "-1000/0\n"
         "E\n"
         "a 0 0 M 0\na 1 0 M " +
         second_block + "\nend\n";
}

}  // namespace

SCENARIO("recordings are verified, a line each, whatever becomes of them", "[cli]") {
  temporary_directory scratch;
  scratch.write("same.trace", recording("1"));
  scratch.write("other.trace", recording("2"));
  scratch.write("old.trace", recording("1", "linux-5.4.1"));
  scratch.write("torn.trace", recording("1").substr(0, 300));
  std::filesystem::create_directory(scratch.path() / "directory");

  WHEN("all of them are asked for") {
    const auto [status, out, complaints] = run_program(
        scratch, "verify old.trace directory torn.trace other.trace nowhere.trace same.trace");
    INFO(out);
    THEN("each has its line, then there is the score, and nothing else") {
      CHECK(status == 2);
      CHECK(complaints == "");
      CHECK(std::ranges::count(out, '\n') == 7);
      CHECK_THAT(out, ContainsSubstring("old.trace: unreadable: no rules of kernel 'linux-5.4.1'"));
      CHECK_THAT(out, ContainsSubstring("\ndirectory: unreadable: is a directory, not a file\n"));
      CHECK_THAT(out, ContainsSubstring("\ntorn.trace: unreadable: torn.trace:"));
      CHECK_THAT(
          out, ContainsSubstring("\nother.trace: 2 decisions compared, 1 identical, first "
                                 "difference at line 12: recorded \"order 0 allocation 1: frame "
                                 "2\", simulated \"order 0 allocation 1: frame 1\" (linux_6_1, "));
      CHECK_THAT(out, ContainsSubstring("\nnowhere.trace: unreadable: cannot be opened: No such "
                                        "file or directory\n"));
      CHECK_THAT(out, ContainsSubstring("\nsame.trace: 2 decisions compared, 2 identical (linux_"));
      CHECK(out.ends_with("\n1 passed, 5 failed\n"));
    }
  }
  WHEN("none is unreadable") {
    THEN("a difference is exit status 1, none is 0") {
      CHECK(run_program(scratch, "verify same.trace other.trace").status == 1);
      CHECK(run_program(scratch, "verify same.trace").status == 0);
    }
  }
  WHEN("JSON is asked for") {
    const auto json =
        nlohmann::json::parse(run_program(scratch, "verify --json other.trace old.trace").out);
    THEN("it has a schema and both files") {
      CHECK(json["schema"] == "memsim.verify/1");
      CHECK(json["failed"] == 2);
      CHECK(json["files"][0]["first_difference"]["line"] == 12);
      CHECK_THAT(json["files"][1]["error"].get<std::string>(), ContainsSubstring("old.trace: "));
    }
  }
}

SCENARIO("what was adopted is not passed off as compared", "[cli]") {
  temporary_directory scratch;
  scratch.write("fill.trace",
                "trace secretmem 1\nkernel 6.1\nbegin\n"
                "start => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
                "memfd 0 0 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
                "ftruncate 0 0 9 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
                "mmap 0 0 0 9 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
                "fill 0 0 0 9 => ok n=9 | 4k=2048 2M=29 1G=0 l2=2 l3=0\n");
  scratch.write("same.trace", recording("1"));
  CHECK_THAT(run_program(scratch, "verify fill.trace").out,
             ContainsSubstring("fill.trace: 7 decisions compared, 7 identical, 1 steps adopted "
                               "(not simulated) (linux_6_1, "));
  const auto json =
      nlohmann::json::parse(run_program(scratch, "verify --json fill.trace same.trace").out);
  CHECK(json["files"][0]["compared"] == 7);
  CHECK(json["files"][0]["adopted"] == 1);
  CHECK(json["files"][1]["adopted"] == 0);
}

// The sanitizers' own memory leaves no room below any limit.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("a machine too large for this host does not end the verification", "[cli]") {
  temporary_directory scratch;
  const std::uint64_t frames = (1ULL << 32) - (1ULL << 21);
  auto large = recording("1");
  const auto replace = [&](const std::string& from, const std::string& to) {
    large.replace(large.find(from), from.size(), to);
  };
  replace("spanned 1024", "spanned " + std::to_string(frames));
  replace("1*2", "1*" + std::to_string(frames / 512));
  scratch.write("large.trace", large);
  scratch.write("same.trace", recording("1"));
  const auto result = run_program(scratch, "verify large.trace same.trace", "ulimit -v 1000000");
  CHECK(result.status == 2);
  CHECK(result.complaints == "");
  CHECK_THAT(result.out,
             ContainsSubstring("large.trace: unreadable: this host has not the memory for it\n"));
  CHECK(result.out.ends_with("\n1 passed, 1 failed\n"));
}
#endif
