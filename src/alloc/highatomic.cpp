// SPDX-License-Identifier: Apache-2.0
// The reserve for high-order atomic requests (A12, B9).
#include <algorithm>

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

// A pageblock of a reserve becomes the request's type again. With keep_last::yes each zone keeps
// one. \return whether there was one with a free block
bool allocator_core::unreserve_highatomic(context& ctx, const request& wanted, keep_last keep) {
  const bool by_block = profile_.counters == counter_rule::per_block;
  for (auto z = zones_.rbegin(); z != zones_.rend(); ++z) {
    if (z->extent.type > wanted.highest) continue;
    if (z->reserved_highatomic == 0 ||
        (keep == keep_last::yes && z->reserved_highatomic <= pageblock_frames)) {
      continue;
    }
    auto a = act(ctx, *z);
    ++a.done.zone_lock_acquisitions;
    for (unsigned order = 0; order < page_orders; ++order) {
      const auto frame = first_block(*z, order, migratetype::highatomic);
      if (frame == no_frame) continue;
      const auto range = pageblock_range(*z, frame);
      if (by_block && order > pageblock_order.value()) {
        for (frame_index i = 0; i < 1u << order; i += block_frames) {
          set_block_type(frame + i, wanted.type);
        }
        move_alone(a, frame, order, wanted.type);
        z->reserved_highatomic -= std::min<std::uint64_t>(z->reserved_highatomic, 1u << order);
      } else {
        set_block_type(frame, wanted.type);
        if (range.ends_in_zone) move_free_blocks(a, range, wanted.type);
        z->reserved_highatomic -= std::min<std::uint64_t>(z->reserved_highatomic, pageblock_frames);
      }
      z->margins.forget();
      ++reclaim_counts_.highatomic_blocks_unreserved;
      return true;
    }
  }
  return false;
}

}  // namespace memsim::detail
