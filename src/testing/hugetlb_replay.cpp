// SPDX-License-Identifier: Apache-2.0
// A recording of hugetlb: after each step the counters, and every process's huge pages.
#include <charconv>
#include <filesystem>
#include <optional>

#include "testing/golden_score.hpp"
#include "testing/hugetlb_run.hpp"
#include "testing/step_replay.hpp"

namespace memsim::testing {
namespace {

constexpr std::uint64_t most_start_pages = 4;

// What the pool has before anybody asked for it: `ok | nr=2 ...`.
std::uint64_t pages_at_start(std::string_view recorded) {
  constexpr std::string_view key = "nr=";
  const auto at = recorded.find(key);
  std::uint64_t pages = 0;
  if (at == std::string_view::npos) return 0;
  const auto number = recorded.substr(at + key.size());
  std::from_chars(number.data(), number.data() + number.size(), pages);
  return std::min(pages, most_start_pages);
}

}  // namespace

// Of which size the pages are only the recording's name says.
std::expected<golden_result, error> replay_hugetlb(golden_input input) {
  const bool is_gigantic = std::filesystem::path{input.name}.filename().string().starts_with("1G-");
  golden_result result{.kernel = input.header.kernel, .profile = input.profile};
  golden_score score{result};
  std::optional<hugetlb_run> run;
  const auto done = replay_steps(
      *input.lines, score,
      [&](detail::field_cursor& operation, std::uint64_t number, std::string_view recorded) {
        if (!run) {
          run.emplace(input.profile, is_gigantic ? page_size::g1 : page_size::m2,
                      pages_at_start(recorded));
        }
        return run->step(operation, number);
      });
  if (!done) return std::unexpected{done.error()};
  result.end_state = run->memory().state_digest();
  return result;
}

}  // namespace memsim::testing
