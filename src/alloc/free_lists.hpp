// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The free lists of a zone and the marks of the blocks on them, always changed together.

#include <bit>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

[[nodiscard]] constexpr unsigned list_number(unsigned order, migratetype type) {
  return order * migratetypes + static_cast<unsigned>(type);
}

/// Whether the entry at a position stands for a block that is on that list now.
[[nodiscard]] inline bool is_current(const frame_table& frames, const free_list& list,
                                     free_list::position at, unsigned order, migratetype type) {
  const auto frame = list[at];
  return frames.mark(frame, order) == frame_mark::free(order, static_cast<unsigned>(type)) &&
         frames.place(frame, order) == at;
}

/// Puts a block on a list of its zone that is not full. What is changed of the frame table is
/// handed in, so that a loop can keep the columns in registers: a mark is a byte, and what stays
/// behind references has to be read again after a byte was written.
[[gnu::always_inline]] inline void enlist(zone& z, frame_mark& mark, std::uint32_t& place,
                                          frame_index frame, unsigned order, unsigned type,
                                          list_end end) {
  auto& list = z.lists[list_number(order, static_cast<migratetype>(type))];
  if (z.free_blocks[order][type]++ == 0) {
    list.clear();
    z.free_orders[type] |= 1u << order;
  }
  place = end == list_end::head ? list.push_front(frame) : list.push_back(frame);
  mark = frame_mark::free(order, type);
}

/// Takes a free block off its list: its entry there goes stale.
[[gnu::always_inline]] inline void delist(zone& z, frame_mark& mark, unsigned order) {
  const unsigned type = mark.list();
  mark = {};
  if (--z.free_blocks[order][type] == 0) z.free_orders[type] &= ~(1u << order);
}

inline void allocator_core::insert(actor& a, frame_index frame, unsigned order, migratetype type,
                                   list_end end) {
  if (a.z.lists[list_number(order, type)].full()) [[unlikely]]
    make_room(a.z, order, type);
  enlist(a.z, frames_.mark(frame, order), frames_.place(frame, order), frame, order,
         static_cast<unsigned>(type), end);
  ++a.done.list_insertions;
}

inline void allocator_core::remove(actor& a, frame_index frame, unsigned order) {
  delist(a.z, frames_.mark(frame, order), order);
  ++a.done.list_removals;
}

/// Fetches what is_current() will look at some entries later: the mark, then the place if the mark
/// is the list's. Stale entries are many and their places not worth a cache line, so that place 0
/// stands in for them; a branch would be mispredicted.
[[gnu::always_inline]] inline void prefetch_entry(frame_table& frames, const free_list& list,
                                                  free_list::position at, unsigned order,
                                                  migratetype type) {
  constexpr free_list::position to_mark = 16;
  constexpr free_list::position to_place = 8;
  if (list.last() - at <= to_mark) return;
  __builtin_prefetch(&frames.mark(list[at + to_mark], order), 1);
  const auto frame = list[at + to_place];
  const bool marked =
      frames.mark(frame, order) == frame_mark::free(order, static_cast<unsigned>(type));
  __builtin_prefetch(&frames.place(marked ? frame : 0, order));
}

/// The head of a list that is not empty; entries before it are dropped.
inline frame_index allocator_core::first_block(zone& z, unsigned order, migratetype type) {
  auto& list = z.lists[list_number(order, type)];
  while (!is_current(frames_, list, list.first(), order, type)) {
    prefetch_entry(frames_, list, list.first(), order, type);
    list.pop_front();
  }
  return list[list.first()];
}

/// Takes the head of a list that is not empty.
inline frame_index allocator_core::take_first(actor& a, unsigned order, migratetype type) {
  const frame_index frame = first_block(a.z, order, type);
  auto& list = a.z.lists[list_number(order, type)];
  prefetch_entry(frames_, list, list.first(), order, type);
  list.pop_front();
  remove(a, frame, order);
  return frame;
}

/// Calls f(frame, order) for every free block that begins in a pageblock, ascending; f may take it
/// off its list.
template <class F>
void allocator_core::for_each_free_block(frame_index block, F f) {
  const auto whole = frames_.mark(block, pageblock_order.value());
  if (whole.use() == frame_use::free) {
    f(block, whole.order());
    return;
  }
  if (!frames_.touched(block / block_frames)) return;
  for (frame_index frame = block; frame < block + block_frames;) {
    const auto mark = frames_.marks()[frame];
    if (mark.use() == frame_use::free) {
      f(frame, mark.order());
      frame += 1u << mark.order();
    } else {
      ++frame;
    }
  }
}

/// The lowest order from `order` up that has a block of the type, or page_orders.
[[nodiscard]] inline unsigned lowest_order_with(const zone& z, unsigned order, migratetype type) {
  const std::uint32_t orders = z.free_orders[static_cast<unsigned>(type)] >> order;
  return orders == 0 ? page_orders : order + static_cast<unsigned>(std::countr_zero(orders));
}

}  // namespace memsim::detail
