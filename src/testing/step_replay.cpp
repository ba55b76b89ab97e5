// SPDX-License-Identifier: Apache-2.0
#include "testing/step_replay.hpp"

namespace memsim::testing {
namespace {

std::string without_end(std::string_view text) {
  return std::string{text.substr(0, text.find_last_not_of(' ') + 1)};
}

}  // namespace

std::expected<void, error> replay_steps(detail::line_source& lines, golden_score& score,
                                        const step_taker& take) {
  constexpr std::string_view arrow = " => ";
  std::uint64_t step = 0;
  for (; lines.next(); ++step) {
    const std::string text{lines.line()};
    const std::string_view line{text};
    const auto end = line.find(arrow);
    if (end == std::string_view::npos) return lines.malformed("expected 'OPERATION => RESULT'");
    const auto recorded = line.substr(end + arrow.size());
    detail::field_cursor operation{line.substr(0, end)};
    if ((step == 0) != (line.substr(0, end) == "start")) {
      return lines.malformed("'start' is the first step, and no other");
    }
    const auto simulated = take(operation, step, recorded);
    operation.expect_end();
    if (!operation.ok()) return lines.malformed(operation.problem());
    score.compare(lines.number(), without_end(recorded), without_end(simulated));
  }
  if (step == 0) return lines.ends_early("the step 'start'");
  return {};
}

}  // namespace memsim::testing
