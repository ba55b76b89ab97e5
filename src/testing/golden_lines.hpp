// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lines of a snapshot that recordings of several subjects have in common.

#include <string>
#include <vector>

#include <memsim/testing/golden_replay.hpp>

namespace memsim::testing {

/// The line `Z` of a zone.
[[nodiscard]] std::string zone_line(const zone_state& z, pcp_rule kernel);
/// The line `P` of CPU 0.
[[nodiscard]] std::string page_set_line(const zone_state& z, pcp_rule kernel);
/// The lines `Q`, `L` and `B`.
void add_lists(std::vector<std::string>& lines, const zone_state& z, pcp_rule kernel);

/// A snapshot of a recording of contiguous ranges or compaction (tests/golden/contig.md).
enum class snapshot_form : unsigned char { full, hashed };
[[nodiscard]] std::vector<std::string> contig_lines(const allocator_state& state, pcp_rule kernel,
                                                    snapshot_form form);

}  // namespace memsim::testing
