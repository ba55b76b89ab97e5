// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Runs gnuplot, if there is one.

#include <expected>
#include <string>
#include <string_view>

#include <memsim/core/error.hpp>

namespace memsim::detail {

/// What gnuplot writes to its standard output when given `script` on its standard input.
///
/// The program is started without a shell, and without its user's own settings.
///
/// \return errc::io if there is no gnuplot; errc::unsupported with its complaint if it fails
[[nodiscard]] std::expected<std::string, error> run_gnuplot(std::string_view script);

}  // namespace memsim::detail
