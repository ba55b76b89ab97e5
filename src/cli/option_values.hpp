// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the values of options may be. CLI11 alone takes -1 for a large number, and lets NaN pass
/// any range.

#include <cstdint>

#include <CLI/CLI.hpp>

namespace memsim::cli {

/// Decimal digits alone.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t least, std::uint64_t most);
/// Never NaN.
[[nodiscard]] CLI::Validator real_number(double least, double most);

}  // namespace memsim::cli
