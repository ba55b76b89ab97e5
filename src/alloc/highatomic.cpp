// SPDX-License-Identifier: Apache-2.0
// The reserve for high-order atomic requests (A12, B9).
#include <algorithm>
#include <bit>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"

namespace memsim::detail {
namespace {

// Pages that may be reserved before no more are.
std::uint64_t reserve_limit(const kernel_profile& profile, const zone& z) {
  const std::uint64_t hundredth = z.extent.managed / 100;
  if (profile.highatomic_reserve == highatomic_limit::hundredth_plus_block) {
    return hundredth + pageblock_frames;
  }
  if (hundredth < pageblock_frames) return 0;
  return (hundredth + pageblock_frames - 1) / pageblock_frames * pageblock_frames;
}

// The pageblock, or the pageblocks, that a free block of the reserve is part of.
void release(allocator_core& core, actor& a, frame_index frame, unsigned order, migratetype type) {
  frame_count released = pageblock_frames;
  if (core.profile_.counters == counter_rule::per_block && order > pageblock_order.value()) {
    released = frame_count{1} << order;
    for (frame_index i = 0; i < released; i += static_cast<frame_index>(pageblock_frames)) {
      core.set_block_type(frame + i, type);
    }
    core.move_alone(a, frame, order, type);
  } else {
    const auto range = allocator_core::pageblock_range(a.z, frame);
    core.set_block_type(frame, type);
    if (range.ends_in_zone) core.move_free_blocks(a, range, type);
  }
  a.z.reserved_highatomic -= std::min(a.z.reserved_highatomic, released);
  a.z.margins.forget();
}

}  // namespace

// A12, B9: the pageblock of a page that a high-order atomic request got joins the reserve.
void allocator_core::reserve_highatomic(actor& a, frame_index frame, unsigned order) {
  if (a.z.reserved_highatomic >= reserve_limit(profile_, a.z)) return;
  if (!is_mergeable(block_type(frame))) return;

  const bool by_block = profile_.counters == counter_rule::per_block;
  if (by_block && order >= pageblock_order.value()) {
    for (frame_index i = 0; i < 1u << order; i += block_frames) {
      set_block_type(frame + i, migratetype::highatomic);
    }
    a.z.reserved_highatomic += 1u << order;
  } else {
    const auto range = pageblock_range(a.z, frame);
    if (by_block && !range.whole) return;
    a.z.reserved_highatomic += pageblock_frames;
    set_block_type(frame, migratetype::highatomic);
    if (range.ends_in_zone) move_free_blocks(a, range, migratetype::highatomic);
  }
  a.z.margins.forget();
  ++counts_.highatomic_blocks_reserved;
}

// A pageblock of a reserve that has free pages becomes the request's type again. With
// keep_last::yes each zone keeps one.
bool allocator_core::unreserve_highatomic(context& ctx, const request& wanted, keep_last keep) {
  const frame_count kept = keep == keep_last::yes ? pageblock_frames : 0;
  for (auto z = zones_.rbegin(); z != zones_.rend(); ++z) {
    const auto orders = z->free_orders[static_cast<unsigned>(migratetype::highatomic)];
    if (z->extent.type > wanted.highest || z->reserved_highatomic <= kept || orders == 0) continue;
    auto a = act(ctx, *z);
    ++a.done.zone_lock_acquisitions;
    const auto order = static_cast<unsigned>(std::countr_zero(orders));
    release(*this, a, first_block(*z, order, migratetype::highatomic), order, wanted.type);
    ++reclaim_counts_.highatomic_blocks_unreserved;
    return true;
  }
  return false;
}

}  // namespace memsim::detail
