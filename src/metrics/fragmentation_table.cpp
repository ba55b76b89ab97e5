// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <memsim/metrics/fragmentation.hpp>

#include "metrics/text_table.hpp"
#include "metrics/units.hpp"

namespace memsim {
namespace {

using detail::text_table;

/// A column of the overview: a zone or the machine.
struct overview_column {
  std::string name;
  const fragmentation* values;
};

std::vector<overview_column> columns_of(const memory_measurement& m) {
  std::vector<overview_column> columns;
  for (const auto& zone : m.zones) columns.push_back({to_text(zone.zone), &zone.values});
  columns.push_back({"all", &m.machine});
  return columns;
}

void add_row(text_table& table, std::string label, const std::vector<overview_column>& columns,
             const std::function<std::string(const fragmentation&)>& cell) {
  std::vector<std::string> cells{std::move(label)};
  for (const auto& column : columns) cells.push_back(cell(*column.values));
  table.row(std::move(cells));
}

std::string size_and_share(frame_count part, frame_count whole) {
  const double share = whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{}  {:>7}", detail::human_size(part), detail::percent(share));
}

void add_memory_rows(text_table& table, const std::vector<overview_column>& columns) {
  struct part {
    const char* label;
    frame_count frame_totals::* frames;
  };
  static constexpr part parts[] = {{"  free", &frame_totals::free},
                                   {"  on per-CPU lists", &frame_totals::per_cpu},
                                   {"  in use, movable", &frame_totals::movable},
                                   {"  in use, unmovable", &frame_totals::unmovable}};
  add_row(table, "Memory", columns,
          [](const auto& v) { return size_and_share(v.frames.memory, v.frames.memory); });
  for (const auto& p : parts) {
    add_row(table, p.label, columns,
            [&](const auto& v) { return size_and_share(v.frames.*p.frames, v.frames.memory); });
  }
  add_row(table, "  longest free run", columns,
          [](const auto& v) { return size_and_share(v.runs.longest, v.frames.memory); });
}

void add_large_block_rows(text_table& table, const std::vector<overview_column>& columns) {
  const auto share_row = [&](std::string label, std::size_t i,
                             std::uint64_t large_blocks::* count) {
    add_row(table, std::move(label), columns, [=](const auto& v) {
      return size_and_share((v.large[i].*count) << v.large[i].size.value(), v.frames.memory);
    });
  };
  for (const std::size_t i : {0u, 2u}) {
    const auto size = detail::block_size(large_block_orders[i]);
    share_row(fmt::format("  free in {} pages", size), i, &large_blocks::free_now);
    share_row(fmt::format("  free in {} pages, if all movable were moved", size), i,
              &large_blocks::free_if_moved);
  }
  for (std::size_t i = 0; i < large_block_orders.size(); ++i) {
    add_row(table,
            fmt::format("  {} blocks with an unmovable page",
                        detail::block_size(large_block_orders[i])),
            columns, [i](const auto& v) {
              return fmt::format("{} of {}", v.large[i].with_unmovable, v.large[i].with_memory);
            });
  }
}

void add_mixed_rows(text_table& table, const std::vector<overview_column>& columns) {
  struct kind {
    const char* label;
    std::uint64_t mixed_pageblocks::* count;
  };
  static constexpr kind kinds[] = {
      {"  with movable and unmovable pages", &mixed_pageblocks::both},
      {"  of type movable or CMA, with unmovable pages", &mixed_pageblocks::movable_with_unmovable},
      {"  of another type, with movable pages", &mixed_pageblocks::other_with_movable}};
  for (const auto& k : kinds) {
    add_row(table, k.label, columns,
            [&](const auto& v) { return detail::grouped(v.mixed.*k.count); });
  }
}

std::string overview(const memory_measurement& m) {
  const auto columns = columns_of(m);
  text_table table;
  std::vector<std::string> heading{""};
  for (const auto& column : columns) heading.push_back(column.name);
  table.row(std::move(heading));
  add_memory_rows(table, columns);
  table.row({"Large pages"});
  add_large_block_rows(table, columns);
  table.row({"Mixed pageblocks"});
  add_mixed_rows(table, columns);
  return table.text();
}

/// Thousandths as the kernel prints them, but for a request that would not fail.
std::string index_text(int thousandths) {
  return thousandths == -1000 ? "-" : fmt::format("{:.3f}", thousandths / 1000.0);
}

/// Types that most machines never have are shown where there are any.
bool has_row(const fragmentation& v, migratetype type) {
  const auto t = static_cast<unsigned>(type);
  return is_mergeable(type) || v.pageblocks[t] > 0 ||
         std::ranges::any_of(v.free_blocks, [t](const auto& lists) { return lists[t] > 0; });
}

std::string free_list_table(std::string_view zone, const fragmentation& v) {
  const auto totals = total_by_order(v.free_blocks);
  text_table table;
  std::vector<std::string> heading{fmt::format("Free blocks, {}", zone)};
  for (unsigned o = 0; o < page_orders; ++o) heading.push_back(fmt::format("{}", o));
  heading.emplace_back("pageblocks");
  table.row(std::move(heading));

  for (const auto type : all_migratetypes) {
    if (!has_row(v, type)) continue;
    const auto t = static_cast<unsigned>(type);
    std::vector<std::string> cells{fmt::format("  {}", type)};
    for (unsigned o = 0; o < page_orders; ++o) {
      cells.push_back(fmt::format("{}", v.free_blocks[o][t]));
    }
    cells.push_back(fmt::format("{}", v.pageblocks[t]));
    table.row(std::move(cells));
  }
  std::vector<std::string> all{"  all"};
  std::vector<std::string> unusable{"  unusable index"};
  std::vector<std::string> fragmented{"  fragmentation index"};
  for (unsigned o = 0; o < page_orders; ++o) {
    all.push_back(fmt::format("{}", totals[o]));
    unusable.push_back(index_text(unusable_index(totals, order{o})));
    fragmented.push_back(index_text(fragmentation_index(totals, order{o})));
  }
  return table.row(std::move(all)).row(std::move(unusable)).row(std::move(fragmented)).text();
}

std::string contiguity_table(const memory_measurement& m) {
  const auto columns = columns_of(m);
  text_table table;
  std::vector<std::string> heading{"Free memory in runs of at least"};
  for (const auto& column : columns) heading.push_back(column.name);
  table.row(std::move(heading));
  for (unsigned k = 0; k < run_orders; k += 3) {
    add_row(table, fmt::format("  {}", detail::block_size(order{k})), columns,
            [k](const auto& v) { return detail::percent(v.runs.share_in(k)); });
  }
  return table.text();
}

}  // namespace

std::string table_of(const memory_measurement& m) {
  std::string text = overview(m);
  for (const auto& zone : m.zones) {
    text += '\n';
    text += free_list_table(fmt::format("zone {}", zone.zone), zone.values);
  }
  if (m.zones.size() > 1) {
    text += '\n';
    text += free_list_table("all zones", m.machine);
  }
  text += '\n';
  text += contiguity_table(m);
  return text;
}

}  // namespace memsim
