// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lines of a recording before `begin`, which those of all subjects share.

#include <memsim/workload/golden_reader.hpp>

#include "workload/line_source.hpp"

namespace memsim::detail {

/// Reads up to and with the line `begin`.
/// \return errc::malformed if this is no recording; errc::unsupported if it is one of another
///         subject or format version
/// The letters of a GFP field; none if one is unknown, or they ask for two mobilities.
[[nodiscard]] std::optional<gfp> parse_gfp_letters(std::string_view letters);

[[nodiscard]] std::expected<golden_header, error> read_golden_header(line_source& input);

}  // namespace memsim::detail
