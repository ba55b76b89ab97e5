// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A recording in which each line is a step: `OPERATION => RESULT AND STATE`.

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>

#include <memsim/core/error.hpp>

#include "testing/golden_score.hpp"
#include "workload/line_source.hpp"

namespace memsim::testing {

/// Does a step, and says what comes behind `=>`. What is wrong with the operation is the cursor's
/// problem. `recorded` is for the first step alone: what was there at the start.
using step_taker = std::function<std::string(detail::field_cursor& operation, std::uint64_t number,
                                             std::string_view recorded)>;

/// Compares each step with what it came to, blanks at the end of the line aside. Steps are numbered
/// from 0, which is `start`.
[[nodiscard]] std::expected<void, error> replay_steps(detail::line_source& lines,
                                                      golden_score& score, const step_taker& take);

}  // namespace memsim::testing
