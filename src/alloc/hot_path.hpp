// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The common case of a request and of a free, in few instructions.
///
/// A request for one page whose preferred zone is remembered to pass its first watermark test, and
/// whose per-CPU list is not empty, touches nothing but the page set and the mark of the page. So
/// does the free of a page that fits the page set. Anything else, bad arguments included, is left
/// to the rules as they are written, with nothing changed: taking the short way or not makes no
/// difference to any decision.

#include <algorithm>

#include "alloc/watermark_test.hpp"

namespace memsim::detail {

/// Orders that make a page set give everything back when many of them are freed.
[[nodiscard]] constexpr bool is_high_order(unsigned order) { return order - 1 < costly_order; }

[[nodiscard]] constexpr std::uint32_t clamped(std::uint32_t value, std::uint32_t low,
                                              std::uint32_t high) {
  return std::min(std::max(value, low), high);
}

/// A1 to A5 for a page that is at hand, or no_frame.
inline frame_index allocator_core::allocate_hot(context& ctx, unsigned order, gfp flags) {
  const route& way = routes_[flags.bits() % routes_.size()];
  const unsigned cpu = ctx.cpu.value();
  if (order != 0 || cpu >= hot_cpus_ || way.zone == no_zone) return no_frame;

  zone& z = zones_[way.zone];
  const unsigned margin = way.margin | (z.below_high ? 0u : first_mark_);
  if ((z.margins.suffices_for_page >> margin & 1) == 0) return no_frame;
  auto& pcp = z.cpus[cpu];
  auto& ring = pcp.lists[way.type];
  if (ring.empty()) return no_frame;

  // A5.1, B4; the profile that does not use one of them keeps it at zero.
  pcp.free_factor >>= 1;
  pcp.free_count >>= 1;
  --pcp.count;
  const frame_index frame = ring.pop_front().frame();
  frames_.low_mark(frame) = frame_mark::allocated(0);
  ++counts_.allocations[0];
  if (flags.has_any(gfp_flag::zero)) ++ctx.done.pages_zeroed;
  return frame;
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

/// A10.1 to A10.3, B6: to the head of a per-CPU list, and more than that only beyond the limit.
inline void allocator_core::free_to_pcp(context& ctx, zone& z, frame_index frame, unsigned order,
                                        unsigned list, migratetype type) {
  auto& pcp = z.cpus[ctx.cpu.value()];
  pcp.lists[list].push_front({frame, type});
  pcp.count += 1u << order;
  const bool free_high = note_free(pcp, order);
  if (pcp.count >= pcp.high || free_high || z.reclaim_active || z.below_high) [[unlikely]] {
    trim(ctx, z, list, free_high);
  }
}

/// Whether the page was freed; if not, nothing has changed.
inline bool allocator_core::free_hot(context& ctx, std::uint64_t block, unsigned order) {
  if (order != 0 || ctx.cpu.value() >= hot_cpus_ || block >= frames_.end().value()) return false;
  const auto frame = static_cast<frame_index>(block);
  auto& mark = frames_.low_mark(frame);
  if (!mark.is_allocated(0)) return false;
  const auto type = block_type(frame);
  if (!is_mergeable(type)) return false;

  mark = frame_mark::per_cpu(0);
  ++counts_.frees[0];
  free_to_pcp(ctx, zone_of(frame), frame, 0, static_cast<unsigned>(type), type);
  return true;
}

// Few zones, and most frames are in the highest.
inline zone& allocator_core::zone_of(frame_index frame) {
  auto* z = &zones_.back();
  while (frame < z->extent.start.value() && z != zones_.data()) --z;
  return *z;
}

}  // namespace memsim::detail
