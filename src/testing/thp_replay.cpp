// SPDX-License-Identifier: Apache-2.0
// A recording of huge pages: after each step the events, and what every process maps.
#include "testing/golden_score.hpp"
#include "testing/step_replay.hpp"
#include "testing/thp_run.hpp"

namespace memsim::testing {

std::expected<golden_result, error> replay_thp(golden_input input) {
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  thp_run run{input.profile};
  const auto done = replay_steps(*input.lines, score,
                                 [&](detail::field_cursor& operation, std::uint64_t number,
                                     std::string_view) { return run.step(operation, number); });
  if (!done) return std::unexpected{done.error()};
  result.end_state = run.memory().state_digest();
  return result;
}

}  // namespace memsim::testing
