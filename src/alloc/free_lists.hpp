// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Free lists: blocks of a zone by order and migratetype, linked through the frame table.

#include <bit>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

inline constexpr unsigned lists_per_zone = page_orders * migratetypes;

[[nodiscard]] inline frame_index list_head(const frame_table& frames, const zone& z, unsigned order,
                                           migratetype type) {
  return frames.head_of(z.first_list + order * migratetypes + static_cast<unsigned>(type), order);
}

/// The frame that a list node stands for.
[[nodiscard]] inline frame_index frame_of_node(frame_index node, unsigned order) {
  return order < pageblock_order.value() ? node : node * static_cast<frame_index>(pageblock_frames);
}

inline void allocator_core::insert(actor& a, frame_index frame, unsigned order, migratetype type,
                                   list_end end) {
  auto* const links = frames_.links(order);
  const frame_index head = list_head(frames_, a.z, order, type);
  const frame_index after = end == list_end::head ? head : links[head].previous;
  link_after(links, after, frame_table::node_of(frame, order));
  frames_.mark(frame, order) = frame_mark::free(order, static_cast<unsigned>(type));
  ++a.z.free_blocks[order][static_cast<unsigned>(type)];
  a.z.free_orders[static_cast<unsigned>(type)] |= 1u << order;
  ++a.done.list_insertions;
}

inline void allocator_core::remove(actor& a, frame_index frame, unsigned order) {
  auto& mark = frames_.mark(frame, order);
  const unsigned type = mark.list();
  unlink(frames_.links(order), frame_table::node_of(frame, order));
  mark = {};
  if (--a.z.free_blocks[order][type] == 0) a.z.free_orders[type] &= ~(1u << order);
  ++a.done.list_removals;
}

/// The head of a list that is not empty.
inline frame_index allocator_core::first_block(const zone& z, unsigned order,
                                               migratetype type) const {
  const auto head = list_head(frames_, z, order, type);
  return frame_of_node(frames_.links(order)[head].next, order);
}

/// The lowest order from `order` up that has a block of the type, or page_orders.
[[nodiscard]] inline unsigned lowest_order_with(const zone& z, unsigned order, migratetype type) {
  const std::uint32_t orders = z.free_orders[static_cast<unsigned>(type)] >> order;
  return orders == 0 ? page_orders : order + static_cast<unsigned>(std::countr_zero(orders));
}

}  // namespace memsim::detail
