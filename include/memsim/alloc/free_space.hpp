// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How much of the free memory is of use to a request of a given order.
///
/// Two indices answer this from nothing but the number of free blocks of each order:
///
/// - the **unusable free space index**: the part of the free memory that lies in blocks too small
///   for the request. 0: all of it can serve; 1: none can.
/// - the **fragmentation index**: why a request of the order would fail. Towards 0: because memory
///   is short; towards 1: because it is in pieces; below 0: it would not fail.
///
/// Both exist as the kernel computes them, in thousandths with two integer divisions, and as
/// fractions.
///
/// Source: Linux 6.1, /sys/kernel/debug/extfrag; M. Gorman and A. Whitcroft, "The What, The Why and
/// the Where To of Anti-Fragmentation", OLS 2006, for the idea.

#include <array>
#include <cstdint>
#include <optional>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// Free blocks of each order, whatever list they are on.
using order_counts = std::array<std::uint64_t, page_orders>;

/// Free blocks by order, then by the migratetype of the list they are on.
using free_block_matrix = std::array<std::array<std::uint64_t, migratetypes>, page_orders>;

[[nodiscard]] order_counts total_by_order(const free_block_matrix& blocks);
/// Frames in all these blocks.
[[nodiscard]] frame_count frames_of(const order_counts& blocks);
/// Blocks of exactly `size` that could be cut out of the free blocks of that order and above.
[[nodiscard]] std::uint64_t blocks_available(const order_counts& blocks, order size);

/// The kernel's unusable free space index in thousandths, 0 to 1000; 1000 if nothing is free.
///
///     order_counts free{100, 50};
///     unusable_index(free, order{4});       // 1000: nothing of 64 KiB
///     fragmentation_index(free, order{4});  // 910: and that because of fragmentation
[[nodiscard]] int unusable_index(const order_counts& blocks, order size);

/// The kernel's fragmentation index in thousandths: -1000 if the request would succeed, 0 if
/// nothing is free, else up to 1000; rounding can make it a little less than 0.
[[nodiscard]] int fragmentation_index(const order_counts& blocks, order size);

/// What to say of a zone with nothing free, where both indices divide by zero.
enum class empty_zone : unsigned char {
  as_kernel,      ///< unusable 1, fragmentation 0
  as_literature,  ///< unusable 0, fragmentation undefined
};

/// The unusable free space index as a fraction, 0 to 1.
[[nodiscard]] double unusable_fraction(const order_counts& blocks, order size,
                                       empty_zone convention = empty_zone::as_kernel);

/// The fragmentation index as a fraction without the kernel's rounding; -1 if the request would
/// succeed; none where it is undefined.
[[nodiscard]] std::optional<double> fragmentation_fraction(
    const order_counts& blocks, order size, empty_zone convention = empty_zone::as_kernel);

}  // namespace memsim
