// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One free list: blocks in order, both ends open, any block removable without touching its
/// neighbours.
///
/// In a linked list, the removal of a block from the middle touches two other blocks, each a cache
/// miss when memory is large, and every merge is such a removal. Here a list is a row of frame
/// numbers, and a block that leaves it stays in the row as a stale entry. The frame table tells
/// which entries are current: those whose frame is marked as a free block of the list's order and
/// type, and whose place is that entry's position. Stale entries are dropped when they come to the
/// head, and all at once when the row is full and a quarter of it is stale.

#include <cstdint>

#include <memsim/alloc/ring.hpp>

namespace memsim::detail {

using free_list = ring<std::uint32_t>;

}  // namespace memsim::detail
