// SPDX-License-Identifier: Apache-2.0
// A request from its flags to its page: attempts, zones, watermarks (A1, A2, A4, A14, B1).
#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {

// A1.
frame_index allocator_core::allocate(context& ctx, const request& wanted) {
  const std::size_t preferred = preferred_zone_[static_cast<unsigned>(wanted.highest)];
  if (preferred == no_zone) return no_frame;

  auto how = first_attempt(wanted, zones_[preferred].extent.type == zone_type::normal);
  frame_index frame = walk_zones(ctx, wanted, how, preferred);
  if (frame == no_frame && how.no_fragment) {
    how.no_fragment = false;
    frame = walk_zones(ctx, wanted, how, preferred);
  }
  return frame != no_frame ? frame : allocate_slowly(ctx, wanted, preferred);
}

// allocate_hot() of a page, in the zones below that which the request tries first.
frame_index allocator_core::allocate_page_below(context& ctx, gfp flags) {
  const route& way = routes_[flags.bits() % routes_.size()];
  if (ctx.cpu.value() >= hot_cpus_) return no_frame;
  for (zone* z = &zones_[way.zone]; z != zones_.data() && is_passed_over(*z, way);) {
    if (suffices(*--z, way)) return take_hot(ctx, *z, way, 0, flags);
  }
  return no_frame;
}

// A2.
frame_index allocator_core::walk_zones(context& ctx, const request& wanted, attempt how,
                                       std::size_t preferred) {
  for (std::size_t i = preferred + 1; i-- > 0;) {
    zone& z = zones_[i];
    if (!admits(z, wanted, how)) continue;
    auto a = act(ctx, z);
    const auto frame = take_page(a, wanted, how);
    if (z.boosted && (wanted.wakes_kswapd || profile_.boosted_flag_needs_kswapd == rule::off)) {
      z.boosted = false;  // A14
      ++counts_.kswapd_wakeups;
      wake_kswapd({order{0}, z.extent.type}, false);
    }
    if (frame == no_frame) continue;
    if (how.highatomic) reserve_highatomic(a, frame, wanted.order);
    return frame;
  }
  return no_frame;
}

// A3, B1.
bool allocator_core::admits(zone& z, const request& wanted, attempt how) const {
  if (how.no_marks) return true;
  if (profile_.high_mark_first == rule::on && !z.below_high) {
    if (passes(profile_, z, wanted, how, watermark::high)) return true;
    set_below_high(z, true);
  }
  return passes(profile_, z, wanted, how, how.mark);
}

// A4.
frame_index allocator_core::take_page(actor& a, const request& wanted, attempt how) {
  if (const unsigned list = pcp_list_of(wanted.order, wanted.type); list != pcp_lists) {
    const auto frame = allocate_from_pcp(a, wanted, how, list);
    if (frame != no_frame) return frame;
  }
  return take_directly(a, wanted, how);
}

// A4, without the per-CPU lists.
frame_index allocator_core::take_directly(actor& a, const request& wanted, attempt how) {
  ++a.done.zone_lock_acquisitions;
  const auto from_reserve = [&] {
    return taken_block{take_from(a, wanted.order, migratetype::highatomic),
                       migratetype::highatomic};
  };
  taken_block block;
  if (how.highatomic) block = from_reserve();
  if (!block) {
    auto mode = search_mode::normal;
    block = choose(a, wanted, how, mode);
  }
  if (!block && how.non_blocking) block = from_reserve();
  if (block && profile_.counters == counter_rule::per_operation) {
    count_block(a, -(std::int64_t{1} << wanted.order), block.type);
  }
  return block.frame;
}

}  // namespace memsim::detail
