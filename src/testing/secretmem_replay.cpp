// SPDX-License-Identifier: Apache-2.0
// A recording of secret memory: what its pages do to the direct map.
//
// Which frame a new page got is taken from the recording. What programs are told is simulated with
// frames of its own. What a step that takes pages without telling their frames does to the direct
// map cannot be: that is adopted, and not counted as compared.
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string_view>

#include <memsim/core/text.hpp>

#include "testing/golden_score.hpp"
#include "testing/secretmem_processes.hpp"
#include "testing/secretmem_run.hpp"

namespace memsim::testing {
namespace {

using detail::field_cursor;

// Pages are numbered through: slot after slot of a process, process after process.
constexpr std::uint64_t processes = 4;
constexpr std::uint64_t slots = 16;
constexpr std::uint64_t slot_pages = 1ULL << 32;

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

// P F I, and N for a fill.
page_range read_pages(field_cursor& in, std::string_view operation) {
  const auto process = in.number<std::uint64_t>(0, processes - 1);
  const auto slot = in.number<std::uint64_t>(0, slots - 1);
  const auto index = in.number<std::uint64_t>(0, slot_pages - 1);
  const auto count = operation == "fill" ? in.number<std::uint64_t>(0, slot_pages - index) : 1;
  const auto first = (process * slots + slot) * slot_pages + index;
  return {first, first + count};
}

// OPERATION => RESULT | COUNTERS
secretmem_step read_step(std::string_view line, std::string& problem) {
  constexpr std::string_view arrow = " => ";
  constexpr std::string_view bar = " | ";
  secretmem_step s;
  const auto result = line.find(arrow);
  const auto counters = line.rfind(bar);
  if (result == std::string_view::npos || counters == std::string_view::npos || counters < result) {
    problem = "expected 'OPERATION => RESULT | COUNTERS'";
    return s;
  }
  field_cursor does{line.substr(0, result)};
  s.operation = does.word();
  const bool touches = s.operation == "touch";
  const bool fills = s.operation == "fill";
  if (touches || fills || s.operation == "writefrom") s.pages = read_pages(does, s.operation);

  field_cursor words{line.substr(result + arrow.size(), counters - result - arrow.size())};
  while (words.ok() && !words.at_end()) {
    const auto word = words.word();
    if (touches && word.starts_with("pfn=")) {
      const auto frame = words.parse<std::uint64_t>(word.substr(4), 0, max_frame_end.value() - 1);
      if (frame != 0) s.frame = pfn{frame};
    }
    if (fills && word.starts_with("n=")) {
      s.done = words.parse<std::uint64_t>(word.substr(2), 0, boost::icl::cardinality(s.pages));
    }
  }
  field_cursor in{line.substr(counters + bar.size())};
  s.counters = read_counters(in);
  for (const auto* part : {&does, &words, &in}) {
    if (problem.empty()) problem = part->problem();
  }
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

bytes memory_of(const recorded_mappings& start) {
  const mapping_counts mapped{start.k4, start.m2, start.g1};
  return std::max(64_MiB, bytes{mapped.frames() * page_bytes});
}

// Only the recording's name says that secret memory was not enabled.
bool is_enabled(const std::string& name) {
  return !std::filesystem::path{name}.filename().string().starts_with("disabled");
}

// The operation, and what it came to.
std::pair<std::string_view, std::string_view> parts_of(std::string_view line) {
  constexpr std::string_view arrow = " => ";
  const auto at = line.find(arrow);
  const auto end = line.rfind(" | ");
  return {line.substr(0, at), line.substr(at + arrow.size(), end - at - arrow.size())};
}

std::expected<golden_result, error> replay(golden_input input, bool with_programs) {
  auto& lines = *input.lines;
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  std::unique_ptr<secretmem_run> run;
  std::unique_ptr<secretmem_processes> programs;
  while (lines.next()) {
    std::string problem;
    const auto s = read_step(lines.line(), problem);
    if (!run && s.operation != "start") return lines.malformed("the first step is not 'start'");
    if (!problem.empty()) return lines.malformed(problem);
    try {
      if (!run) {
        run = std::make_unique<secretmem_run>(layout_of(s.counters), memory_of(s.counters),
                                              s.counters);
        if (!with_programs) continue;
        programs = std::make_unique<secretmem_processes>(input.profile, memory_of(s.counters),
                                                         is_enabled(input.name));
        continue;
      }
      if (programs) {
        const auto [operation, recorded] = parts_of(lines.line());
        field_cursor words{operation};
        const auto simulated = programs->step(words, s.frame);
        words.expect_end();
        if (!words.ok()) return lines.malformed(words.problem());
        score.compare(lines.number(), std::string{recorded}, simulated);
      }
      const auto done = run->follow(s, lines.number(), score);
      if (!done) return lines.unsupported(done.error().message());
    } catch (const usage_error& e) {
      return lines.malformed(e.what());
    }
  }
  if (!run) return lines.ends_early("the step 'start'");
  result.end_state = run->state_digest();
  return result;
}

}  // namespace

std::expected<golden_result, error> replay_secretmem(golden_input input) {
  return replay(std::move(input), true);
}

std::expected<golden_result, error> replay_secretmem_mappings(golden_input input) {
  return replay(std::move(input), false);
}

}  // namespace memsim::testing
