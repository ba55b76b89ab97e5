// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/results.hpp>

#include "metrics/json_values.hpp"

namespace memsim {
namespace detail {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

json run_json(const run_description& run) {
  json first_malformed = nullptr;
  if (!run.first_malformed.empty()) first_malformed = run.first_malformed;
  return {{"title", run.title},
          {"command", run.command},
          {"input", run.input},
          {"machine", run.machine},
          {"profile", run.profile},
          {"seed", run.seed},
          {"digest", to_text(run.state)},
          {"duration_s", seconds(run.duration)},
          {"looked_ahead", run.looked_ahead},
          {"first_malformed", first_malformed}};
}

/// `{"Unmovable": {"Movable": 3}}`: wanted, then found; pairs that never occurred are left out.
json by_type_json(const fallback_matrix& fallbacks) {
  json wanted = json::object();
  for (const auto w : all_migratetypes) {
    for (const auto f : all_migratetypes) {
      const auto count = fallbacks[static_cast<unsigned>(w)][static_cast<unsigned>(f)];
      if (count > 0) wanted[to_text(w)][to_text(f)] = count;
    }
  }
  return wanted;
}

json events_json(const std::vector<replay_fallback>& events) {
  json list = json::array();
  for (const auto& e : events) {
    list.push_back({{"time_s", seconds(e.since_start)},
                    {"pfn", e.block.value()},
                    {"order", e.requested.value()},
                    {"found_order", e.found.value()},
                    {"wanted", to_text(e.wanted)},
                    {"found", to_text(e.found_type)}});
  }
  return list;
}

json buddyinfo_json(const std::vector<zone_order_counts>& zones) {
  json values = json::object();
  for (const auto& zone : zones) values[to_text(zone.zone)] = zone.free_blocks;
  return values;
}

json comparison_json(const recording_comparison& c) {
  json recorded_buddyinfo = nullptr;
  if (!c.recorded_buddyinfo.empty()) recorded_buddyinfo = buddyinfo_json(c.recorded_buddyinfo);
  return {{"memsim",
           {{"fallbacks", by_type_json(c.fallbacks)},
            {"first_fallbacks", events_json(c.fallback_events)},
            {"buddyinfo", buddyinfo_json(c.buddyinfo)}}},
          {"recorded",
           {{"fallbacks", by_type_json(c.recorded_fallbacks)},
            {"first_fallbacks", events_json(c.recorded_fallback_events)},
            {"buddyinfo", recorded_buddyinfo}}}};
}

json result_units() {
  auto units = measurement_units();
  units["duration_s"] = "seconds by the clock of the trace";
  units["fallbacks"] = "events, by the migratetype wanted, then the one found";
  units["buddyinfo"] = "free blocks of 2^k frames, k = 0, 1, ...; null: not captured";
  return units;
}

}  // namespace
}  // namespace detail

std::string json_of(const run_results& results) {
  detail::json document{{"schema", "memsim.results/1"},
                        {"run", detail::run_json(results.run)},
                        {"units", detail::result_units()},
                        {"statistics", detail::to_json(results.statistics)},
                        {"before", detail::to_json(results.before)},
                        {"after", detail::to_json(results.after)}};
  if (results.recorded) document["comparison"] = detail::comparison_json(*results.recorded);
  // What is not UTF-8 in the name of a file is replaced: JSON has no other way to say it.
  return document.dump(2, ' ', false, detail::json::error_handler_t::replace) + '\n';
}

}  // namespace memsim
