// SPDX-License-Identifier: Apache-2.0
// A recording of secret memory: what its pages do to the direct map.
//
// Which frame a new page got is taken from the recording, and so is what a step did that takes
// pages without telling their frames; everything else is decided here.
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include <memsim/core/text.hpp>

#include "testing/direct_map_run.hpp"
#include "testing/golden_score.hpp"

namespace memsim::testing {
namespace {

using detail::field_cursor;

// Steps that may take pages of which only the number, if anything, is recorded.
constexpr std::array<std::string_view, 2> takes_unknown_pages{"fill", "writefrom"};

// OPERATION => RESULT | COUNTERS
struct step {
  std::string_view operation;
  std::optional<pfn> frame{};  // that a touched page has now
  recorded_mappings counters{};
};

// `4k=A 2M=B 1G=C l2=D l3=E`
recorded_mappings read_counters(field_cursor& in) {
  recorded_mappings c;
  const auto read = [&](std::string_view key, std::uint64_t& field) {
    const auto word = in.word();
    if (!word.starts_with(key)) in.refuse(fmt::format("expected '{}NUMBER'", key));
    if (in.ok()) field = in.parse<std::uint64_t>(word.substr(key.size()), 0, 1ULL << 40);
  };
  read("4k=", c.k4);
  read("2M=", c.m2);
  read("1G=", c.g1);
  read("l2=", c.m2_splits);
  read("l3=", c.g1_splits);
  in.expect_end();
  return c;
}

std::string text_of(const recorded_mappings& c) {
  return fmt::format("4k={} 2M={} 1G={} l2={} l3={}", c.k4, c.m2, c.g1, c.m2_splits, c.g1_splits);
}

step read_step(std::string_view line, std::string& problem) {
  constexpr std::string_view arrow = " => ";
  constexpr std::string_view bar = " | ";
  step s;
  const auto result = line.find(arrow);
  const auto counters = line.rfind(bar);
  if (result == std::string_view::npos || counters == std::string_view::npos || counters < result) {
    problem = "expected 'OPERATION => RESULT | COUNTERS'";
    return s;
  }
  s.operation = line.substr(0, line.find(' '));
  field_cursor words{line.substr(result + arrow.size(), counters - result - arrow.size())};
  while (words.ok() && !words.at_end()) {
    const auto word = words.word();
    if (!word.starts_with("pfn=")) continue;
    const auto frame = words.parse<std::uint64_t>(word.substr(4), 0, max_frame_end.value() - 1);
    if (frame != 0) s.frame = pfn{frame};
  }
  field_cursor in{line.substr(counters + bar.size())};
  s.counters = read_counters(in);
  problem = words.ok() ? in.problem() : words.problem();
  return s;
}

// The end of low memory on the recorded machines: 128 KiB below 3 GiB are the firmware's.
constexpr pfn low_memory_end{786400};
constexpr pfn high_memory_begin{1 << 20};
// The kernel protects its image at boot, which splits 2 MiB mappings from here on; the kernel
// counts each twice, because the image is mapped twice. So it is in all recordings of the direct
// map.
constexpr pfn split_image{5632};

// Makes `blocks` mappings of 2 MiB from `first` on mappings of 4 KiB.
std::vector<mapped_run> with_small(std::vector<mapped_run> runs, pfn first, std::uint64_t blocks) {
  const frame_count count = blocks * pageblock_frames;
  const auto at = std::ranges::find_if(runs, [&](const mapped_run& run) {
    return run.how.size == page_size::m2 && run.first <= first && first + count < run.end();
  });
  if (blocks == 0 || at == runs.end()) return runs;
  const auto whole = *at;
  const std::array parts{
      mapped_run{whole.first, first - whole.first, whole.how},
      mapped_run{first, count, {page_size::k4, whole.how.flags}},
      mapped_run{first + count, whole.end() - (first + count), whole.how},
  };
  runs.insert(runs.erase(at), parts.begin(), parts.end());
  std::erase_if(runs, [](const mapped_run& run) { return run.count == 0; });
  return runs;
}

// The layout at boot of the machine that counts this, by D1.
std::vector<mapped_run> layout_of(const recorded_mappings& counted) {
  const mapping_counts mapped{counted.k4, counted.m2, counted.g1};
  const pfn low_end = std::min(pfn{mapped.frames()}, low_memory_end);
  std::vector<memory_region> regions{{pfn{256}, low_end - pfn{256}, region_kind::ram}};
  if (mapped.frames() > low_end.value()) {
    regions.push_back({high_memory_begin, mapped.frames() - low_end.value(), region_kind::ram});
  }
  const auto largest = counted.g1 == 0 ? page_size::m2 : page_size::g1;
  auto runs = boot_layout(memory_map{std::move(regions)}, largest);
  frame_count small = 0;
  for (const auto& run : runs) small += run.how.size == page_size::k4 ? run.count : 0;
  const auto twice = counted.k4 > small ? (counted.k4 - small) / pageblock_frames : 0;
  return with_small(std::move(runs), split_image, twice / 2);
}

class secretmem_replay {
 public:
  explicit secretmem_replay(const recorded_mappings& start)
      : run_{layout_of(start), memory_of(start), start} {}

  // The counters after a step.
  [[nodiscard]] std::expected<recorded_mappings, error> after(const step& s) {
    const auto before = run_.counters();
    if (s.frame && s.operation == "touch") return after_touch(*s.frame, s.counters);
    if (std::ranges::find(takes_unknown_pages, s.operation) == takes_unknown_pages.end()) {
      return before;
    }
    const auto splits = s.counters.m2_splits - before.m2_splits;
    if (!are_splits(before, s.counters)) return before;
    run_.assume(s.counters);
    unknown_splits_ += splits;
    return s.counters;
  }
  [[nodiscard]] digest state_digest() const { return run_.state_digest(); }

 private:
  static bytes memory_of(const recorded_mappings& start) {
    const mapping_counts mapped{start.k4, start.m2, start.g1};
    return std::max(64_MiB, bytes{mapped.frames() * page_bytes});
  }

  // A new page leaves the direct map; one that was there before has left it already.
  std::expected<recorded_mappings, error> after_touch(pfn frame, const recorded_mappings& seen) {
    const auto before = run_.counters();
    const auto done = run_.change(frame, 1, make_invalid, change_calls::per_page);
    if (!done) return std::unexpected{done.error()};
    if (run_.counters() != before && seen == before && unknown_splits_ > 0) {
      --unknown_splits_;  // this was one of them
      run_.assume(seen);
    }
    return run_.counters();
  }

  // Whether the difference is that of some splits (D5).
  static bool are_splits(const recorded_mappings& before, const recorded_mappings& after) {
    const auto m2 = after.m2_splits - before.m2_splits;
    const auto g1 = after.g1_splits - before.g1_splits;
    return after.m2_splits >= before.m2_splits && after.g1_splits >= before.g1_splits &&
           after.k4 == before.k4 + m2 * page_table_entries &&
           after.m2 + m2 == before.m2 + g1 * page_table_entries && after.g1 + g1 == before.g1;
  }

  direct_map_run run_;
  std::uint64_t unknown_splits_ = 0;  // of 2 MiB, nobody knows where
};

}  // namespace

std::expected<golden_result, error> replay_secretmem(golden_input input) {
  auto& lines = *input.lines;
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  std::unique_ptr<secretmem_replay> run;
  while (lines.next()) {
    std::string problem;
    const auto s = read_step(lines.line(), problem);
    if (!problem.empty()) return lines.malformed(problem);
    try {
      if (!run) {
        if (s.operation != "start") return lines.malformed("the first step is not 'start'");
        run = std::make_unique<secretmem_replay>(s.counters);
        continue;
      }
      const auto counters = run->after(s);
      if (!counters) return lines.unsupported(counters.error().message());
      score.compare(lines.number(), text_of(s.counters), text_of(*counters));
    } catch (const usage_error& e) {
      return lines.malformed(e.what());
    }
  }
  if (!run) return lines.ends_early("the step 'start'");
  result.end_state = run->state_digest();
  return result;
}

}  // namespace memsim::testing
