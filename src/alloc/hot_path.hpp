// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The common case of a request and of a free, in few instructions.
///
/// A request whose preferred zone passes its first watermark test with a remembered margin, and
/// whose per-CPU list is not empty, touches nothing but the page set. Anything else is left to the
/// rules as they are written, with nothing changed: taking the shortcut or not makes no difference
/// to any decision.

#include <array>

#include "alloc/watermark_test.hpp"

namespace memsim::detail {

/// pcp_list_of() as a table.
inline constexpr auto pcp_list_table = [] {
  std::array<std::array<std::uint8_t, mergeable_migratetypes>, page_orders> table{};
  for (unsigned o = 0; o < page_orders; ++o) {
    for (unsigned type = 0; type < mergeable_migratetypes; ++type) {
      table[o][type] = static_cast<std::uint8_t>(pcp_list_of(o, static_cast<migratetype>(type)));
    }
  }
  return table;
}();

/// What the flags that say where a page may lie come to.
struct placement {
  migratetype type{};
  zone_type highest{};
};

/// By the flags dma, highmem, dma32, movable and reclaimable, which are the lowest bits.
inline constexpr unsigned placement_flags = 32;
inline constexpr auto placement_table = [] {
  static_assert((gfp_flag::dma | gfp_flag::highmem | gfp_flag::dma32 | gfp_flag::movable |
                 gfp_flag::reclaimable).bits() == placement_flags - 1);
  std::array<placement, placement_flags> table{};
  for (unsigned bits = 0; bits < placement_flags; ++bits) {
    table[bits] = {migratetype_of(gfp{bits}), highest_zone_of(gfp{bits})};
  }
  return table;
}();

/// A1 to A5 for a page that is at hand, or no_frame.
inline frame_index allocator_core::allocate_hot(cpu_id cpu, unsigned order, placement where) {
  const auto preferred = preferred_zone_[static_cast<unsigned>(where.highest)];
  const unsigned list = pcp_list_table[order][static_cast<unsigned>(where.type)];
  if (preferred == no_zone || list == pcp_lists) return no_frame;

  zone& z = zones_[preferred];
  const bool cma = where.type == migratetype::movable;
  const bool tests_high = profile_.high_mark_first == rule::on && !z.below_high;
  const unsigned entry = margin_entry(where.highest, cma, tests_high);
  if ((z.margins.known >> entry & 1) == 0 || z.boosted) return no_frame;
  if (z.margins.margin[entry] < std::int64_t{1} << order) return no_frame;
  if (order != 0 && !has_block(z, order, {.cma = cma})) return no_frame;

  auto& pcp = z.cpus[cpu.value()];
  auto& ring = pcp.lists[list];
  if (ring.empty()) return no_frame;
  if (profile_.pcp == pcp_rule::fixed_high) {
    pcp.free_factor >>= 1;
  } else {
    pcp.free_count >>= 1;
  }
  pcp.count -= 1u << order;
  return ring.pop_front().frame();
}

// Few zones, and most frames are in the highest.
inline zone& allocator_core::zone_of(frame_index frame) {
  auto* z = &zones_.back();
  while (frame < z->extent.start.value() && z != zones_.data()) --z;
  return *z;
}

[[nodiscard]] constexpr std::uint32_t clamped(std::uint32_t value, std::uint32_t low,
                                              std::uint32_t high) {
  return std::min(std::max(value, low), high);
}

/// Orders that make a page set give everything back when many of them are freed.
[[nodiscard]] constexpr bool is_high_order(unsigned order) {
  return order - 1 < costly_order;
}

/// What a page set notes of a free (A10.2, B6); whether everything must be given back ("free-high").
inline bool allocator_core::note_free(per_cpu_pages& pcp, unsigned order) const {
  const bool high_order = is_high_order(order);
  if (profile_.pcp == pcp_rule::fixed_high) return high_order && pcp.free_factor > 0;

  pcp.alloc_factor >>= 1;
  const bool free_high = high_order && pcp.free_count >= pcp.batch &&
                         pcp.previous_free_high_order &&
                         (!pcp.free_high_batch || pcp.count >= pcp.batch);
  pcp.previous_free_high_order = high_order;
  if (pcp.free_count < pcp.batch << settings_.pcp_batch_scale_max) pcp.free_count += 1u << order;
  pcp.high = clamped(pcp.high, pcp.high_min, pcp.high_max);
  return free_high;
}

/// A10, B6.
inline void allocator_core::free(context& ctx, frame_index frame, unsigned order) {
  zone& z = zone_of(frame);
  const auto type = block_type(frame);
  const auto listed = is_mergeable(type) ? type : migratetype::movable;
  const unsigned list = pcp_list_table[order][static_cast<unsigned>(listed)];
  if (list == pcp_lists) [[unlikely]] return free_directly(ctx, z, frame, order);

  // A10.1.
  frames_.mark(frame, order) = frame_mark::per_cpu(order);
  auto& pcp = z.cpus[ctx.cpu.value()];
  pcp.lists[list].push_front({frame, type});
  pcp.count += 1u << order;
  const bool free_high = note_free(pcp, order);
  if (pcp.count >= pcp.high || free_high || z.reclaim_active || z.below_high) [[unlikely]] {
    trim(ctx, z, list, free_high);
  }
}

}  // namespace memsim::detail
