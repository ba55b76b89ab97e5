// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine's configuration as a table of a TOML file.

#include <string_view>

#include <memsim/machine.hpp>

#include "workload/toml_reader.hpp"

namespace memsim::detail {

/// Reads the keys of a machine file, and refuses others.
/// \param file  the source of prices that name none
/// \throws usage_error if the regions or the tuning contradict themselves
[[nodiscard]] machine_config read_machine_config(table_reader& table, std::string_view file);

}  // namespace memsim::detail
