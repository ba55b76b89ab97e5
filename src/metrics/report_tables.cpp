// SPDX-License-Identifier: Apache-2.0
#include "metrics/report_tables.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "metrics/comparison.hpp"
#include "metrics/html.hpp"
#include "metrics/units.hpp"

namespace memsim::detail {
namespace {

/// One line of the table of memory.
struct quantity {
  const char* label;
  std::function<std::string(const fragmentation&)> text;
};

std::string size_of(frame_count frames) { return human_size(frames); }

const std::vector<quantity>& quantities() {
  using f = fragmentation;
  static const std::vector<quantity> list{
      {"free", [](const f& v) { return size_of(v.frames.free); }},
      {"on per-CPU lists", [](const f& v) { return size_of(v.frames.per_cpu); }},
      {"in use, movable", [](const f& v) { return size_of(v.frames.movable); }},
      {"in use, unmovable", [](const f& v) { return size_of(v.frames.unmovable); }},
      {"longest free run", [](const f& v) { return size_of(v.runs.longest); }},
      {"free in 2 MiB pages",
       [](const f& v) {
         return percent(share_of(v.large[0].free_now, order{9}, v.frames.memory));
       }},
      {"free in 2 MiB pages, if all movable were moved",
       [](const f& v) {
         return percent(share_of(v.large[0].free_if_moved, order{9}, v.frames.memory));
       }},
      {"free in 1 GiB pages",
       [](const f& v) {
         return percent(share_of(v.large[2].free_now, order{18}, v.frames.memory));
       }},
      {"free in 1 GiB pages, if all movable were moved",
       [](const f& v) {
         return percent(share_of(v.large[2].free_if_moved, order{18}, v.frames.memory));
       }},
      {"2 MiB blocks with an unmovable page",
       [](const f& v) { return grouped(v.large[0].with_unmovable); }},
      {"32 MiB blocks with an unmovable page",
       [](const f& v) { return grouped(v.large[1].with_unmovable); }},
      {"1 GiB blocks with an unmovable page",
       [](const f& v) { return grouped(v.large[2].with_unmovable); }},
      {"pageblocks with movable and unmovable pages",
       [](const f& v) { return grouped(v.mixed.both); }},
      {"movable or CMA pageblocks with unmovable pages",
       [](const f& v) { return grouped(v.mixed.movable_with_unmovable); }},
      {"other pageblocks with movable pages",
       [](const f& v) { return grouped(v.mixed.other_with_movable); }},
  };
  return list;
}

/// Before and after, of one zone or of all.
struct column_pair {
  std::string name;
  const fragmentation* before;
  const fragmentation* after;
};

std::vector<column_pair> column_pairs(const memory_measurement& before,
                                      const memory_measurement& after) {
  std::vector<column_pair> pairs{{"All memory", &before.machine, &after.machine}};
  for (std::size_t i = 0; i < std::min(before.zones.size(), after.zones.size()); ++i) {
    pairs.push_back({fmt::format("Zone {}", after.zones[i].zone), &before.zones[i].values,
                     &after.zones[i].values});
  }
  return pairs;
}

std::vector<std::string> with_orders(std::string first) {
  std::vector<std::string> heading{std::move(first)};
  for (unsigned o = 0; o < page_orders; ++o) heading.push_back(fmt::format("{}", o));
  return heading;
}

std::vector<std::string> counts_row(std::string label, const order_counts& counts) {
  std::vector<std::string> cells{std::move(label)};
  for (const auto n : counts) cells.push_back(grouped(n));
  return cells;
}

std::vector<std::string> index_row(std::string label, const order_counts& counts,
                                   int (*index)(const order_counts&, order)) {
  std::vector<std::string> cells{std::move(label)};
  for (unsigned o = 0; o < page_orders; ++o) {
    const int thousandths = index(counts, order{o});
    cells.push_back(thousandths == -1000 ? "–" : fmt::format("{:.3f}", thousandths / 1000.0));
  }
  return cells;
}

order_counts list_counts(const fragmentation& v, migratetype type) {
  order_counts counts{};
  for (unsigned o = 0; o < page_orders; ++o) {
    counts[o] = v.free_blocks[o][static_cast<unsigned>(type)];
  }
  return counts;
}

void add_free_lists(html_table& table, const fragmentation& v) {
  for (const auto type : all_migratetypes) {
    const auto counts = list_counts(v, type);
    if (is_mergeable(type) || frames_of(counts) > 0) table.row(counts_row(to_text(type), counts));
  }
  const auto totals = total_by_order(v.free_blocks);
  table.strong_row(counts_row("all", totals));
  table.row(index_row("unusable index", totals, unusable_index));
  table.row(index_row("fragmentation index", totals, fragmentation_index));
}

std::string fallback_counts(const recording_comparison& c) {
  const auto pairs = pairs_of(c);
  if (pairs.empty()) {
    return "<p>No request took memory of another migratetype, here or in the recording.</p>\n";
  }
  html_table table{{"Fallbacks", "memsim", "recorded"}};
  std::uint64_t here = 0;
  std::uint64_t recorded = 0;
  for (const auto& p : pairs) {
    table.row({fmt::format("{} from {}", p.wanted, p.found), grouped(p.here), grouped(p.recorded)});
    here += p.here;
    recorded += p.recorded;
  }
  return table.strong_row({"all", grouped(here), grouped(recorded)}).html();
}

std::string event_text(const std::vector<replay_fallback>& events, std::size_t i) {
  if (i >= events.size()) return "";
  const auto& e = events[i];
  return fmt::format("{:.6f} s: {} of order {} from {} of order {}, frame {}",
                     std::chrono::duration<double>(e.since_start).count(), e.wanted, e.requested,
                     e.found_type, e.found, e.block);
}

/// The beginning of both sides' lists of fallbacks.
std::string first_fallbacks(const recording_comparison& c) {
  constexpr std::size_t shown = 25;
  const auto longer = std::max(c.fallback_events.size(), c.recorded_fallback_events.size());
  if (longer == 0) return "";
  html_table table{{"", "memsim", "recorded"}};
  for (std::size_t i = 0; i < std::min(shown, longer); ++i) {
    table.row({fmt::format("{}", i + 1), event_text(c.fallback_events, i),
               event_text(c.recorded_fallback_events, i)});
  }
  return fmt::format("<details><summary>The first of them</summary>\n{}</details>\n", table.html());
}

std::vector<std::string> difference_row(const order_counts& here, const order_counts& recorded) {
  std::vector<std::string> cells{"difference"};
  for (unsigned o = 0; o < page_orders; ++o) {
    const auto difference =
        static_cast<std::int64_t>(here[o]) - static_cast<std::int64_t>(recorded[o]);
    cells.push_back(difference == 0 ? "0" : fmt::format("{:+}", difference));
  }
  return cells;
}

std::string buddyinfo_comparison(const recording_comparison& c) {
  html_table table{with_orders("Order")};
  for (const auto& zone : c.buddyinfo) {
    const auto* recorded = find_zone(c.recorded_buddyinfo, zone.zone);
    table.section(fmt::format("Zone {}", zone.zone));
    table.row(counts_row("memsim", zone.free_blocks));
    if (recorded == nullptr) continue;
    table.row(counts_row("recorded", *recorded));
    table.row(difference_row(zone.free_blocks, *recorded));
  }
  return table.html();
}

}  // namespace

std::string memory_table(const memory_measurement& before, const memory_measurement& after) {
  const auto pairs = column_pairs(before, after);
  std::vector<std::string> names;
  std::vector<std::string> heading{""};
  for (const auto& pair : pairs) {
    names.push_back(fmt::format("{}, {}", pair.name, size_of(pair.after->frames.memory)));
    heading.insert(heading.end(), {"before", "after"});
  }
  html_table table{heading};
  table.groups(names, 2);
  for (const auto& q : quantities()) {
    std::vector<std::string> cells{q.label};
    for (const auto& pair : pairs) {
      cells.push_back(q.text(*pair.before));
      cells.push_back(q.text(*pair.after));
    }
    table.row(cells);
  }
  return table.html();
}

std::string free_lists_table(const memory_measurement& m) {
  html_table table{with_orders("Order")};
  for (const auto& zone : m.zones) {
    table.section(fmt::format("Zone {}", zone.zone));
    add_free_lists(table, zone.values);
  }
  if (m.zones.size() > 1) {
    table.section("All zones");
    add_free_lists(table, m.machine);
  }
  return table.html();
}

std::string contiguity_table(const memory_measurement& before, const memory_measurement& after) {
  std::vector<std::string> heading{"Free memory in runs of at least"};
  std::vector<std::string> old_row{"before"};
  std::vector<std::string> new_row{"after"};
  for (unsigned k = 0; k < run_orders; k += 2) {
    heading.push_back(block_size(order{k}));
    old_row.push_back(percent(before.machine.runs.share_in(k)));
    new_row.push_back(percent(after.machine.runs.share_in(k)));
  }
  return html_table{heading}.row(old_row).row(new_row).html();
}

std::string comparison_html(const recording_comparison& c) {
  std::string html = fallback_counts(c) + first_fallbacks(c);
  html += "<h3>Free blocks at the end</h3>\n";
  if (c.recorded_buddyinfo.empty()) {
    html +=
        "<p class=\"quiet\">The machine's own buddyinfo after the recording was not captured."
        "</p>\n";
  }
  return html + buddyinfo_comparison(c);
}

std::string statistics_table(const std::vector<statistic_value>& statistics) {
  html_table table{{"Statistic", "value", "unit", "meaning"}};
  for (const auto& s : statistics) {
    table.row(
        {std::string{s.name}, grouped(s.value), std::string{s.unit}, std::string{s.description}});
  }
  return table.html();
}

}  // namespace memsim::detail
