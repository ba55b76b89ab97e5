// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How far files of /proc may differ that were read one after the other.

#include <algorithm>

#include <memsim/workload/machine_description.hpp>

namespace memsim::detail {

/// Pages of a zone that may be taken or given back between two reads: 4 MiB, or a twentieth of a
/// larger zone (modelling assumption: seconds of a busy compilation).
[[nodiscard]] inline frame_count drift_of(const described_zone& z) {
  return std::max<frame_count>(max_page_order.frames(), z.extent.managed / 20);
}

/// Whether two counts of a zone's pages can be of one moment or nearly so.
[[nodiscard]] inline bool may_agree(const described_zone& z, std::uint64_t a, std::uint64_t b) {
  return (a > b ? a - b : b - a) <= drift_of(z);
}

[[nodiscard]] inline std::uint64_t pages_in(const block_counts& blocks) {
  std::uint64_t pages = 0;
  for (unsigned o = 0; o < page_orders; ++o) pages += blocks[o] << o;
  return pages;
}

/// More free blocks of one order than any zone has; guards the sums against overflow.
inline constexpr std::uint64_t most_blocks = std::uint64_t{1} << 32;

}  // namespace memsim::detail
