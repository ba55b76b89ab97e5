// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A scenario: a machine, and how it is aged, from a TOML file.
///
///     seed = 7
///
///     [machine]                      # what a machine file has at its top
///     memory = "16 GiB"
///     profile = "linux_6_12"
///
///     [ageing]
///     recipe = "build_farm"
///     occupancy = 0.8
///     unmovable_share = 0.1
///
///     [recipe.build_farm]            # parameters, of any recipes: what another one has, is unused
///     jobs = 32

#include <expected>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <memsim/core/error.hpp>
#include <memsim/machine.hpp>
#include <memsim/workload/recipe.hpp>

namespace memsim {

struct scenario {
  machine_config machine{};
  ageing_plan ageing{};  ///< its seed is the machine's
};

/// A value of a scenario file said anew.
struct scenario_setting {
  std::string key;    ///< with its tables: `ageing.occupancy`
  std::string value;  ///< as in the file, where texts may go without their quotes: `0.8`, `16 GiB`
};

/// `ageing.occupancy=0.8`
[[nodiscard]] std::string to_text(const scenario_setting&);

/// Reads the text of a scenario file.
///
/// Keys: `seed`; `[machine]` with the keys of a machine file, but for its seed; `[ageing]` with
/// `recipe`, `occupancy`, `peak`, `unmovable_share` and `turnover`; a table `[recipe.NAME]` with
/// the parameters of a recipe for each that is not to have its own. `[machine]` and `ageing.recipe`
/// must be there.
///
/// \param name      the file's, for messages
/// \param settings  instead of what the file says, or in addition
/// \return errc::malformed or errc::inconsistent; the message names file, line, key, value and what
///         is allowed. Unknown keys are refused
[[nodiscard]] std::expected<scenario, error> parse_scenario(
    std::string_view text, std::string_view name, std::span<const scenario_setting> settings = {});

/// \return errc::io if the file cannot be read
[[nodiscard]] std::expected<scenario, error> load_scenario(
    const std::filesystem::path& path, std::span<const scenario_setting> settings = {});

}  // namespace memsim
