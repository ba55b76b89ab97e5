// SPDX-License-Identifier: Apache-2.0
// Values from the JSON that json_values.hpp writes.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "metrics/json_values.hpp"

namespace memsim::detail {
namespace {

template <class Number>
Number take(std::string_view& text) {
  Number number{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{}) throw_usage("\"{}\": a number is wanted", escaped(text, 80));
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take_letter(std::string_view& text, char letter) {
  if (!text.starts_with(letter)) return false;
  text.remove_prefix(1);
  return true;
}

picture_cell take_cell(std::string_view& text) {
  if (take_letter(text, '.')) return {};
  for (const auto type : all_migratetypes) {
    if (!take_letter(text, name_of(type).front())) continue;
    const auto in_use = take<std::uint16_t>(text);
    if (in_use > pageblock_frames) throw_usage("a pageblock with {} frames in use", in_use);
    return {type, true, in_use};
  }
  throw_usage("\"{}\": a pageblock is wanted", escaped(text, 80));
}

frame_totals frames_from(const json& j) {
  return {.memory = j.at("memory"),
          .free = j.at("free"),
          .per_cpu = j.at("per_cpu"),
          .movable = j.at("in_use_movable"),
          .unmovable = j.at("in_use_unmovable")};
}

large_blocks large_from(const json& j) {
  const auto size = j.at("order").get<unsigned>();
  if (size > run_orders) throw_usage("blocks of order {}", size);
  return {.size = order{size},
          .with_memory = j.at("with_memory"),
          .with_unmovable = j.at("with_unmovable"),
          .free_now = j.at("free_now"),
          .free_if_moved = j.at("free_if_moved")};
}

// Shares of the free frames were written.
free_runs runs_from(const json& j, frame_count free) {
  free_runs runs{.longest = j.at("longest")};
  const auto& shares = j.at("share_in_runs_of_2_to_the");
  for (unsigned k = 0; k < run_orders; ++k) {
    const auto share = std::clamp(shares.at(k).get<double>(), 0.0, 1.0);
    runs.frames_in[k] = static_cast<frame_count>(std::llround(share * static_cast<double>(free)));
  }
  return runs;
}

fragmentation fragmentation_from(const json& j) {
  fragmentation v{.frames = frames_from(j.at("frames"))};
  for (const auto type : all_migratetypes) {
    const auto t = static_cast<unsigned>(type);
    const auto& list = j.at("free_blocks").at(to_text(type));
    for (unsigned o = 0; o < page_orders; ++o) v.free_blocks[o][t] = list.at(o);
    v.pageblocks[t] = j.at("pageblocks").at(to_text(type));
  }
  const auto& mixed = j.at("mixed_pageblocks");
  v.mixed = {.both = mixed.at("movable_and_unmovable"),
             .movable_with_unmovable = mixed.at("movable_type_with_unmovable"),
             .other_with_movable = mixed.at("other_type_with_movable")};
  for (std::size_t i = 0; i < v.large.size(); ++i)
    v.large[i] = large_from(j.at("large_blocks").at(i));
  v.runs = runs_from(j.at("free_runs"), v.frames.free);
  return v;
}

}  // namespace

std::vector<statistic_value> statistics_from(const json& j) {
  std::vector<statistic_value> values;
  for (const auto& [name, s] : j.items()) {
    values.push_back({name, s.at("unit"), s.at("description"), s.at("value")});
  }
  return values;
}

memory_measurement measurement_from(const json& j) {
  memory_measurement m{.machine = fragmentation_from(j.at("machine")),
                       .cma = j.at("cma").get<bool>() ? rule::on : rule::off};
  for (const auto& zone : j.at("zones")) {
    m.zones.push_back({named_from(zone.at("zone"), all_zone_types), fragmentation_from(zone)});
  }
  return m;
}

memory_picture picture_from(const json& j) {
  constexpr std::size_t most_cells = std::size_t{1} << 24;
  memory_picture picture{.pageblocks_per_cell = j.at("pageblocks_per_cell")};
  if (picture.pageblocks_per_cell == 0) throw_usage("a picture with no pageblock to a cell");
  const auto text = j.at("cells").get<std::string>();
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto cell = take_cell(rest);
    const auto times = take_letter(rest, '*') ? take<std::size_t>(rest) : 1;
    if (!rest.empty() && !take_letter(rest, ' ')) {
      throw_usage("\"{}\": a blank is wanted", escaped(rest, 80));
    }
    if (times > most_cells - picture.cells.size()) {
      throw_usage("a picture of more than {} cells", most_cells);
    }
    picture.cells.insert(picture.cells.end(), times, cell);
  }
  return picture;
}

std::vector<series_column> columns_from(const json& j) {
  std::vector<series_column> columns;
  for (const auto& [name, column] : j.items()) {
    columns.push_back({name, column.at("unit"), column.at("description")});
  }
  return columns;
}

void add_csv_row(time_series& into, std::string_view line) {
  const auto time = take<double>(line);
  std::vector<double> values;
  while (take_letter(line, ',')) {
    values.push_back(take<double>(line));
    // Counts and shares; also what is no number is refused.
    if (!(std::abs(values.back()) < 1e18)) throw_usage("{}: a number is wanted", values.back());
  }
  if (!line.empty()) throw_usage("\"{}\": a comma is wanted", escaped(line, 80));
  into.add(seconds_from(time), values);
}

digest digest_from(const json& j) {
  const auto text = j.get<std::string>();
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (code != std::errc{} || end != text.data() + text.size()) {
    throw_usage("\"{}\": a digest is wanted", escaped(text, 80));
  }
  return digest::from_value(value);
}

std::chrono::nanoseconds seconds_from(const json& j) {
  const auto ns = j.get<double>() * 1e9;
  // Also what is no number.
  if (!(ns >= 0 && ns < 9e18)) throw_usage("{} ns: a time of up to 9e18 is wanted", ns);
  return std::chrono::nanoseconds{std::llround(ns)};
}

}  // namespace memsim::detail
