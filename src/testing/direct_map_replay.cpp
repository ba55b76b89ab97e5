// SPDX-License-Identifier: Apache-2.0
// A recording of the direct map: the kernel's counters after every change, and the map at the end.
#include <algorithm>
#include <optional>

#include <memsim/core/text.hpp>

#include "testing/direct_map_run.hpp"
#include "testing/golden_score.hpp"

namespace memsim::testing {
namespace {

using detail::field_cursor;
using detail::line_source;

// The kernel's four verbs (D7).
struct verb {
  std::string_view letter;
  mapping_change how;
  change_calls calls;
};
constexpr std::array verbs{
    verb{"n", make_invalid, change_calls::per_page},
    verb{"p", make_default, change_calls::per_page},
    verb{"o", make_read_only, change_calls::one_call},
    verb{"w", make_writable, change_calls::one_call},
};

pfn read_frame(field_cursor& in) {
  return pfn{in.number<std::uint64_t>(0, max_frame_end.value() - 1)};
}

// K4 K2M K1G S2M S1G
recorded_mappings read_counters(field_cursor& in) {
  recorded_mappings c;
  for (auto* field : {&c.k4, &c.m2, &c.g1, &c.m2_splits, &c.g1_splits}) {
    *field = in.number<std::uint64_t>();
  }
  return c;
}

std::string text_of(const recorded_mappings& c) {
  return fmt::format("{} {} {} {} {}", c.k4, c.m2, c.g1, c.m2_splits, c.g1_splits);
}

// T LEVEL PRESENT WRITABLE START_PFN PAGES
mapped_run read_run(field_cursor& in) {
  mapped_run run;
  in.expect("T");
  run.how.size = static_cast<page_size>(in.number<unsigned>(1, 3) - 1u);
  if (in.number<unsigned>(0, 1) == 1) run.how.flags = mapping_flag::present;
  if (in.number<unsigned>(0, 1) == 1) run.how.flags = run.how.flags | mapping_flag::writable;
  run.first = read_frame(in);
  run.count = in.number<std::uint64_t>(1, max_frame_end.value() - run.first.value());
  return run;
}

std::string text_of(const mapped_run& run) {
  return fmt::format("T {} {:d} {:d} {} {}", static_cast<unsigned>(run.how.size) + 1,
                     run.how.flags.has(mapping_flag::present),
                     run.how.flags.has(mapping_flag::writable), run.first, run.count);
}

// Lines up to and with `endmap`, with the number of the first.
struct recorded_map {
  std::uint64_t first_line = 0;
  std::vector<mapped_run> runs;
};

std::expected<recorded_map, error> read_map(line_source& lines) {
  recorded_map map{.first_line = lines.number() + 1};
  while (lines.next()) {
    if (lines.line() == "endmap") return map;
    field_cursor in{lines.line()};
    map.runs.push_back(read_run(in));
    in.expect_end();
    if (!in.ok()) return lines.malformed(in.problem());
  }
  return lines.ends_early("the line 'endmap' of a map");
}

void compare_maps(golden_score& score, const recorded_map& recorded, const direct_map& map) {
  static const std::string missing = "(no such line)";
  const auto ours = map.runs();
  const auto& theirs = recorded.runs;
  for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    score.compare(recorded.first_line + i, i < theirs.size() ? text_of(theirs[i]) : missing,
                  i < ours.size() ? text_of(ours[i]) : missing);
  }
}

// The map and the counters that a recording starts from.
std::expected<std::unique_ptr<direct_map_run>, error> read_start(golden_input& input) {
  auto& lines = *input.lines;
  if (!lines.next()) return lines.ends_early("the map at the start");
  if (lines.line() != "map") return lines.malformed("the first record is not a map");
  const auto map = read_map(lines);
  if (!map) return std::unexpected{map.error()};
  if (map->runs.empty()) return lines.malformed("the map is empty");
  if (!lines.next()) return lines.ends_early("the counters at the start");
  field_cursor in{lines.line()};
  in.expect("m");
  const auto counters = read_counters(in);
  in.expect_end();
  if (!in.ok()) return lines.malformed(in.problem());
  constexpr bytes least = 64_MiB;  // room for page tables
  try {
    return std::make_unique<direct_map_run>(map->runs, std::max(least, input.header.memory),
                                            counters);
  } catch (const usage_error& e) {
    return lines.malformed(e.what());
  }
}

}  // namespace

std::expected<golden_result, error> replay_direct_map(golden_input input) {
  auto& lines = *input.lines;
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  const auto start = read_start(input);
  if (!start) return std::unexpected{start.error()};
  auto& run = **start;

  while (lines.next()) {
    if (lines.line() == "end") {
      result.end_state = run.state_digest();
      return result;
    }
    if (lines.line() == "map") {
      const auto map = read_map(lines);
      if (!map) return std::unexpected{map.error()};
      compare_maps(score, *map, run.map());
      continue;
    }
    field_cursor in{lines.line()};
    const auto letter = in.word();
    const auto* const found = std::ranges::find(verbs, letter, &verb::letter);
    if (found == verbs.end()) in.refuse("no such record");
    const pfn first = read_frame(in);
    const auto count = in.number<std::uint64_t>(1, max_frame_end.value() - first.value());
    const auto recorded = read_counters(in);
    in.expect_end();
    if (!in.ok()) return lines.malformed(in.problem());
    try {
      if (const auto done = run.change(first, count, found->how, found->calls); !done) {
        return lines.unsupported(done.error().message());
      }
    } catch (const usage_error& e) {
      return lines.malformed(e.what());
    }
    score.compare(lines.number(), text_of(recorded), text_of(run.counters()));
  }
  return lines.ends_early("the line 'end'");
}

}  // namespace memsim::testing
