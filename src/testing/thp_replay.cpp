// SPDX-License-Identifier: Apache-2.0
// A recording of huge pages: after each step the events, and what every process maps.
#include <memory>

#include <memsim/core/text.hpp>

#include "testing/golden_score.hpp"
#include "testing/thp_run.hpp"

namespace memsim::testing {
namespace {

std::string without_end(std::string_view text) {
  return std::string{text.substr(0, text.find_last_not_of(' ') + 1)};
}

}  // namespace

std::expected<golden_result, error> replay_thp(golden_input input) {
  constexpr std::string_view arrow = " => ";
  auto& lines = *input.lines;
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  thp_run run{input.profile};
  std::uint64_t step = 0;
  for (; lines.next(); ++step) {
    const auto text = lines.line();
    const std::string_view line{text};
    const auto end = line.find(arrow);
    if (end == std::string_view::npos) return lines.malformed("expected 'OPERATION => RESULT'");
    detail::field_cursor operation{line.substr(0, end)};
    if ((step == 0) != (line.substr(0, end) == "start")) {
      return lines.malformed("'start' is the first step, and no other");
    }
    const auto simulated = run.step(operation, step);
    operation.expect_end();
    if (!operation.ok()) return lines.malformed(operation.problem());
    score.compare(lines.number(), without_end(line.substr(end + arrow.size())),
                  without_end(simulated));
  }
  if (step == 0) return lines.ends_early("the step 'start'");
  result.end_state = run.memory().state_digest();
  return result;
}

}  // namespace memsim::testing
