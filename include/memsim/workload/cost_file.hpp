// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Prices from a TOML file.
///
///     name = "my server"
///     base = "default"        # prices that the file does not set: "default", "none" or a CPU's
///
///     [price]                 # of one unit, in nanoseconds; the names are those of the ledger
///     ipis = 250
///     tlb_page_flushes = { ns = 81.5, source = "perf bench, 2024-05-02" }

#include <expected>
#include <filesystem>
#include <string_view>

#include <memsim/arch/cost_model.hpp>
#include <memsim/core/error.hpp>

namespace memsim {

/// Reads the text of a cost file. A price is rounded to a whole picosecond.
///
/// \param name  the file's, for messages
/// \return errc::malformed; the message names file, line, key, value and what is allowed. Unknown
///         keys are refused
[[nodiscard]] std::expected<cost_model, error> parse_costs(std::string_view text,
                                                           std::string_view name);

/// \return errc::io if the file cannot be read
[[nodiscard]] std::expected<cost_model, error> load_costs(const std::filesystem::path& path);

}  // namespace memsim
