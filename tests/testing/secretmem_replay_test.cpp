// SPDX-License-Identifier: Apache-2.0
// What of a recording of secret memory is compared, and what is adopted because nothing else can be
// known.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <memsim/testing/golden_replay.hpp>

#include "catch.hpp"
#include "testing/secretmem_mappings.hpp"

using namespace memsim;
using namespace memsim::testing;

namespace {

struct counters {
  std::uint64_t k4;
  std::uint64_t m2;
  std::uint64_t g1;
  std::uint64_t m2_splits;
  std::uint64_t g1_splits;

  [[nodiscard]] counters after(std::uint64_t of_m2, std::uint64_t of_g1 = 0) const {
    return {k4 + of_m2 * 512, m2 + of_g1 * 512 - of_m2, g1 - of_g1, m2_splits + of_m2,
            g1_splits + of_g1};
  }
};

std::string to_text(const counters& c) {
  return fmt::format("4k={} 2M={} 1G={} l2={} l3={}", c.k4, c.m2, c.g1, c.m2_splits, c.g1_splits);
}

// A machine at boot, and what was done to it.
class script {
 public:
  explicit script(const counters& start) : text_{"trace secretmem 1\nkernel 6.1\nbegin\n"} {
    add("start => ok", start);
  }
  script& add(const std::string& step, const counters& after) {
    text_ += step + " | " + to_text(after) + "\n";
    return *this;
  }
  [[nodiscard]] golden_result replayed() const {
    auto result = replay_mappings(text_);
    INFO(text_);
    REQUIRE(result);
    return *std::move(result);
  }

 private:
  std::string text_;
};

// 66 MiB. Blocks 3, 7 and 15, of the frames 2000, 4000 and 8000, are mapped large.
constexpr counters boot{1024, 31, 0, 0, 0};
// 2 GiB, of which the second is one mapping.
constexpr counters boot_with_huge{1024, 510, 1, 0, 0};

struct score {
  std::uint64_t compared;
  std::uint64_t identical;
  std::uint64_t adopted;

  friend bool operator==(const score&, const score&) = default;
};

score score_of(const golden_result& r) { return {r.compared, r.identical, r.adopted}; }

std::ostream& operator<<(std::ostream& out, const score& s) {
  return out << s.compared << " compared, " << s.identical << " identical, " << s.adopted
             << " adopted";
}

}  // namespace

SCENARIO("a page whose frame is recorded is compared", "[golden][secretmem]") {
  const auto split = boot.after(1);
  auto s = script{boot}.add("touch 0 0 0 w => ok pfn=2000", split);
  CHECK(score_of(s.add("touch 0 0 1 w => ok pfn=2001", split).replayed()) == score{2, 2, 0});
  THEN("each counter is") {
    for (auto member : {&counters::k4, &counters::m2, &counters::g1, &counters::m2_splits,
                        &counters::g1_splits}) {
      auto other = split;
      ++(other.*member);
      const auto result = script{s}.add("exit 0 => ok", other).replayed();
      CHECK(score_of(result) == score{3, 2, 0});
      REQUIRE(result.first_difference);
      CHECK(result.first_difference->line == 7);
      CHECK(result.first_difference->recorded == to_text(other));
      CHECK(result.first_difference->simulated == to_text(split));
    }
  }
  THEN("a split that was not recorded, or was recorded twice, is a difference") {
    CHECK(script{s}.add("touch 0 0 2 w => ok pfn=4000", split).replayed().identical == 2);
    CHECK(script{s}.add("touch 0 0 2 w => ok pfn=2002", boot.after(2)).replayed().identical == 2);
  }
}

SCENARIO("a gigabyte is split with the block in it", "[golden][secretmem]") {
  const std::string page = "touch 0 0 0 w => ok pfn=300000";
  CHECK(script{boot_with_huge}.add(page, boot_with_huge.after(1, 1)).replayed().passed());
  CHECK_FALSE(script{boot_with_huge}.add(page, boot_with_huge.after(0, 1)).replayed().passed());
  CHECK_FALSE(script{boot_with_huge}.add(page, boot_with_huge.after(1)).replayed().passed());
}

SCENARIO("a fill is adopted, within what its pages can do", "[golden][secretmem]") {
  const auto after_fill = [](const std::string& result, const counters& after,
                             const counters& start = boot) {
    return script{start}
        .add("memfd 0 0 => ok", start)
        .add("fill 0 0 0 9000 => " + result, after)
        .replayed();
  };
  for (const std::uint64_t splits : {0u, 1u, 3u}) {
    CHECK(score_of(after_fill("ok n=3", boot.after(splits))) == score{1, 1, 1});
  }
  CHECK(score_of(after_fill("KILLED", boot.after(31))) == score{1, 1, 1});

  GIVEN("counters that do not add up") {
    for (auto member : {&counters::k4, &counters::m2, &counters::g1, &counters::m2_splits,
                        &counters::g1_splits}) {
      auto other = boot.after(2);
      ++(other.*member);
      CHECK(score_of(after_fill("ok n=3", other)) == score{2, 1, 0});
    }
  }
  GIVEN("more splits than pages") {
    const auto result = after_fill("ok n=3", boot.after(4));
    CHECK(score_of(result) == score{2, 1, 0});
    REQUIRE(result.first_difference);
    CHECK(result.first_difference->line == 6);
    CHECK(result.first_difference->simulated ==
          to_text(boot) + ", then 0 to 3 splits of 2M and 0 to 0 of 1G");
  }
  GIVEN("no page") {
    CHECK(score_of(after_fill("SIGBUS n=0", boot)) == score{2, 2, 0});
    CHECK(score_of(after_fill("SIGBUS n=0", boot.after(1))) == score{2, 1, 0});
  }
  GIVEN("more pages than small mappings") {  // 7 * 512 < 5000 - 1024 < 8 * 512
    CHECK(score_of(after_fill("ok n=5000", boot.after(8))) == score{1, 1, 1});
    CHECK(score_of(after_fill("ok n=5000", boot.after(7))) == score{2, 1, 0});
  }
  GIVEN("merged mappings") {
    auto merged = boot;
    ++merged.m2;
    merged.k4 -= 512;
    CHECK(score_of(after_fill("ok n=3", merged)) == score{2, 1, 0});
  }
  GIVEN("a gigabyte") {
    const auto& start = boot_with_huge;
    CHECK(score_of(after_fill("ok n=3", start.after(2, 1), start)) == score{1, 1, 1});
    CHECK(score_of(after_fill("ok n=3", start.after(0, 1), start)) == score{2, 1, 0});
    auto twice = start.after(3, 1);
    ++twice.g1_splits;
    CHECK(score_of(after_fill("ok n=3", twice, start)) == score{2, 1, 0});
  }
}

SCENARIO("a split that nobody saw may show later", "[golden][secretmem]") {
  const auto one = boot.after(1);
  const auto s = script{boot}.add("fill 0 0 0 9 => ok n=3", one);
  // Block 3 may be the one, or not: either way nothing was predicted.
  const auto found = script{s}.add("touch 0 0 8 w => ok pfn=2000", one);
  const auto another = script{s}.add("touch 0 0 8 w => ok pfn=2000", boot.after(2));
  CHECK(score_of(script{found}.add("exit 0 => ok", one).replayed()) == score{1, 1, 2});
  CHECK(score_of(script{another}.add("exit 0 => ok", boot.after(2)).replayed()) == score{1, 1, 2});
  THEN("once, and then all is known again") {
    CHECK(score_of(script{found}.add("touch 0 0 7 w => ok pfn=4000", boot.after(2)).replayed()) ==
          score{1, 1, 2});
    CHECK(score_of(script{found}.add("touch 0 0 7 w => ok pfn=4000", one).replayed()) ==
          score{1, 0, 2});
  }
  THEN("more than one split of a page is none of it") {
    CHECK(score_of(script{s}.add("touch 0 0 8 w => ok pfn=2000", boot.after(3)).replayed()) ==
          score{1, 0, 1});
  }
  THEN("a page of the fill itself splits nothing any more") {
    CHECK(score_of(script{s}.add("touch 0 0 2 r => ok=7 pfn=2000", one).replayed()) ==
          score{1, 1, 1});
    CHECK(score_of(script{s}.add("touch 0 0 2 r => ok=7 pfn=2000", boot.after(2)).replayed()) ==
          score{1, 0, 1});
    // In another file it may.
    CHECK(score_of(script{s}
                       .add("memfd 0 0 => ok", one)
                       .add("touch 0 0 2 r => ok=0 pfn=2000", boot.after(2))
                       .replayed()) == score{1, 1, 2});
  }
  THEN("that of a gigabyte may, too") {
    const auto& start = boot_with_huge;
    const auto filled = script{start}
                            .add("memfd 0 0 => ok", start)
                            .add("fill 0 0 0 9 => ok n=1", start.after(1, 1));
    const std::string page = "touch 0 0 8 w => ok pfn=300000";
    for (const std::uint64_t splits : {1u, 2u}) {
      CHECK(script{filled}.add(page, start.after(splits, 1)).replayed().adopted == 2);
    }
    CHECK(script{filled}.add(page, start.after(3, 1)).replayed().identical == 1);
  }
}

SCENARIO("pages that are there before cost nothing, named or not", "[golden][secretmem]") {
  const auto one = boot.after(1);
  const auto s = script{boot}.add("touch 0 0 0 w => ok pfn=2000", one);
  CHECK(score_of(script{s}.add("writefrom 0 0 0 => ok", one).replayed()) == score{2, 2, 0});
  CHECK(score_of(script{s}.add("writefrom 0 0 0 => ok", boot.after(2)).replayed()) ==
        score{2, 1, 0});
  CHECK(score_of(script{s}.add("writefrom 0 0 1 => ok", boot.after(2)).replayed()) ==
        score{1, 1, 1});
  CHECK(score_of(script{s}.add("writefrom 0 1 0 => ok", one).replayed()) == score{1, 1, 1});
  CHECK(score_of(script{s}.add("fill 0 0 0 1 => ok n=1", one).replayed()) == score{2, 2, 0});
  CHECK(score_of(script{s}.add("fill 0 0 0 2 => ok n=2", boot.after(3)).replayed()) ==
        score{2, 1, 0});
}

SCENARIO("what was adopted shows in the digest", "[golden][secretmem]") {
  const auto filled = [](std::uint64_t splits) {
    return script{boot}
        .add("memfd 0 0 => ok", boot)
        .add("fill 0 0 0 9 => ok n=3", boot.after(splits))
        .replayed()
        .end_state;
  };
  CHECK(filled(1) == filled(1));
  CHECK(filled(1) != filled(2));
}

namespace {

struct recording {
  std::string name;
  std::vector<std::string> lines;
};

std::vector<recording> short_recordings() {
  std::vector<recording> all;
  for (const auto& entry :
       std::filesystem::directory_iterator{MEMSIM_TEST_DATA "/golden/secretmem"}) {
    std::ifstream input{entry.path()};
    recording r{entry.path().filename().string(), {}};
    for (std::string line; std::getline(input, line);) r.lines.push_back(line);
    if (r.lines.size() < 100) all.push_back(std::move(r));
  }
  return all;
}

// As if a large mapping more had been split at the step of this line.
std::string with_one_more_split(std::vector<std::string> lines, std::size_t from) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i >= from) {
      const auto bar = lines[i].rfind(" | ");
      counters c{};
      REQUIRE(std::sscanf(lines[i].c_str() + bar, " | 4k=%lu 2M=%lu 1G=%lu l2=%lu l3=%lu", &c.k4,
                          &c.m2, &c.g1, &c.m2_splits, &c.g1_splits) == 5);
      lines[i].replace(bar + 3, std::string::npos, to_text(c.after(1)));
    }
    text += lines[i] + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a split that did not happen is noticed at every step that is not adopted",
          "[golden][secretmem]") {
  const auto recordings = short_recordings();
  REQUIRE(recordings.size() >= 10);
  constexpr std::size_t header = 4;  // with the step 'start'
  for (const auto& [name, lines] : recordings) {
    CAPTURE(name);
    std::uint64_t unnoticed = 0;
    std::uint64_t adopted = 0;
    for (std::size_t i = header; i < lines.size(); ++i) {
      const auto result = replay_mappings(with_one_more_split(lines, i));
      REQUIRE(result);
      CHECK(result->compared + result->adopted == lines.size() - header);
      if (result->passed()) {
        ++unnoticed;
        adopted = result->adopted;
      } else {
        CHECK(result->first_difference->line == i + 1);
      }
    }
    CHECK(unnoticed == adopted);
  }
}

TEST_CASE("ten steps of all recordings of secret memory are adopted", "[golden][secretmem]") {
  score all{};
  for (const auto& entry :
       std::filesystem::directory_iterator{MEMSIM_TEST_DATA "/golden/secretmem"}) {
    std::ifstream input{entry.path()};
    const auto result = replay_golden(input, entry.path().string());
    REQUIRE(result);
    all.compared += result->compared;
    all.identical += result->identical;
    all.adopted += result->adopted;
  }
  CHECK(all.adopted == 10);
  CHECK(all.compared == all.identical);
}
