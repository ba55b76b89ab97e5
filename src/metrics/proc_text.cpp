// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/proc_text.hpp>

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include <memsim/alloc/page_allocator.hpp>

#include "metrics/frame_walk.hpp"
#include "metrics/zone_blocks.hpp"
#include "workload/proc_text.hpp"

namespace memsim {
namespace {

/// Where pagetypeinfo stops counting a list.
constexpr std::uint64_t longest_counted_list = 100'000;

std::array<std::uint64_t, migratetypes> pageblocks_by_type(const page_allocator& memory,
                                                           const zone_extent& zone) {
  std::array<std::uint64_t, migratetypes> counts{};
  detail::memory_cursor cursor{memory.memory()};
  std::optional<frame_table::node> last;
  for (pfn at = zone.start; at < zone.end();) {
    const auto [end, is_memory] = cursor.at(at, zone.end());
    if (is_memory) {
      for (auto block = detail::pageblock_of(at); block <= detail::pageblock_of(end - 1); ++block) {
        if (last == block) continue;
        ++counts[static_cast<unsigned>(memory.pageblock_type(pfn{block * pageblock_frames}))];
        last = block;
      }
    }
    at = end;
  }
  return counts;
}

/// The types with a row and a column, in the kernel's order.
std::vector<migratetype> shown_types(rule cma_row) {
  std::vector<migratetype> types(all_migratetypes.begin(), all_migratetypes.end());
  if (cma_row == rule::off) std::erase(types, migratetype::cma);
  return types;
}

std::string list_length(std::uint64_t blocks) {
  const bool too_long = blocks >= longest_counted_list;
  return fmt::format("{}{:>6} ", too_long ? ">" : "", std::min(blocks, longest_counted_list));
}

std::optional<zone_type> find_zone(std::string_view name) {
  const auto* const found =
      std::ranges::find(all_zone_types, name, [](auto z) { return name_of(z); });
  if (found == all_zone_types.end()) return std::nullopt;
  return *found;
}

/// `Node 0, zone   Normal` and eleven numbers.
std::optional<zone_order_counts> parse_buddyinfo_line(std::string_view line) {
  const auto heading = detail::parse_zone_heading(line);
  if (!heading || heading->node != 0) return std::nullopt;
  const auto zone = find_zone(heading->zone);
  const auto counts = detail::parse_counts(heading->rest);
  if (!zone || !counts || counts->size() != page_orders) return std::nullopt;
  zone_order_counts result{.zone = *zone};
  std::ranges::transform(*counts, result.free_blocks.begin(), &detail::count_text::value);
  return result;
}

}  // namespace

std::vector<zone_lists> lists_of(const page_allocator& memory) {
  std::vector<zone_lists> zones;
  for (const auto& z : memory.zones()) {
    zones.push_back(
        {z.extent.type, detail::free_blocks_of(z), pageblocks_by_type(memory, z.extent)});
  }
  return zones;
}

std::string buddyinfo_text(std::span<const zone_lists> zones) {
  std::string text;
  auto out = std::back_inserter(text);
  for (const auto& zone : zones) {
    fmt::format_to(out, "Node 0, zone {:>8} ", name_of(zone.zone));
    for (const auto blocks : total_by_order(zone.free_blocks))
      fmt::format_to(out, "{:>6} ", blocks);
    text += '\n';
  }
  return text;
}

std::string buddyinfo_text(const page_allocator& memory) {
  return buddyinfo_text(lists_of(memory));
}

std::expected<std::vector<zone_order_counts>, error> parse_buddyinfo(std::string_view text,
                                                                     std::string_view name) {
  std::vector<zone_order_counts> zones;
  detail::proc_text lines{text, name};
  while (lines.next()) {
    const auto zone = parse_buddyinfo_line(lines.line());
    if (!zone) {
      return lines.complain(
          errc::malformed,
          fmt::format("expected `Node 0, zone NAME` of a machine of one node and {} numbers",
                      page_orders));
    }
    zones.push_back(*zone);
  }
  if (zones.empty()) return fail(errc::malformed, "{}: is empty, no zone in it", name);
  return zones;
}

std::string pagetypeinfo_text(std::span<const zone_lists> zones, rule cma_row) {
  const auto types = shown_types(cma_row);
  std::string text = fmt::format("Page block order: {}\nPages per block:  {}\n\n", pageblock_order,
                                 pageblock_frames);
  auto out = std::back_inserter(text);

  fmt::format_to(out, "{:<43} ", "Free pages count per migrate type at order");
  for (unsigned o = 0; o < page_orders; ++o) fmt::format_to(out, "{:>6} ", o);
  text += '\n';
  for (const auto& zone : zones) {
    for (const auto type : types) {
      fmt::format_to(out, "Node {:>4}, zone {:>8}, type {:>12} ", 0, name_of(zone.zone),
                     name_of(type));
      for (const auto& lists : zone.free_blocks)
        text += list_length(lists[static_cast<unsigned>(type)]);
      text += '\n';
    }
  }

  fmt::format_to(out, "\n{:<23}", "Number of blocks type ");
  for (const auto type : types) fmt::format_to(out, "{:>12} ", name_of(type));
  text += '\n';
  for (const auto& zone : zones) {
    fmt::format_to(out, "Node 0, zone {:>8} ", name_of(zone.zone));
    for (const auto type : types) {
      fmt::format_to(out, "{:>12} ", zone.pageblocks[static_cast<unsigned>(type)]);
    }
    text += '\n';
  }
  return text;
}

std::string pagetypeinfo_text(const page_allocator& memory, std::optional<rule> cma_row) {
  const auto present = memory.cma_areas().empty() ? rule::off : rule::on;
  return pagetypeinfo_text(lists_of(memory), cma_row.value_or(present));
}

}  // namespace memsim
