// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A table of prices in a TOML file.

#include <memsim/arch/cost_model.hpp>

#include "workload/toml_reader.hpp"

namespace memsim::detail {

/// Sets the prices of the table: `ipis = 250` or `ipis = { ns = 250, source = "perf bench" }`.
/// \param file  the source of those that name none
void read_prices(table_reader& table, std::string_view file, cost_model& costs);

}  // namespace memsim::detail
