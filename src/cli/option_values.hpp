// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the values of options may be, and how they are said again. CLI11 alone takes -1 for a large
/// number, and lets NaN pass any range.

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

namespace memsim::cli {

/// Decimal digits alone.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t least, std::uint64_t most);
/// Never NaN.
[[nodiscard]] CLI::Validator real_number(double least, double most);

/// A word as a shell would have to be given it.
[[nodiscard]] std::string shell_word(const std::string& word);

}  // namespace memsim::cli
