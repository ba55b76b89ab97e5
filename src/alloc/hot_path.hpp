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

/// The page set that has a block at hand for the request, by A1 to A5; none if it takes more than
/// that to tell. Nothing has changed yet.
[[gnu::always_inline]] inline hot_source allocator_core::find_source(const context& ctx,
                                                                     unsigned order, gfp flags) {
  const route& way = routes_[flags.bits() % routes_.size()];
  const unsigned cpu = ctx.cpu.value();
  if (order >= page_orders || cpu >= hot_cpus_) return {};

  zone& z = zones_[way.zone];
  const unsigned entry = way.margin | (z.below_high ? 0u : first_mark_);
  if ((z.margins.suffices_for_page >> entry & 1) == 0) return {};
  if (order != 0) {
    if (z.margins.margin[entry] < std::int64_t{1} << order) return {};
    if ((z.free_orders[0] | z.free_orders[1] | z.free_orders[2]) >> order == 0) return {};
  }
  const unsigned list = order == 0 ? way.type : pcp_list_table[order][way.type];
  if (order != 0 && list == pcp_lists) return {};
  auto& pcp = z.cpus[cpu];
  auto& ring = pcp.lists[list];
  if (ring.empty()) return {};
  return {&pcp, &ring};
}

/// Takes the block that find_source() found.
[[gnu::always_inline]] inline frame_index allocator_core::allocate_hot(context& ctx,
                                                                       hot_source from,
                                                                       unsigned order, gfp flags) {
  // A5.1, B4; the profile that does not use one of them keeps it at zero.
  from.pcp->free_factor >>= 1;
  from.pcp->free_count >>= 1;
  from.pcp->count -= 1u << order;
  const frame_index frame = from.ring->pop_front().frame();
  if (order == 0) {
    frames_.hand_out_page(frame);
  } else {
    frames_.mark(frame, order) = frame_mark::allocated(order);
  }
  ++counts_.allocations[order];
  if (flags.has_any(gfp_flag::zero)) ctx.done.pages_zeroed += 1u << order;
  return frame;
}

/// What a page set notes of a free (A10.2, B6); whether everything must be given back
/// ("free-high").
[[gnu::always_inline]] inline bool allocator_core::note_free(per_cpu_pages& pcp,
                                                             unsigned order) const {
  const bool high_order = is_high_order(order);
  if (profile_.pcp == pcp_rule::fixed_high) return high_order && pcp.free_factor > 0;

  pcp.alloc_factor >>= 1;
  const bool free_high = high_order && pcp.free_count >= pcp.batch &&
                         pcp.previous_free_high_order &&
                         (!pcp.free_high_batch || pcp.count >= pcp.batch);
  pcp.previous_free_high_order = high_order;
  if (pcp.free_count < pcp.largest_batch) pcp.free_count += 1u << order;
  if (pcp.high - pcp.high_min > pcp.high_max - pcp.high_min) [[unlikely]] {
    pcp.high = clamped(pcp.high, pcp.high_min, pcp.high_max);
  }
  return free_high;
}

/// A10.1 to A10.3, B6: to the head of a per-CPU list that has a slot left, and more than that only
/// beyond the limit.
[[gnu::always_inline]] inline void allocator_core::free_to_pcp(context& ctx, zone& z,
                                                               per_cpu_pages& pcp, packed_page page,
                                                               unsigned order, unsigned list) {
  pcp.lists[list].push_front_unchecked(page);
  pcp.count += 1u << order;
  const bool free_high = note_free(pcp, order);
  if (pcp.count >= pcp.high || free_high || z.reclaim_active || z.below_high) [[unlikely]] {
    return trim(ctx, z, list, free_high);
  }
}

/// The page set that a block in use can be freed to the short way; no zone if it can't. Nothing has
/// changed yet.
[[gnu::always_inline]] inline hot_target allocator_core::find_target(const context& ctx,
                                                                     std::uint64_t block,
                                                                     unsigned order) {
  const unsigned cpu = ctx.cpu.value();
  if (order >= page_orders || cpu >= hot_cpus_ || block >= frames_.end().value()) return {};
  const auto frame = static_cast<frame_index>(block);
  const auto type = block_type(frame);
  const unsigned list = order == 0 && is_mergeable(type)
                            ? static_cast<unsigned>(type)
                            : pcp_list_table[order][static_cast<unsigned>(type)];
  if (list == pcp_lists) return {};
  if (order == 0 ? !frames_.is_page_out(frame)
                 : frame % (1u << order) != 0 || !frames_.mark(frame, order).is_allocated(order)) {
    return {};
  }
  zone& z = zone_of(frame);
  auto& pcp = z.cpus[cpu];
  if (pcp.lists[list].full()) return {};
  return {&z, &pcp, {frame, type}, list};
}

/// Frees a block to the page set that find_target() found.
[[gnu::always_inline]] inline void allocator_core::free_hot(context& ctx, const hot_target& to,
                                                            unsigned order) {
  const frame_index frame = to.page.frame();
  if (order == 0) {
    frames_.take_back_page(frame);
  } else {
    frames_.mark(frame, order) = frame_mark::per_cpu(order);
  }
  ++counts_.frees[order];
  return free_to_pcp(ctx, *to.z, *to.pcp, to.page, order, to.list);
}

// Few zones, and most frames are in the highest.
inline zone& allocator_core::zone_of(frame_index frame) {
  auto* z = &zones_.back();
  while (frame < z->extent.start.value() && z != zones_.data()) --z;
  return *z;
}

}  // namespace memsim::detail
