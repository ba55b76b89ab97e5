// SPDX-License-Identifier: Apache-2.0
// Does the allocator decide what the recorded kernels decided?
#include <memsim/testing/golden_replay.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <memsim/workload/golden_reader.hpp>

#include "catch.hpp"
#include "testing/secretmem_mappings.hpp"

using namespace memsim;
using namespace memsim::testing;

namespace {

std::vector<std::filesystem::path> all_recordings(const std::string& subject = "page_alloc") {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path directory = MEMSIM_TEST_DATA "/golden/" + subject;
  for (const auto& entry : std::filesystem::directory_iterator{directory}) {
    if (entry.path().extension() == ".trace") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream input{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{input}, {}};
}

std::expected<golden_result, error> replay_text(const std::string& text) {
  std::istringstream input{text};
  return replay_golden(input, "x.trace");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// A machine of 4 MiB in one block, on which two pages are taken.
const std::string small_recording =
    "trace page_alloc 1\n"
    "kernel linux-6.1.192\n"
    "begin\n"
    "S\n"
    "Z DMA idx 0 start 0 spanned 1024 present 1024 managed 1024 min 0 low 0 high 0 boost 0 free "
    "1024"
    " cma 0 highatomic 0 dfree 0 dcma 0 thr 2 flags 0 reserve 0 0 0 0\n"
    "P DMA cpu 0 count 0 high 4 batch 1 free_factor 0\n"
    "L DMA order 10 type 1: 0\n"
    "B DMA: 1*2\n"
    "F DMA: -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 -1000/0 "
    "-1000/0\n"
    "E\n"
    "a 0 0 M 0\n"
    "a 1 0 M 1\n"
    "f 0\n"
    "D\n"
    "end\n";

}  // namespace

TEST_CASE("every decision of every recorded kernel is reproduced", "[golden]") {
  struct subject {
    std::string name;
    std::size_t files;
    std::uint64_t decisions;  // of each file at least
  };
  const auto [name, least_files, least_decisions] = GENERATE(
      subject{"page_alloc", 26, 1000}, subject{"direct_map", 6, 2000}, subject{"secretmem", 14, 1},
      subject{"contig", 7, 2000}, subject{"compaction", 9, 10000}, subject{"cma", 6, 300},
      subject{"thp", 47, 8}, subject{"hugetlb", 92, 9});
  const auto files = all_recordings(name);
  REQUIRE(files.size() >= least_files);
  for (const auto& file : files) {
    std::ifstream input{file, std::ios::binary};
    const auto result = replay_golden(input, file.filename().string());
    INFO(file.filename().string());
    REQUIRE(result);
    if (const auto& d = result->first_difference) {
      FAIL_CHECK("line " << d->line << "\nrecorded:  " << d->recorded.substr(0, 500)
                         << "\nsimulated: " << d->simulated.substr(0, 500));
    }
    CHECK(result->compared >= least_decisions);
    CHECK(result->passed());
  }
}

TEST_CASE("two replays of one recording end in the same state", "[golden]") {
  const auto text = text_of(all_recordings().front());
  CHECK(replay_text(text)->end_state == replay_text(text)->end_state);
}

TEST_CASE("a recording of another decision is a difference, with both sides", "[golden]") {
  const auto same = replay_text(small_recording);
  REQUIRE(same);
  CHECK(same->passed());
  CHECK(same->compared == 2);

  const auto other = replay_text(replaced(small_recording, "a 1 0 M 1\n", "a 1 0 M 2\n"));
  REQUIRE(other);
  CHECK_FALSE(other->passed());
  CHECK(other->identical == 1);
  REQUIRE(other->first_difference);
  CHECK(other->first_difference->line == 12);
  CHECK(other->first_difference->recorded == "order 0 allocation 1: frame 2");
  CHECK(other->first_difference->simulated == "order 0 allocation 1: frame 1");
}

TEST_CASE("a fallback that did not happen, or was not recorded, is a difference", "[golden]") {
  const auto invented =
      replay_text(replaced(small_recording, "a 1 0 M 1\n", "x 5 0 10 1 0 1\na 1 0 M 1\n"));
  REQUIRE(invented);
  REQUIRE(invented->first_difference);
  CHECK(invented->first_difference->recorded == "x 5 0 10 1 0 1");
  CHECK(invented->first_difference->simulated == "(no fallback)");

  // An unmovable request has to take the movable block over.
  const auto missing = replay_text(replaced(small_recording, "a 0 0 M 0\n", "a 0 0 U 0\n"));
  REQUIRE(missing);
  REQUIRE(missing->first_difference);
  CHECK(missing->first_difference->recorded == "(no fallback)");
  CHECK(missing->first_difference->simulated == "x 0 0 10 0 1 0");
}

TEST_CASE("every field of a snapshot is compared", "[golden]") {
  const std::string snapshot = small_recording.substr(
      small_recording.find("S\n"), small_recording.find("a 0 0") - small_recording.find("S\n"));
  const auto with_second = replaced(small_recording, "a 0 0 M 0\n", snapshot + "a 0 0 M 0\n");
  const auto same = replay_text(with_second);
  REQUIRE(same);
  CHECK(same->passed());
  CHECK(same->compared == 2 + 5);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"boost 0", "boost 512"},
                                                        {"dfree 0", "dfree 1"},
                                                        {"free_factor 0", "free_factor 1"},
                                                        {"type 1: 0", "type 0: 0"},
                                                        {"B DMA: 1*2", "B DMA: 0*2"},
                                                        {"-1000/0\nE", "-1000/1\nE"}}) {
    const auto at = with_second.rfind(from);
    REQUIRE(at != std::string::npos);
    const auto changed = replay_text(std::string{with_second}.replace(at, from.size(), to));
    INFO(from);
    REQUIRE(changed);
    CHECK_FALSE(changed->passed());
  }
}

TEST_CASE("what is not a recording is refused with its line", "[golden]") {
  const auto message = [](const std::string& text) {
    const auto result = replay_text(text);
    return result ? std::string{"accepted"} : result.error().message();
  };
  CHECK_THAT(message(""), ContainsSubstring("x.trace:1: the file ends before its first line"));
  std::string endless = "trace page_alloc 1\nkernel 6.1\nscenario ";
  endless.append(20 << 20, 'x');
  CHECK_THAT(message(endless),
             ContainsSubstring("x.trace:3: longer than 16777216 bytes: scenario xxx"));
  CHECK_THAT(message("hello"), ContainsSubstring("x.trace:1: this is not a recording"));
  CHECK_THAT(message("hello\n"), ContainsSubstring("x.trace:1: this is not a recording"));
  CHECK_THAT(message("trace swap 1\n"),
             ContainsSubstring("recordings of page_alloc, direct_map, secretmem"));
  CHECK_THAT(message(replaced(small_recording, "end\n", "")), ContainsSubstring("ends before"));
  CHECK_THAT(message(replaced(small_recording, "f 0\n", "f 7\n")),
             ContainsSubstring("x.trace:13: ID 7 is not allocated"));
  CHECK_THAT(message(replaced(small_recording, "a 1 0", "a 0 0")),
             ContainsSubstring("x.trace:12: ID 0 is not new"));
  CHECK_THAT(message(replaced(small_recording, "a 1 0", "a 1 11")),
             ContainsSubstring("'11' is not a number from 0 to 10"));
  CHECK_THAT(message(replaced(small_recording, "a 1 0 M", "a 1 0 Q")),
             ContainsSubstring("x.trace:12: GFP letters 'Q': allowed are U, M, R, k, h, t, d"));
  CHECK_THAT(message(replaced(small_recording, "free 1024", "free 1000")),
             ContainsSubstring("the lists hold 1024"));
  CHECK_THAT(message(replaced(small_recording, "type 1: 0", "type 1: 0 0")),
             ContainsSubstring("in two places"));
  CHECK_THAT(message(replaced(small_recording, "type 1: 0", "type 1: 512")),
             ContainsSubstring("frame 512 on a free list lies outside the zone"));
  CHECK_THAT(message(replaced(small_recording, "order 10 type 1: 0", "order 9 type 1: 256")),
             ContainsSubstring("not aligned to its 512 frames"));
  CHECK_THAT(message(replaced(small_recording, "batch 1", "batch 0")),
             ContainsSubstring("batch is 0"));
  CHECK_THAT(message(replaced(small_recording, "linux-6.1.192", "linux")),
             ContainsSubstring("x.trace: 'linux' is not a kernel release"));
  for (const auto* unknown : {"linux-5.4.1", "linux-6.10", "linux-6.125", "7.0"}) {
    CHECK_THAT(message(replaced(small_recording, "linux-6.1.192", unknown)),
               ContainsSubstring(fmt::format("x.trace: no rules of kernel '{}'", unknown)) &&
                   ContainsSubstring("linux_6_1 and linux_6_12"));
  }
  CHECK(message(replaced(small_recording, "linux-6.1.192", "6.1-rc1")) == "accepted");
  CHECK(message(replaced(replaced(small_recording, "a 0 0 M 0\na 1 0 M 1\n", ""), "f 0\n", "")) ==
        "x.trace: no decision to compare comes after the first snapshot");
}

namespace {

// 4 MiB and two pages: one 2 MiB page is split by a hole, one is made read-only as it is.
const std::string small_direct_map =
    "trace direct_map 1\n"
    "kernel linux-6.12.117\n"
    "machine memory_mb=64\n"
    "begin\n"
    "map\n"
    "T 2 1 1 512 1024\n"
    "T 1 1 1 1536 2\n"
    "endmap\n"
    "m 10 2 0 5 1\n"
    "n 513 1 522 1 0 6 1\n"
    "o 1024 512 522 1 0 6 1\n"
    "map\n"
    "T 1 1 1 512 1\n"
    "T 1 0 0 513 1\n"
    "T 1 1 1 514 510\n"
    "T 2 1 0 1024 512\n"
    "T 1 1 1 1536 2\n"
    "endmap\n"
    "end\n";

const std::string small_secretmem =
    "trace secretmem 1\n"
    "kernel linux-6.1.192\n"
    "begin\n"
    "start => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "touch 0 0 0 w => ok pfn=2000 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 0 r => ok=1 pfn=2000 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 9 r => SIGBUS pfn=0 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "fill 0 0 1 9 => ok n=9 | 4k=2560 2M=28 1G=0 l2=3 l3=0\n"
    "touch 0 0 10 w => ok pfn=4000 | 4k=2560 2M=28 1G=0 l2=3 l3=0\n"
    "touch 0 0 11 w => ok pfn=8000 | 4k=3072 2M=27 1G=0 l2=4 l3=0\n";

std::string message_of(const std::string& text) {
  const auto result = replay_text(text);
  return result ? std::string{"accepted"} : result.error().message();
}

}  // namespace

TEST_CASE("the allocator's records are not looked for in another recording", "[golden]") {
  std::istringstream input{replaced(small_recording, "page_alloc", "direct_map")};
  const auto reader = golden_reader::open(input, "x.trace");
  REQUIRE_FALSE(reader);
  CHECK(reader.error().code() == errc::unsupported);
  CHECK_THAT(reader.error().message(),
             ContainsSubstring("x.trace:") &&
                 ContainsSubstring("a recording of 'direct_map', not of the page allocator"));
}

TEST_CASE("a recording of the direct map is compared step by step", "[golden][direct_map]") {
  const auto same = replay_text(small_direct_map);
  REQUIRE(same);
  CHECK(same->passed());
  CHECK(same->compared == 2 + 5);

  const auto kept = replay_text(replaced(small_direct_map, "522 1 0 6 1\no", "10 2 0 5 1\no"));
  REQUIRE(kept);
  REQUIRE(kept->first_difference);
  CHECK(kept->identical == kept->compared - 1);
  CHECK(kept->first_difference->line == 10);
  CHECK(kept->first_difference->recorded == "10 2 0 5 1");
  CHECK(kept->first_difference->simulated == "522 1 0 6 1");

  const auto writable = replay_text(replaced(small_direct_map, "T 2 1 0 1024", "T 2 1 1 1024"));
  REQUIRE(writable);
  REQUIRE(writable->first_difference);
  CHECK(writable->first_difference->recorded == "T 2 1 1 1024 512");
  CHECK(writable->first_difference->simulated == "T 2 1 0 1024 512");
}

TEST_CASE("what is no recording of the direct map is refused", "[golden][direct_map]") {
  const auto changed = [](const std::string& from, const std::string& to) {
    return message_of(replaced(small_direct_map, from, to));
  };
  CHECK_THAT(changed("begin\nmap\n", "begin\n"),
             ContainsSubstring("the first record is not a map"));
  CHECK_THAT(changed("T 2 1 1 512", "T 4 1 1 512"),
             ContainsSubstring("x.trace:6: '4' is not a number from 1 to 3"));
  CHECK_THAT(changed("T 2 1 1 512", "T 2 1 1 511"), ContainsSubstring("not of whole pages of 2M"));
  CHECK_THAT(changed("n 513 1", "n 5000 1"), ContainsSubstring("frame 5000 is not mapped"));
  CHECK_THAT(changed("n 513 1", "n 513 0"), ContainsSubstring("x.trace:10: '0' is not a number"));
  CHECK_THAT(changed("n 513 1", "q 513 1"), ContainsSubstring("x.trace:10: no such record"));
  CHECK_THAT(changed("m 10", "k 10"), ContainsSubstring("x.trace:9: expected 'm'"));
  CHECK_THAT(changed("endmap\nend\n", "endmap\n"), ContainsSubstring("ends before"));
  CHECK_THAT(changed("endmap\nend\n", ""), ContainsSubstring("ends before"));
}

namespace {

std::string mappings_message_of(const std::string& text) {
  const auto result = replay_mappings(text);
  return result ? std::string{"accepted"} : result.error().message();
}

}  // namespace

TEST_CASE("a recording of secret memory is compared in its direct map", "[golden][secretmem]") {
  const auto same = replay_mappings(small_secretmem);
  REQUIRE(same);
  CHECK(same->first_difference.has_value() == false);
  // The fill, and the two touches that may have met what it split, cannot be predicted.
  CHECK(same->compared == 3);
  CHECK(same->adopted == 3);

  THEN("a split that was not recorded is a difference") {
    const auto unsplit = replay_mappings(
        replaced(small_secretmem, "4k=3072 2M=27 1G=0 l2=4", "4k=2560 2M=28 1G=0 l2=3"));
    REQUIRE(unsplit);
    // One of the two blocks that the fill split is not known yet: this may be it.
    CHECK(unsplit->passed());
    const auto third = replay_mappings(
        replaced(small_secretmem, "4k=3072 2M=27 1G=0 l2=4", "4k=2560 2M=28 1G=0 l2=3") +
        "touch 0 0 12 w => ok pfn=9000 | 4k=2560 2M=28 1G=0 l2=3 l3=0\n");
    REQUIRE(third);
    REQUIRE(third->first_difference);
    CHECK(third->first_difference->simulated == "4k=3072 2M=27 1G=0 l2=4 l3=0");
  }
  THEN("a fill whose counters do not add up is a difference") {
    const auto lost =
        replay_mappings(replaced(small_secretmem, "ok n=9 | 4k=2560", "ok n=9 | 4k=2559"));
    REQUIRE(lost);
    REQUIRE(lost->first_difference);
    CHECK(lost->first_difference->line == 8);
  }
  THEN("what is no such recording is refused") {
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "start", "touch")),
               ContainsSubstring("x.trace:4: the first step is not 'start'"));
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "2M=30", "2M=x")),
               ContainsSubstring("x.trace:5: 'x' is not a number"));
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "pfn=2000", "pfn=99999999")),
               ContainsSubstring("frame 99999999 leaves the direct map"));
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "fill 0 0 1 9", "fill 0 0 1")),
               ContainsSubstring("x.trace:8: the line ends early"));
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "fill 0 0 1 9", "fill 0 16 1 9")),
               ContainsSubstring("x.trace:8: '16' is not a number from 0 to 15"));
    CHECK_THAT(mappings_message_of(replaced(small_secretmem, "ok n=9", "ok n=10")),
               ContainsSubstring("x.trace:8: '10' is not a number from 0 to 9"));
    CHECK_THAT(mappings_message_of(small_secretmem + "exit 0\n"),
               ContainsSubstring("expected 'OPERATION => RESULT | COUNTERS'"));
    CHECK_THAT(mappings_message_of("trace secretmem 1\nkernel 6.1\nbegin\n"),
               ContainsSubstring("'start'"));
  }
}

// What programs are told is compared, too: here one that has a file, and reads what it wrote.
const std::string small_programs =
    "trace secretmem 1\n"
    "kernel linux-6.1.192\n"
    "begin\n"
    "start => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "rlimit 0 2 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "memfd 0 0 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "ftruncate 0 0 9 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "mmap 0 0 0 8 => ok | 4k=1024 2M=31 1G=0 l2=0 l3=0\n"
    "touch 0 0 0 w 5 => ok pfn=2000 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 0 r => ok=5 pfn=2000 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 1 w => ok pfn=2001 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 2 w => SIGBUS pfn=0 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"
    "touch 0 0 8 r => SIGSEGV pfn=0 | 4k=1536 2M=30 1G=0 l2=1 l3=0\n";

TEST_CASE("what programs with secret memory are told is compared", "[golden][secretmem]") {
  const auto same = replay_text(small_programs);
  REQUIRE(same);
  CHECK(same->passed());
  CHECK(same->compared == 2 * 9);
  struct change {
    std::string from;
    std::string to;
    std::string simulated;
  };
  const auto [from, to, simulated] =
      GENERATE(change{"ok=5 pfn=2000", "ok=6 pfn=2000", "ok=5 pfn=2000"},
               change{"ok=5 pfn=2000", "ok=5 pfn=2003", "ok=5 pfn=2000"},
               change{"ftruncate 0 0 9 => ok", "ftruncate 0 0 9 => EINVAL", "ok"},
               change{"2 w => SIGBUS pfn=0", "2 w => ok pfn=2002", "SIGBUS pfn=0"},
               change{"SIGSEGV", "SIGBUS", "SIGSEGV pfn=0"});
  const auto other = replay_text(replaced(small_programs, from, to));
  REQUIRE(other);
  REQUIRE(other->first_difference);
  CHECK(other->first_difference->simulated == simulated);
  CHECK_THAT(message_of(small_programs + "bogus 0 0 0 => ok | 4k=1536 2M=30 1G=0 l2=1 l3=0\n"),
             ContainsSubstring("x.trace:14: no operation 'bogus'"));
}
