// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/results.hpp>

#include <algorithm>

#include "metrics/comparison.hpp"
#include "metrics/text_table.hpp"
#include "metrics/units.hpp"

namespace memsim {
namespace detail {

std::vector<fallback_pair> pairs_of(const recording_comparison& c) {
  std::vector<fallback_pair> pairs;
  for (const auto wanted : all_migratetypes) {
    for (const auto found : all_migratetypes) {
      const auto w = static_cast<unsigned>(wanted);
      const auto f = static_cast<unsigned>(found);
      const fallback_pair pair{wanted, found, c.fallbacks[w][f], c.recorded_fallbacks[w][f]};
      if (pair.here > 0 || pair.recorded > 0) pairs.push_back(pair);
    }
  }
  return pairs;
}

const order_counts* find_zone(const std::vector<zone_order_counts>& zones, zone_type zone) {
  const auto found = std::ranges::find(zones, zone, &zone_order_counts::zone);
  return found == zones.end() ? nullptr : &found->free_blocks;
}

}  // namespace detail

namespace {

using detail::text_table;

std::string fallback_table(const recording_comparison& c) {
  const auto pairs = detail::pairs_of(c);
  if (pairs.empty()) return "Fallbacks: none here, none in the recording\n";
  text_table table;
  table.row({"Fallbacks", "memsim", "recorded"});
  std::uint64_t here = 0;
  std::uint64_t recorded = 0;
  for (const auto& pair : pairs) {
    table.row({fmt::format("  {} from {}", pair.wanted, pair.found), detail::grouped(pair.here),
               detail::grouped(pair.recorded)});
    here += pair.here;
    recorded += pair.recorded;
  }
  return table.row({"  all", detail::grouped(here), detail::grouped(recorded)}).text();
}

std::vector<std::string> counts_row(std::string label, const order_counts& counts) {
  std::vector<std::string> cells{std::move(label)};
  for (const auto n : counts) cells.push_back(fmt::format("{}", n));
  return cells;
}

std::string buddyinfo_table(const recording_comparison& c) {
  text_table table;
  std::vector<std::string> heading{"Free blocks at the end"};
  for (unsigned o = 0; o < page_orders; ++o) heading.push_back(fmt::format("{}", o));
  table.row(std::move(heading));
  for (const auto& zone : c.buddyinfo) {
    table.row(counts_row(fmt::format("  {} memsim", zone.zone), zone.free_blocks));
    if (const auto* recorded = detail::find_zone(c.recorded_buddyinfo, zone.zone)) {
      table.row(counts_row(fmt::format("  {} recorded", zone.zone), *recorded));
    }
  }
  return table.text();
}

}  // namespace

std::vector<zone_order_counts> buddyinfo_of(const memory_measurement& m) {
  std::vector<zone_order_counts> zones;
  for (const auto& z : m.zones) zones.push_back({z.zone, total_by_order(z.values.free_blocks)});
  return zones;
}

std::string table_of(const recording_comparison& c) {
  return fallback_table(c) + '\n' + buddyinfo_table(c);
}

}  // namespace memsim
