// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tables of the report.

#include <string>

#include <memsim/metrics/results.hpp>

namespace memsim::detail {

/// Where memory is, before and after, zone by zone.
[[nodiscard]] std::string memory_table(const memory_measurement& before,
                                       const memory_measurement& after);
/// Free blocks by order and type with both indices.
[[nodiscard]] std::string free_lists_table(const memory_measurement&);
/// How contiguous free memory is.
[[nodiscard]] std::string contiguity_table(const memory_measurement& before,
                                           const memory_measurement& after);
[[nodiscard]] std::string comparison_html(const recording_comparison&);
[[nodiscard]] std::string statistics_table(const std::vector<statistic_value>&);

}  // namespace memsim::detail
