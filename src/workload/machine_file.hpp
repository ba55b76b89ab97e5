// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine's configuration as a table of a TOML file.

#include <array>
#include <string_view>
#include <utility>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/machine.hpp>

#include "workload/toml_reader.hpp"

namespace memsim::detail {

/// Merge policies by their names in files.
inline constexpr std::array<std::pair<std::string_view, const merge_policy*>, 3> merge_policies{
    {{"never", nullptr}, {"on_request", &merge_on_request}, {"when_uniform", &merge_when_uniform}}};

/// Reads the keys of a machine file, and refuses others.
/// \param file  the source of prices that name none
/// \throws usage_error if the regions or the tuning contradict themselves
[[nodiscard]] machine_config read_machine_config(table_reader& table, std::string_view file);

}  // namespace memsim::detail
