// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A zone's counts of free blocks as a value of their own.

#include <algorithm>

#include <memsim/alloc/free_space.hpp>
#include <memsim/alloc/zone.hpp>

namespace memsim::detail {

[[nodiscard]] inline free_block_matrix free_blocks_of(const zone& z) {
  free_block_matrix blocks{};
  for (unsigned o = 0; o < page_orders; ++o) {
    std::ranges::copy(z.free_blocks[o], blocks[o].begin());
  }
  return blocks;
}

}  // namespace memsim::detail
