// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Walks over the frames of a zone in stretches of one kind.

#include <algorithm>
#include <span>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/frame_table.hpp>
#include <memsim/frames/memory_map.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim::detail {

enum class span_kind : unsigned char { hole, free, per_cpu, movable, unmovable };

struct frame_span {
  pfn first{};
  frame_count count = 0;
  span_kind kind{};
};

/// Says where there is memory, to someone who asks in ascending order.
class memory_cursor {
 public:
  explicit memory_cursor(const memory_map& map) : regions_{map.regions()} {}

  /// The part of [first, last) from its start on that is all memory or all hole.
  struct stretch {
    pfn end{};
    bool memory = false;
  };
  [[nodiscard]] stretch at(pfn first, pfn last) {
    while (!regions_.empty() && regions_.front().end() <= first) regions_ = regions_.subspan(1);
    if (regions_.empty()) return {last, false};
    const auto& region = regions_.front();
    if (region.first > first) return {std::min(last, region.first), false};
    return {std::min(last, region.end()), region.kind != region_kind::undescribed};
  }

 private:
  std::span<const memory_region> regions_;
};

/// What the block that begins with this mark is; not for a mark without a block.
[[nodiscard]] inline span_kind kind_of(frame_mark mark) {
  switch (mark.use()) {
    case frame_use::free: return span_kind::free;
    case frame_use::per_cpu: return span_kind::per_cpu;
    default: return mark.movable() ? span_kind::movable : span_kind::unmovable;
  }
}

[[nodiscard]] inline frame_table::node pageblock_of(pfn frame) {
  return static_cast<frame_table::node>(frame.value() / pageblock_frames);
}

/// One past the frames from `first` on, within its pageblock, that are like it in that no block
/// begins at them and they are not flagged movable.
[[nodiscard]] inline pfn end_of_unmarked(const frame_table& frames, pfn first) {
  const pfn end =
      std::min(pfn{(first.value() / pageblock_frames + 1) * pageblock_frames}, frames.end());
  if (!frames.touched(pageblock_of(first))) return end;
  pfn frame = first + 1;
  while (frame < end && frames.marks()[frame.value()] == frame_mark{}) ++frame;
  return frame;
}

/// The mark at a frame, without a look at small blocks' marks where there never were any.
[[nodiscard]] inline frame_mark mark_of(const frame_table& frames, pfn frame) {
  if (frames.touched(pageblock_of(frame))) return frames.mark_at(frame);
  if (frame.value() % pageblock_frames != 0) return {};
  return frames.mark(static_cast<frame_table::node>(frame.value()), pageblock_order.value());
}

/// Calls `visit(frame_span)` for stretches that together cover the zone as far as there are
/// frames, in ascending order.
template <class Visit>
void for_each_span(const page_allocator& memory, const zone_extent& zone, Visit visit) {
  const auto& frames = memory.frames();
  memory_cursor cursor{memory.memory()};
  // A zone may span more than the machine has: the rest is a hole.
  const pfn zone_end = std::min(zone.end(), frames.end());
  for (pfn at = zone.start; at < zone_end;) {
    const auto mark = mark_of(frames, at);
    if (mark.use() != frame_use::none) {
      const auto count = std::min(order{mark.order()}.frames(), zone_end - at);
      visit(frame_span{at, count, kind_of(mark)});
      at += count;
    } else if (mark.movable()) {
      visit(frame_span{at, 1, span_kind::movable});
      ++at;
    } else {
      const pfn end = std::min(end_of_unmarked(frames, at), zone_end);
      const auto [stretch_end, is_memory] = cursor.at(at, end);
      visit(frame_span{at, stretch_end - at, is_memory ? span_kind::unmovable : span_kind::hole});
      at = stretch_end;
    }
  }
}

}  // namespace memsim::detail
