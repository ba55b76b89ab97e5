// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What happens in a scenario, as tables of its file.

#include <string_view>

#include <memsim/workload/scenario.hpp>

#include "workload/toml_reader.hpp"

namespace memsim::detail {

/// Reads `recipe` of a table, which has it.
void read_recipe_name(table_reader& table, std::string_view of, ageing_plan& into);

/// Reads `duration`, `sample_interval`, `[[policy]]`, `[[actor]]` and `[background]` of a scenario
/// whose machine has been read.
void read_experiment(table_reader& top, scenario& into, std::string_view file);

}  // namespace memsim::detail
