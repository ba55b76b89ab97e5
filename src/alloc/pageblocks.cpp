// SPDX-License-Identifier: Apache-2.0
// Pageblocks judged and moved as a whole (A9), and the boost that mixing them brings.
#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/hot_path.hpp"

namespace memsim::detail {
namespace {

// Zones smaller than this many pages are not boosted: reclaim would find nothing there.
constexpr frame_count smallest_boosted_zone = 4 * pageblock_frames;

}  // namespace

// A9.5: the range starts at the pageblock's start, or at the block itself if that start is before
// the zone.
block_range allocator_core::pageblock_range(const zone& z, frame_index frame) {
  const auto zone_start = static_cast<frame_index>(z.extent.start.value());
  const auto zone_end = static_cast<frame_index>(z.extent.end().value());
  const frame_index start = frame / block_frames * block_frames;
  const frame_index last = start + block_frames;
  const bool starts_in_zone = start >= zone_start;
  const bool ends_in_zone = last <= zone_end;
  return {starts_in_zone ? start : frame, last, ends_in_zone, starts_in_zone && ends_in_zone};
}

block_census allocator_core::census(actor& a, const block_range& range) const {
  block_census found;
  const frame_mark* const marks = frames_.marks();
  for (frame_index frame = range.first; frame < range.last;) {
    const frame_mark mark = marks[frame];
    if (mark.use() == frame_use::free) {
      found.free += 1u << mark.order();
      frame += 1u << mark.order();
    } else {
      // The flag stands at the block's first frame, and holds for all of its pages.
      if (mark.movable()) found.movable += 1u << mark.order();
      ++frame;
    }
  }
  a.done.pages_scanned += range.last - range.first;
  return found;
}

// Every free block of the range, in ascending order, to the tail of its order's list of the type.
void allocator_core::move_free_blocks(actor& a, const block_range& range, migratetype type) {
  const frame_mark* const marks = frames_.marks();
  for (frame_index frame = range.first; frame < range.last;) {
    const frame_mark mark = marks[frame];
    if (mark.use() == frame_use::free) {
      move_alone(a, frame, mark.order(), type);
      frame += 1u << mark.order();
    } else {
      ++frame;
    }
  }
  a.done.pages_scanned += range.last - range.first;
}

void allocator_core::move_alone(actor& a, frame_index frame, unsigned order, migratetype type) {
  const std::int64_t pages = std::int64_t{1} << order;
  if (profile_.counters == counter_rule::per_block) {
    count_block(a, -pages, static_cast<migratetype>(frames_.mark(frame, order).list()));
    count_block(a, pages, type);
  }
  remove(a, frame, order);
  insert(a, frame, order, type, list_end::tail);
}

// Every free block of the zone's part of the pageblock, in ascending order, leaves its list.
std::vector<allocated_block> allocator_core::take_free_blocks(context& ctx, frame_index frame) {
  auto a = act(ctx, zone_of(frame));
  ++a.done.zone_lock_acquisitions;
  const auto range = pageblock_range(a.z, frame);
  const auto end = std::min(range.last, static_cast<frame_index>(a.z.extent.end().value()));
  const frame_mark* const marks = frames_.marks();
  std::vector<allocated_block> taken;
  for (frame_index first = range.first; first < end;) {
    const frame_mark mark = marks[first];
    if (mark.use() != frame_use::free) {
      ++first;
      continue;
    }
    const unsigned order = mark.order();
    count_block(a, -(std::int64_t{1} << order), static_cast<migratetype>(mark.list()));
    remove(a, first, order);
    frames_.set_allocated(first, order);
    taken.push_back({pfn{first}, memsim::order{order}});
    first += 1u << order;
  }
  a.done.pages_scanned += end - range.first;
  return taken;
}

// A9.6: enough of the pageblock is free or in use by pages like the requested ones.
bool allocator_core::has_enough_alike(const block_census& found, migratetype wanted,
                                      migratetype old_type) const {
  frame_count alike = 0;
  if (wanted == migratetype::movable) {
    alike = found.movable;
  } else if (old_type == migratetype::movable) {
    alike = pageblock_frames - found.free - found.movable;
  }
  return found.free + alike >= pageblock_frames / 2;
}

// A9.3.
void allocator_core::boost_watermarks(actor& a, const request& wanted) {
  if (settings_.watermark_boost_factor == 0) return;
  if (a.z.extent.managed < smallest_boosted_zone) return;
  const std::uint64_t largest = std::max<std::uint64_t>(
      pageblock_frames, a.z.marks.high * settings_.watermark_boost_factor / 10000);
  a.z.boost = std::min(a.z.boost + pageblock_frames, largest);
  a.z.margins.forget();
  if (wanted.wakes_kswapd) a.z.boosted = true;
  ++counts_.watermark_boosts;
}

}  // namespace memsim::detail
