// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A free block merged with its buddies and put on a list (A11.2, A11.3).

#include "alloc/free_lists.hpp"

namespace memsim::detail {

/// Below pageblock order, which is where nearly all merging is; merge_large() goes on from there.
/// Inlined, with the columns at hand, because bulk frees spend their time here; they add what
/// merging came to, which is returned, to the ledger in one go.
[[gnu::always_inline]] inline merge_result allocator_core::merge(actor& a, frame_index frame,
                                                                 unsigned order, migratetype type) {
  zone& z = a.z;
  frame_mark* const marks = frames_.marks();
  std::uint32_t* const places = frames_.places();
  const unsigned first = order;
  for (; order < pageblock_order.value(); ++order) {
    const frame_index buddy = frame ^ (1u << order);
    if (!marks[buddy].is_free(order)) break;
    delist(z, marks[buddy], order);
    frame &= buddy;
  }
  if (order >= pageblock_order.value()) {
    merge_large(a, frame, order, type);
    return {order - first, 0};
  }
  // If the missing buddy's freeing would merge twice, the block had better not be taken soon.
  const frame_index uncle = (frame & ~(1u << order)) ^ (2u << order);
  const bool may_merge_twice = frames_.mark(uncle, order + 1).is_free(order + 1);
  if (z.lists[list_number(order, type)].full()) [[unlikely]]
    make_room(z, order, type);
  enlist(z, marks[frame], places[frame], frame, order, static_cast<unsigned>(type),
         may_merge_twice ? list_end::tail : list_end::head);
  return {order - first, 1};
}

inline void allocator_core::count_merges(actor& a, merge_result result) {
  a.done.blocks_merged += result.merged;
  a.done.list_removals += result.merged;
  a.done.list_insertions += result.listed;
}

}  // namespace memsim::detail
