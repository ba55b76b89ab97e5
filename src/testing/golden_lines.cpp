// SPDX-License-Identifier: Apache-2.0
// A state in the words of a recording.
#include "testing/golden_lines.hpp"

#include <iterator>

#include <memsim/alloc/free_space.hpp>
#include <memsim/testing/golden_replay.hpp>

namespace memsim::testing {
namespace {

constexpr unsigned hole = 9;

using text = fmt::memory_buffer;

template <class... Args>
void add(text& line, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(line), format, std::forward<Args>(args)...);
}

}  // namespace

std::string zone_line(const zone_state& z, pcp_rule kernel) {
  text line;
  const auto& e = z.extent;
  const auto& cpu = z.cpus.front();
  add(line, "Z {} idx {} start {} spanned {} present {} managed {}", e.type,
      static_cast<unsigned>(e.type), e.start, e.spanned, e.present, e.managed);
  add(line, " min {} low {} high {} boost {} free {} cma {} highatomic {}", z.marks.min,
      z.marks.low, z.marks.high, z.boost, z.free_pages, z.free_cma, z.reserved_highatomic);
  const unsigned flags = (z.boosted ? 1 : 0) | (z.reclaim_active ? 2 : 0) | (z.below_high ? 4 : 0);
  add(line, " dfree {} dcma {} thr {} flags {} reserve", cpu.pending.free, cpu.pending.cma,
      z.counter_threshold, flags);
  for (const auto pages : z.reserve) add(line, " {}", pages);
  if (kernel == pcp_rule::adaptive_high) add(line, " free_highatomic {}", z.free_highatomic);
  return fmt::to_string(line);
}

std::string page_set_line(const zone_state& z, pcp_rule kernel) {
  const auto& pcp = z.cpus.front();
  text line;
  add(line, "P {} cpu 0 count {} high {} batch {}", z.extent.type, pcp.count, pcp.high, pcp.batch);
  if (kernel == pcp_rule::fixed_high) {
    add(line, " free_factor {}", pcp.free_factor);
  } else {
    const unsigned flags = (pcp.previous_free_high_order ? 1 : 0) | (pcp.free_high_batch ? 2 : 0);
    add(line, " high_min {} high_max {} alloc_factor {} free_count {} flags {}", pcp.high_min,
        pcp.high_max, pcp.alloc_factor, pcp.free_count, flags);
  }
  return fmt::to_string(line);
}

namespace {

std::string pageblocks_line(const zone_state& z) {
  text line;
  add(line, "B {}:", z.extent.type);
  const auto& types = z.pageblocks;
  for (std::size_t i = 0; i < types.size();) {
    std::size_t end = i + 1;
    while (end < types.size() && types[end] == types[i]) ++end;
    add(line, " {}*{}", types[i] ? static_cast<unsigned>(*types[i]) : hole, end - i);
    i = end;
  }
  return fmt::to_string(line);
}

std::string indices_line(const zone_state& z) {
  order_counts blocks{};
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto& list : z.free_lists[o]) blocks[o] += list.size();
  }
  text line;
  add(line, "F {}:", z.extent.type);
  for (unsigned o = 0; o < page_orders; ++o) {
    add(line, " {}/{}", fragmentation_index(blocks, order{o}), unusable_index(blocks, order{o}));
  }
  return fmt::to_string(line);
}

}  // namespace

void add_lists(std::vector<std::string>& lines, const zone_state& z, pcp_rule kernel) {
  const auto& pcp = z.cpus.front();
  for (unsigned list = 0; list < pcp_lists; ++list) {
    if (pcp.lists[list].empty()) continue;
    text line;
    add(line, "Q {} cpu 0 list {}:", z.extent.type, list);
    for (const auto& entry : pcp.lists[list]) {
      add(line, " {}", entry.block);
      if (kernel == pcp_rule::fixed_high) add(line, "/{}", static_cast<unsigned>(entry.type));
    }
    lines.push_back(fmt::to_string(line));
  }
  for (unsigned o = 0; o < page_orders; ++o) {
    for (unsigned type = 0; type < migratetypes; ++type) {
      if (z.free_lists[o][type].empty()) continue;
      text line;
      add(line, "L {} order {} type {}:", z.extent.type, o, type);
      for (const auto block : z.free_lists[o][type]) add(line, " {}", block);
      lines.push_back(fmt::to_string(line));
    }
  }
  lines.push_back(pageblocks_line(z));
}

namespace {

void add_zone(std::vector<std::string>& lines, const zone_state& z, pcp_rule kernel) {
  lines.push_back(zone_line(z, kernel));
  lines.push_back(page_set_line(z, kernel));
  add_lists(lines, z, kernel);
  if (!z.movable_in_use.empty()) {
    text line;
    add(line, "R {}:", z.extent.type);
    for (const auto frame : z.movable_in_use) add(line, " {}", frame);
    lines.push_back(fmt::to_string(line));
  }
  lines.push_back(indices_line(z));
}

}  // namespace

std::vector<std::string> golden_lines(const allocator_state& state, pcp_rule kernel) {
  std::vector<std::string> lines;
  for (const auto& z : state.zones) add_zone(lines, z, kernel);
  for (const auto& area : state.cma_areas) {
    lines.push_back(fmt::format("A base {} count {}", area.base, area.count));
  }
  return lines;
}

std::string golden_line(const fallback_event& e) {
  const auto number = [](migratetype type) { return static_cast<unsigned>(type); };
  return fmt::format("x {} {} {} {} {} {}", e.block, e.requested, e.found, number(e.wanted),
                     number(e.found_type), number(e.pageblock_type));
}

}  // namespace memsim::testing
