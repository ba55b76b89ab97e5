// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Values as JSON, for documents that hold several. Keys keep the order they are given in.

#include <vector>

#include <nlohmann/json.hpp>

#include <memsim/core/statistics.hpp>
#include <memsim/metrics/fragmentation.hpp>

namespace memsim::detail {

using json = nlohmann::ordered_json;

/// What the numbers of a measurement are counted in.
[[nodiscard]] json measurement_units();
[[nodiscard]] json to_json(const memory_measurement&);
[[nodiscard]] json to_json(const std::vector<statistic_value>&);

}  // namespace memsim::detail
