// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Replays recordings of secret memory as far as the direct map goes: short ones that no programs
/// could have made.

#include <expected>
#include <memory>
#include <sstream>
#include <string>

#include "testing/golden_score.hpp"
#include "workload/golden_header.hpp"
#include "workload/line_source.hpp"

namespace memsim::testing {

inline std::expected<golden_result, error> replay_mappings(const std::string& text) {
  std::istringstream input{text};
  auto lines = std::make_unique<memsim::detail::line_source>(input, "x.trace");
  auto header = memsim::detail::read_golden_header(*lines);
  if (!header) return std::unexpected{header.error()};
  return replay_secretmem_mappings({std::move(*header), linux_6_1, std::move(lines), "x.trace"});
}

}  // namespace memsim::testing
