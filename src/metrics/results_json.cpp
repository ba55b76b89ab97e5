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
  units["memory_map"] = picture_unit;
  units["fallbacks"] = "events, by the migratetype wanted, then the one found";
  units["buddyinfo"] = "free blocks of 2^k frames, k = 0, 1, ...; null: not captured";
  return units;
}

}  // namespace
}  // namespace detail

std::string json_of(const run_results& results) {
  detail::json document{{"schema", schema_of_results},
                        {"run", detail::run_json(results.run)},
                        {"units", detail::result_units()},
                        {"statistics", detail::to_json(results.statistics)},
                        {"before", detail::to_json(results.before)},
                        {"after", detail::to_json(results.after)},
                        {"memory_map",
                         {{"before", detail::to_json(results.picture_before)},
                          {"after", detail::to_json(results.picture_after)}}},
                        {"samples", detail::to_json(results.samples.columns())}};
  if (results.recorded) document["comparison"] = detail::comparison_json(*results.recorded);
  // What is not UTF-8 in the name of a file is replaced: JSON has no other way to say it.
  return document.dump(2, ' ', false, detail::json::error_handler_t::replace) + '\n';
}

namespace detail {
namespace {

fallback_matrix matrix_from(const json& j) {
  fallback_matrix matrix{};
  for (const auto& [wanted, row] : j.items()) {
    const auto w = static_cast<unsigned>(named_from(wanted, all_migratetypes));
    for (const auto& [found, count] : row.items()) {
      matrix[w][static_cast<unsigned>(named_from(found, all_migratetypes))] = count;
    }
  }
  return matrix;
}

std::vector<replay_fallback> fallbacks_from(const json& j) {
  std::vector<replay_fallback> list;
  for (const auto& e : j) {
    list.push_back({.since_start = seconds_from(e.at("time_s")),
                    .block = pfn{e.at("pfn").get<std::uint64_t>()},
                    .requested = order{e.at("order").get<unsigned>()},
                    .found = order{e.at("found_order").get<unsigned>()},
                    .wanted = named_from(e.at("wanted"), all_migratetypes),
                    .found_type = named_from(e.at("found"), all_migratetypes)});
  }
  return list;
}

std::vector<zone_order_counts> buddyinfo_from(const json& j) {
  std::vector<zone_order_counts> zones;
  for (const auto& [zone, counts] : j.items()) {
    zones.push_back({named_from(zone, all_zone_types), counts.get<order_counts>()});
  }
  return zones;
}

recording_comparison comparison_from(const json& j) {
  const auto& here = j.at("memsim");
  const auto& recorded = j.at("recorded");
  return {.fallbacks = matrix_from(here.at("fallbacks")),
          .recorded_fallbacks = matrix_from(recorded.at("fallbacks")),
          .fallback_events = fallbacks_from(here.at("first_fallbacks")),
          .recorded_fallback_events = fallbacks_from(recorded.at("first_fallbacks")),
          .buddyinfo = buddyinfo_from(here.at("buddyinfo")),
          .recorded_buddyinfo = buddyinfo_from(recorded.at("buddyinfo"))};
}

run_description run_from(const json& j) {
  const auto& malformed = j.at("first_malformed");
  return {.title = j.at("title"),
          .command = j.at("command"),
          .input = j.at("input"),
          .machine = j.at("machine"),
          .profile = j.at("profile"),
          .seed = j.at("seed"),
          .state = digest_from(j.at("digest")),
          .duration = seconds_from(j.at("duration_s")),
          .looked_ahead = j.at("looked_ahead"),
          .first_malformed = malformed.is_null() ? "" : malformed.get<std::string>()};
}

time_series samples_from(const json& columns, std::string_view csv) {
  time_series samples{columns_from(columns)};
  for_each_row(csv, [&](std::string_view line) { add_csv_row(samples, line); });
  return samples;
}

}  // namespace
}  // namespace detail

std::expected<run_results, error> parse_results(std::string_view text, std::string_view samples) {
  return detail::read_document(text, schema_of_results, [&](const detail::json& j) {
    run_results results{.run = detail::run_from(j.at("run")),
                        .statistics = detail::statistics_from(j.at("statistics")),
                        .before = detail::measurement_from(j.at("before")),
                        .after = detail::measurement_from(j.at("after")),
                        .picture_before = detail::picture_from(j.at("memory_map").at("before")),
                        .picture_after = detail::picture_from(j.at("memory_map").at("after")),
                        .samples = detail::samples_from(j.at("samples"), samples)};
    if (j.contains("comparison")) {
      results.recorded = detail::comparison_from(j.at("comparison"));
    }
    return results;
  });
}

}  // namespace memsim
