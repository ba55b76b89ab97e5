// SPDX-License-Identifier: Apache-2.0
// The buddy system: smallest fit, splitting (A7) and merging (A11, B8).
#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"

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
  const frame_index frame = first_block(a.z, found, type);
  remove(a, frame, found);
  split(a, frame, found, order, type);
  return frame;
}

// A11: the free block is counted, merged with its buddies and listed.
void allocator_core::give_back(actor& a, frame_index frame, unsigned order, migratetype type) {
  count_block(a, std::int64_t{1} << order, type);
  merge(a, frame, order, type);
}

// A11.2 and A11.3, B8.
void allocator_core::merge(actor& a, frame_index frame, unsigned order, migratetype type) {
  while (order < max_page_order.value()) {
    const frame_index buddy = frame ^ (1u << order);
    if (!frames_.mark(buddy, order).is_free(order)) break;
    if (order >= pageblock_order.value()) {
      const auto buddy_type = block_type(buddy);
      if (type != buddy_type) {
        if (!is_mergeable(type) || !is_mergeable(buddy_type)) break;
        if (profile_.merging_retypes_pageblock == rule::on) set_block_type(buddy, type);
      }
    }
    remove(a, buddy, order);
    frame &= buddy;
    ++order;
    ++a.done.blocks_merged;
  }
  // If the missing buddy's freeing would merge twice, the block had better not be taken soon.
  auto end = list_end::head;
  if (order < max_page_order.value() - 1) {
    const frame_index parent = frame & ~(1u << order);
    const frame_index uncle = parent ^ (2u << order);
    if (frames_.mark(uncle, order + 1).is_free(order + 1)) end = list_end::tail;
  }
  insert(a, frame, order, type, end);
}

}  // namespace memsim::detail
