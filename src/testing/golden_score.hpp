// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Replays of the subjects, and the score that they keep.

#include <expected>
#include <memory>
#include <string>

#include <memsim/testing/golden_replay.hpp>

#include "workload/golden_header.hpp"

namespace memsim::testing {

/// Counts decisions, and remembers the first that differs.
class golden_score {
 public:
  explicit golden_score(golden_result& result) : result_{result} {}

  /// What was recorded and what was simulated are asked for only if they differ.
  template <class Recorded, class Simulated>
  void compare(std::uint64_t line, bool same, Recorded recorded, Simulated simulated) {
    ++result_.compared;
    result_.identical += same;
    if (!same && !result_.first_difference) {
      result_.first_difference = golden_difference{line, recorded(), simulated()};
    }
  }
  void compare(std::uint64_t line, const std::string& recorded, const std::string& simulated) {
    compare(line, recorded == simulated, [&] { return recorded; }, [&] { return simulated; });
  }
  /// What was recorded is taken as it is.
  void adopt() { ++result_.adopted; }

 private:
  golden_result& result_;
};

/// A recording whose header has been read; with the profile of its kernel.
struct golden_input {
  golden_header header;
  kernel_profile profile;
  std::unique_ptr<detail::line_source> lines;
  std::string name;
};

[[nodiscard]] std::expected<golden_result, error> replay_page_alloc(golden_input input);
[[nodiscard]] std::expected<golden_result, error> replay_direct_map(golden_input input);
[[nodiscard]] std::expected<golden_result, error> replay_secretmem(golden_input input);
/// The same as far as the direct map goes: what programs are told is not looked at.
[[nodiscard]] std::expected<golden_result, error> replay_secretmem_mappings(golden_input input);
/// Contiguous ranges, and compaction.
[[nodiscard]] std::expected<golden_result, error> replay_contig(golden_input input);
[[nodiscard]] std::expected<golden_result, error> replay_cma(golden_input input);
[[nodiscard]] std::expected<golden_result, error> replay_thp(golden_input input);
[[nodiscard]] std::expected<golden_result, error> replay_hugetlb(golden_input input);

}  // namespace memsim::testing
