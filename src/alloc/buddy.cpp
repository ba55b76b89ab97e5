// SPDX-License-Identifier: Apache-2.0
// The buddy system: smallest fit, splitting (A7) and merging (A11, B8).
#include <algorithm>
#include <bit>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/merging.hpp"

namespace memsim::detail {

// A7. The lower part is kept; each upper half goes to the head one order lower, same type.
void allocator_core::split(actor& a, frame_index frame, unsigned from, unsigned to,
                           migratetype type) {
  if (from >= pageblock_order.value() && to < pageblock_order.value()) {
    frames_.touch(frame / block_frames);
  }
  a.done.blocks_split += from - to;
  while (from > to) {
    --from;
    insert(a, frame + (1u << from), from, type, list_end::head);
  }
}

// A7.
frame_index allocator_core::take_smallest(actor& a, unsigned order, migratetype type) {
  const unsigned found = lowest_order_with(a.z, order, type);
  if (found == page_orders) return no_frame;
  const frame_index frame = take_first(a, found, type);
  split(a, frame, found, order, type);
  return frame;
}

// Takes up to `most` blocks as so many calls of take_smallest() would that all find the same
// smallest block: it is consumed in address order, since each rest is then the smallest there is.
// What is left of it goes back at once; no list below its order has another block to keep order
// with.
block_run allocator_core::take_run(actor& a, unsigned order, migratetype type, std::uint32_t most) {
  const unsigned found = lowest_order_with(a.z, order, type);
  if (found == page_orders) return {};
  const frame_index frame = take_first(a, found, type);
  if (found >= pageblock_order.value() && order < pageblock_order.value()) {
    frames_.touch(frame / block_frames);
    if (found > pageblock_order.value()) frames_.touch(frame / block_frames + 1);
  }
  const std::uint32_t count = std::min(most, 1u << (found - order));
  const frame_index end = frame + (1u << found);
  std::uint32_t rests = 0;
  for (frame_index rest = frame + (count << order); rest < end; ++rests) {
    const auto rest_order = static_cast<unsigned>(std::countr_zero(rest));
    insert(a, rest, rest_order, type, list_end::head);
    rest += 1u << rest_order;
  }
  // One by one, each but the first block would have been listed and unlisted on its way out.
  a.done.blocks_split += count + rests - 1;
  a.done.list_insertions += count - 1;
  a.done.list_removals += count - 1;
  return {frame, count};
}

// A11: the free block is counted, merged with its buddies and listed.
void allocator_core::give_back(actor& a, frame_index frame, unsigned order, migratetype type) {
  count_block(a, std::int64_t{1} << order, type);
  if (capture_zone_ == &a.z && merge_capturing(a, frame, order, type)) return;
  count_merges(a, merge(a, frame, order, type));
}

// Compaction A10, B11: whether a block that has come to this order is what a request waits for.
bool allocator_core::captures(unsigned order, migratetype type) const {
  if (order != capture_order_ || order >= max_page_order.value() || captured_ != no_frame) {
    return false;
  }
  if (type == migratetype::cma || type == migratetype::isolate) return false;
  if (order >= pageblock_order.value() || type != migratetype::movable) return true;
  return profile_.captures_movable == rule::on && capture_type_ == migratetype::movable;
}

// Whether merging would bring a block to the order that is waited for; it is kept then, and its
// pages are counted out again.
bool allocator_core::merge_capturing(actor& a, frame_index frame, unsigned order,
                                     migratetype type) {
  if (!captures(capture_order_, type)) return false;
  frame_index head = frame;
  for (unsigned o = order; o < capture_order_; ++o) {
    const frame_index buddy = head ^ (1u << o);
    if (!frames_.mark(buddy, o).is_free(o)) return false;
    if (o >= pageblock_order.value()) {
      const auto other = block_type(buddy);
      if (type != other && !(is_mergeable(type) && is_mergeable(other))) return false;
    }
    head &= buddy;
  }
  if (order > capture_order_) return false;
  for (head = frame; order < capture_order_; ++order) {
    const frame_index buddy = head ^ (1u << order);
    remove(a, buddy, order);
    ++a.done.blocks_merged;
    head &= buddy;
  }
  count_block(a, -(std::int64_t{1} << order), type);
  captured_ = head;
  return true;
}

// A11.2 and A11.3 from pageblock order on, B8.
void allocator_core::merge_large(actor& a, frame_index frame, unsigned order, migratetype type,
                                 list_end end) {
  for (; order < max_page_order.value(); ++order) {
    const frame_index buddy = frame ^ (1u << order);
    if (!frames_.mark(buddy, order).is_free(order)) break;
    const auto buddy_type = block_type(buddy);
    if (type != buddy_type) {
      if (!is_mergeable(type) || !is_mergeable(buddy_type)) break;
      if (profile_.merging_retypes_pageblock == rule::on) set_block_type(buddy, type);
    }
    remove(a, buddy, order);
    frame &= buddy;
    ++a.done.blocks_merged;
  }
  insert(a, frame, order, type, end);
}

// The entry at a position becomes the head; those before it go, in order, to the tail.
void allocator_core::rotate(zone& z, unsigned order, migratetype type, free_list_position head) {
  auto& list = z.lists[list_number(order, type)];
  const auto first = list.first();
  const auto last = list.last();
  const auto replace = [&](frame_index frame, free_list_position at) {
    frames_.place(frame, order) = at;
  };
  if (head - first <= last - head) {
    for (auto at = first; at != head; ++at) {
      const bool current = is_current(frames_, list, at, order, type);
      const auto frame = list.pop_front();
      if (current) replace(frame, list.push_back(frame));
    }
  } else {
    for (auto at = last; at != head;) {
      --at;
      const bool current = is_current(frames_, list, at, order, type);
      const auto frame = list.pop_back();
      if (current) replace(frame, list.push_front(frame));
    }
  }
}

// Drops the stale entries of a full list, or doubles it if few are.
void allocator_core::make_room(zone& z, unsigned order, migratetype type) {
  auto& list = z.lists[list_number(order, type)];
  const std::uint32_t blocks = z.free_blocks[order][static_cast<unsigned>(type)];
  if (blocks >= list.capacity() - list.capacity() / 4) return list.grow();
  list.compact(
      [&](free_list::position at, frame_index) {
        prefetch_entry(frames_, list, at, order, type);
        return is_current(frames_, list, at, order, type);
      },
      [&](frame_index frame, free_list::position at) { frames_.place(frame, order) = at; });
}

}  // namespace memsim::detail
