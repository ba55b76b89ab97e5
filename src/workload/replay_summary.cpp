// SPDX-License-Identifier: Apache-2.0
// A replay's summary as statistics and as text.
#include <memsim/workload/replay.hpp>

namespace memsim {
namespace {

struct event_description {
  std::string_view name;
  std::string_view description;
};

// By trace_event_kind.
constexpr std::array<event_description, trace_event_kinds> event_descriptions{{
    {"events_mm_page_alloc", "requests in the recording"},
    {"events_mm_page_free", "frees in the recording"},
    {"events_mm_page_free_batched", "second mentions of frees in the recording"},
    {"events_mm_page_alloc_extfrag", "fallbacks in the recording"},
    {"events_mm_page_alloc_zone_locked", "blocks taken off the free lists in the recording"},
    {"events_mm_page_pcpu_drain",
     "blocks given back from per-CPU lists to the free lists in the recording"},
}};

std::uint64_t total(const std::vector<skipped_event>& events) {
  std::uint64_t count = 0;
  for (const auto& event : events) count += event.count;
  return count;
}

}  // namespace

std::string to_text(const replay_fallback& f) {
  return fmt::format("+{} ns: frame {}, order {} {} from order {} {}", f.since_start.count(),
                     f.block, f.requested, f.wanted, f.found, f.found_type);
}

std::vector<statistic_value> values_of(const replay_summary& summary) {
  auto values = values_of(summary.counts, replay_statistics);
  for (unsigned kind = 0; kind < trace_event_kinds; ++kind) {
    values.push_back({std::string{event_descriptions[kind].name}, "events",
                      std::string{event_descriptions[kind].description}, summary.events[kind]});
  }
  values.push_back({"duration", "ns", "time from the first event to the last",
                    static_cast<std::uint64_t>(summary.duration.count())});
  values.push_back({"lines", "lines", "lines of the trace", summary.lines});
  values.push_back(
      {"malformed_lines", "lines", "lines that were not understood", summary.malformed_lines});
  values.push_back(
      {"lost_events", "events", "events that the recording says it lost", summary.lost_events});
  values.push_back({"skipped_events", "events", "events of other kinds", total(summary.skipped)});
  return values;
}

std::string to_text(const replay_summary& summary) {
  const auto& c = summary.counts;
  std::string text = fmt::format(
      "{} blocks allocated, {} requests failed; {} blocks freed\n"
      "of blocks from before the recording, {} freed in place, {} substituted, {} not found\n"
      "{} fallbacks, {} in the recording\n",
      c.allocations, c.failed, c.frees, c.adopted, c.substituted, c.not_found, c.fallbacks,
      c.recorded_fallbacks);
  const auto mention = [&text](std::uint64_t count, std::string_view what) {
    if (count != 0) text += fmt::format("{} {}\n", count, what);
  };
  mention(c.lost_frees, "blocks freed because the recording allocated over them");
  mention(summary.lost_events, "events lost by the recording");
  mention(total(summary.skipped), "events of other kinds skipped");
  if (summary.malformed_lines != 0) {
    text += fmt::format("{} malformed lines passed over; the first: {}\n", summary.malformed_lines,
                        summary.first_malformed);
  }
  return text;
}

}  // namespace memsim
