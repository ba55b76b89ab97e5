// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The common case of a request and of a free, in few instructions.
///
/// A request for which a zone is remembered to pass its first watermark test, and whose per-CPU
/// list is not empty, touches nothing but the page set and the bit or mark of its block. So does a
/// free that fits the page set. Anything else, bad arguments included, is left to the rules as they
/// are written, with nothing changed: taking the short way or not makes no difference to any
/// decision.
///
/// Both are always inlined, so that a caller that knows the order gets code for it alone.

#include <array>

#include "alloc/watermark_test.hpp"

namespace memsim::detail {

/// Orders that make a page set give everything back when many of them are freed.
[[nodiscard]] constexpr bool is_high_order(unsigned order) { return order - 1 < costly_order; }

/// Modelling assumption: where the limits cross, as they do when min_free_kbytes is set high, what
/// is below the upper limit becomes the lower one.
[[nodiscard]] constexpr std::uint32_t clamped(std::uint32_t value, std::uint32_t low,
                                              std::uint32_t high) {
  if (value >= high) return high;
  return value <= low ? low : value;
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

/// Whether a zone is remembered to have a page for requests of this route.
[[nodiscard]] inline bool suffices(const zone& z, const route& way) {
  return (z.margins.suffices_for_page >> (way.margin | z.first_mark) & 1) != 0;
}

/// Whether such a request leaves the zone alone and changes nothing there: it is remembered to be
/// below the low mark, and if the high mark is tested first, seen to be below that.
[[nodiscard]] inline bool is_passed_over(const zone& z, const route& way) {
  return z.first_mark == 0 && (z.margins.known >> way.margin & 1) != 0 &&
         z.margins.margin[way.margin] <= 0;
}

/// Takes a block of the request's own type off its per-CPU list in the zone that the request tries
/// first, by A1 to A5; no_frame if it takes more than that to tell.
[[gnu::always_inline]] inline frame_index allocator_core::allocate_hot(context& ctx, unsigned order,
                                                                       gfp flags) {
  const route& way = routes_[flags.bits() % routes_.size()];
  if (order >= page_orders || ctx.cpu.value() >= hot_cpus_) return no_frame;

  zone& z = zones_[way.zone];
  if (!suffices(z, way)) return no_frame;
  if (order != 0) {
    if (z.margins.margin[way.margin | z.first_mark] < std::int64_t{1} << order) return no_frame;
    if ((z.free_orders[0] | z.free_orders[1] | z.free_orders[2]) >> order == 0) return no_frame;
  }
  return take_hot(ctx, z, way, order, flags);
}

/// Takes a block off the per-CPU list of a zone that is known to pass; no_frame if it is empty.
[[gnu::always_inline]] inline frame_index allocator_core::take_hot(context& ctx, zone& z,
                                                                   const route& way, unsigned order,
                                                                   gfp flags) {
  const unsigned list = order == 0 ? way.type : pcp_list_table[order][way.type];
  if (order != 0 && list == pcp_lists) return no_frame;
  auto& pcp = z.cpus[ctx.cpu.value()];
  auto& blocks = pcp.lists[list];
  if (blocks.empty()) return no_frame;

  // A5.1, B4; the profile that does not use one of them keeps it at zero.
  pcp.free_factor >>= 1;
  pcp.free_count >>= 1;
  pcp.count -= 1u << order;
  const frame_index frame = blocks.pop_front().frame();
  if (order == 0) {
    frames_.hand_out_page(frame);
  } else {
    frames_.mark(frame, order) =
        flags.has_any(gfp_flag::comp) ? frame_mark::compound(order) : frame_mark::allocated(order);
  }
  ++counts_.allocations[order];
  if (flags.has_any(gfp_flag::zero)) ctx.done.pages_zeroed += 1u << order;
  return frame;
}

/// Whether a free that brings the page set to `count` pages makes it give everything back
/// ("free-high"; A10.2, B6).
[[gnu::always_inline]] inline bool allocator_core::is_free_high(const per_cpu_pages& pcp,
                                                                unsigned order,
                                                                std::uint32_t count) const {
  if (!is_high_order(order)) return false;
  if (profile_.pcp == pcp_rule::fixed_high) return pcp.free_factor > 0;
  return pcp.free_count >= pcp.batch && pcp.previous_free_high_order &&
         (!pcp.free_high_batch || count >= pcp.batch);
}

/// What a page set notes of a free (B6); the profile that notes nothing has a limit of zero.
[[gnu::always_inline]] inline void allocator_core::note_free(per_cpu_pages& pcp,
                                                             unsigned order) const {
  pcp.alloc_factor >>= 1;
  pcp.previous_free_high_order = is_high_order(order) && pcp.free_count_limit != 0;
  if (pcp.free_count < pcp.free_count_limit) pcp.free_count += 1u << order;
}

/// Marks a block in use as one on a per-CPU list; false if it is no such block.
[[gnu::always_inline]] inline bool allocator_core::end_allocation_hot(frame_index frame,
                                                                      unsigned order) {
  if (order == 0) return frames_.take_back_page_if_out(frame);
  const auto mark = frames_.mark(frame, order);
  if (frame % (1u << order) != 0 || !mark.is_allocated(order) || mark.movable()) return false;
  frames_.mark(frame, order) = frame_mark::per_cpu(order);
  return true;
}

/// Puts a block in use at the head of its per-CPU list, by A10.1 to A10.3 and B6; false, and
/// nothing changed, if it takes more than that.
[[gnu::always_inline]] inline bool allocator_core::free_hot(context& ctx, std::uint64_t block,
                                                            unsigned order) {
  const unsigned cpu = ctx.cpu.value();
  if (order >= page_orders || cpu >= hot_cpus_ || block >= frames_.end().value()) return false;
  const auto frame = static_cast<frame_index>(block);
  const auto type = block_type(frame);
  if (!is_mergeable(type)) return false;
  const unsigned list =
      order == 0 ? static_cast<unsigned>(type) : pcp_list_table[order][static_cast<unsigned>(type)];
  if (list == pcp_lists) return false;

  auto& pcp = zone_of(frame).cpus[cpu];
  auto& blocks = pcp.lists[list];
  const std::uint32_t count = pcp.count + (1u << order);
  if (count >= pcp.trim_at || blocks.full() || is_free_high(pcp, order, count)) return false;

  // What the frame table says is waited for last, when all else has been done.
  blocks.push_front({frame, type});
  pcp.count += 1u << order;
  if (!end_allocation_hot(frame, order)) [[unlikely]] {
    blocks.pop_front();
    pcp.count -= 1u << order;
    return false;
  }
  note_free(pcp, order);
  ++counts_.frees[order];
  return true;
}

// Few zones, and most frames are in the highest.
inline zone& allocator_core::zone_of(frame_index frame) {
  auto* z = &zones_.back();
  while (frame < z->extent.start.value() && z != zones_.data()) --z;
  return *z;
}

}  // namespace memsim::detail
