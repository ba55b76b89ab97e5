// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The common case of a request and of a free, in few instructions.
///
/// A request whose preferred zone is remembered to pass its first watermark test, and whose per-CPU
/// list is not empty, touches nothing but the page set and the bit or mark of its block. So does a
/// free that fits the page set. Anything else, bad arguments included, is left to the rules as they
/// are written, with nothing changed: taking the short way or not makes no difference to any
/// decision.
///
/// Both are always inlined, so that a caller that knows the order gets code for it alone.

#include <algorithm>
#include <array>

#include "alloc/watermark_test.hpp"

namespace memsim::detail {

/// Orders that make a page set give everything back when many of them are freed.
[[nodiscard]] constexpr bool is_high_order(unsigned order) { return order - 1 < costly_order; }

[[nodiscard]] constexpr std::uint32_t clamped(std::uint32_t value, std::uint32_t low,
                                              std::uint32_t high) {
  return std::min(std::max(value, low), high);
}

/// pcp_list_of() as a table, none where the type has no lists.
inline constexpr auto pcp_list_table = [] {
  std::array<std::array<std::uint8_t, migratetypes>, page_orders> table{};
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto type : all_migratetypes) {
      const auto list = is_mergeable(type) ? pcp_list_of(o, type) : pcp_lists;
      table[o][static_cast<unsigned>(type)] = static_cast<std::uint8_t>(list);
    }
  }
  return table;
}();

/// A1 to A5 for a block that is at hand, or no_frame.
[[gnu::always_inline]] inline frame_index allocator_core::allocate_hot(context& ctx, unsigned order,
                                                                       gfp flags) {
  const route& way = routes_[flags.bits() % routes_.size()];
  const unsigned cpu = ctx.cpu.value();
  if (order >= page_orders || cpu >= hot_cpus_ || way.zone == no_zone) return no_frame;

  zone& z = zones_[way.zone];
  const unsigned entry = way.margin | (z.below_high ? 0u : first_mark_);
  if ((z.margins.suffices_for_page >> entry & 1) == 0) return no_frame;
  if (order != 0) {
    if (z.margins.margin[entry] < std::int64_t{1} << order) return no_frame;
    if ((z.free_orders[0] | z.free_orders[1] | z.free_orders[2]) >> order == 0) return no_frame;
  }
  auto& pcp = z.cpus[cpu];
  const unsigned list = order == 0 ? way.type : pcp_list_table[order][way.type];
  if (order != 0 && list == pcp_lists) return no_frame;
  auto& ring = pcp.lists[list];
  if (ring.empty()) return no_frame;

  // A5.1, B4; the profile that does not use one of them keeps it at zero.
  pcp.free_factor >>= 1;
  pcp.free_count >>= 1;
  pcp.count -= 1u << order;
  const frame_index frame = ring.pop_front().frame();
  if (order == 0) {
    frames_.hand_out_page(frame);
  } else {
    frames_.mark(frame, order) = frame_mark::allocated(order);
  }
  ++counts_.allocations[order];
  if (flags.has_any(gfp_flag::zero)) ctx.done.pages_zeroed += 1u << order;
  return frame;
}

/// What a page set notes of a free (A10.2, B6); whether everything must be given back ("free-high").
[[gnu::always_inline]] inline bool allocator_core::note_free(per_cpu_pages& pcp, unsigned order) const {
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

/// A10.1 to A10.3, B6: to the head of a per-CPU list, and more than that only beyond the limit.
[[gnu::always_inline]] inline void allocator_core::free_to_pcp(context& ctx, zone& z, frame_index frame, unsigned order,
                                        unsigned list, migratetype type) {
  auto& pcp = z.cpus[ctx.cpu.value()];
  pcp.lists[list].push_front({frame, type});
  pcp.count += 1u << order;
  const bool free_high = note_free(pcp, order);
  if (pcp.count >= pcp.high || free_high || z.reclaim_active || z.below_high) [[unlikely]] {
    trim(ctx, z, list, free_high);
  }
}

/// Whether the block was freed; if not, nothing has changed.
[[gnu::always_inline]] inline bool allocator_core::free_hot(context& ctx, std::uint64_t block,
                                                            unsigned order) {
  if (order >= page_orders || ctx.cpu.value() >= hot_cpus_ || block >= frames_.end().value()) {
    return false;
  }
  const auto frame = static_cast<frame_index>(block);
  const auto type = block_type(frame);
  const unsigned list = order == 0 && is_mergeable(type)
                            ? static_cast<unsigned>(type)
                            : pcp_list_table[order][static_cast<unsigned>(type)];
  if (list == pcp_lists) return false;
  if (order == 0) {
    if (!frames_.is_page_out(frame)) return false;
    frames_.take_back_page(frame);
  } else {
    if (frame % (1u << order) != 0) return false;
    auto& mark = frames_.mark(frame, order);
    if (!mark.is_allocated(order)) return false;
    mark = frame_mark::per_cpu(order);
  }
  ++counts_.frees[order];
  free_to_pcp(ctx, zone_of(frame), frame, order, list, type);
  return true;
}

// Few zones, and most frames are in the highest.
inline zone& allocator_core::zone_of(frame_index frame) {
  auto* z = &zones_.back();
  while (frame < z->extent.start.value() && z != zones_.data()) --z;
  return *z;
}

}  // namespace memsim::detail
