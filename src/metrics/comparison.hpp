// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Lines of a comparison with a recording, for whatever prints them.

#include <cstdint>
#include <vector>

#include <memsim/metrics/results.hpp>

namespace memsim::detail {

/// How often one type was taken for want of another.
struct fallback_pair {
  migratetype wanted{};
  migratetype found{};
  std::uint64_t here = 0;
  std::uint64_t recorded = 0;
};

/// Those that occurred on either side.
[[nodiscard]] std::vector<fallback_pair> pairs_of(const recording_comparison&);

/// A zone's counts, or nullptr.
[[nodiscard]] const order_counts* find_zone(const std::vector<zone_order_counts>& zones,
                                            zone_type zone);

}  // namespace memsim::detail
