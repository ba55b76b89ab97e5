// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Replays a recording of a real kernel and compares every decision.

#include <cstdint>
#include <expected>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/observer.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>

namespace memsim::testing {

/// Where memsim first decided otherwise than the kernel.
struct golden_difference {
  std::uint64_t line = 0;  ///< of the recording
  std::string recorded;
  std::string simulated;
};

struct golden_result {
  std::string kernel;  ///< the recorded kernel's release
  kernel_profile profile;
  /// Decisions: the block of each request, each fallback record, each line of each snapshot after
  /// the first (from which the replay starts); each page moved, each scanner's step and each result
  /// of contiguous ranges and compaction; each claim on a CMA area; the direct map's counters after
  /// each step, and each run of the map at the end; each step of processes with huge pages.
  std::uint64_t compared = 0;
  std::uint64_t identical = 0;
  /// Steps that the recording does not describe closely enough to simulate them, so that their
  /// outcome was taken from it. Nothing is compared in them; see docs/validation.md.
  std::uint64_t adopted = 0;
  std::optional<golden_difference> first_difference{};
  digest end_state{};  ///< after the last record

  [[nodiscard]] bool passed() const { return compared > 0 && identical == compared; }
};

/// Starts from the recording's first snapshot and does what it says.
///
/// After a difference the replay goes on, with the block that memsim chose.
///
/// \param name  the file's name, for messages
/// \return errc::malformed, errc::unsupported or errc::inconsistent if this is not a recording
///         that can be replayed and has a decision to compare, of a kernel that a profile is of
[[nodiscard]] std::expected<golden_result, error> replay_golden(std::istream& input,
                                                                std::string name);

/// The lines in which a snapshot shows a state, as described in tests/golden/page_alloc.md; the
/// kernels of the two per-CPU rules show different fields. A snapshot shows CPU 0 alone.
[[nodiscard]] std::vector<std::string> golden_lines(const allocator_state& state, pcp_rule kernel);

/// The `x` record of a fallback.
[[nodiscard]] std::string golden_line(const fallback_event& event);

}  // namespace memsim::testing
