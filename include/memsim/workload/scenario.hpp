// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A scenario: a machine, how it is aged, and what then happens on it under each of several
/// policies; from a TOML file.
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
///
///     [[policy]]                     # each has a machine of its own, all alike
///     name = "merged"
///     secretmem = "6_1"
///
///     [[actor]]
///     name = "tenant"
///     memory = "secret"
///     size = "4 MiB"
///     processes = 16

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/machine.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/sim/time.hpp>
#include <memsim/workload/actor.hpp>
#include <memsim/workload/recipe.hpp>

namespace memsim {

/// What is compared: the same machine and the same actors under each.
struct policy_choice {
  std::string name{};  ///< unique in its scenario
  secretmem_config secretmem{};
  /// Of the pool that secret memory is promised from, if it is.
  frame_count set_aside = 0;
  /// A CMA area for secret memory (secretmem=), which this policy's machine has besides the
  /// scenario's; 0: none.
  frame_count secretmem_area = 0;
  std::uint64_t huge_pages = 0;                  ///< nr_hugepages, of 2 MiB
  std::uint64_t overcommit_huge_pages = 0;       ///< nr_overcommit_hugepages
  std::optional<const merge_policy*> merging{};  ///< instead of the machine's
  /// How often a daemon goes over the direct map to merge what it can; none: there is none.
  std::optional<sim_duration> merge_period{};
};

/// The requests of a recorded machine's kernel, at their times.
struct trace_load {
  std::filesystem::path trace{};  ///< as `memsim replay` reads it; relative to the scenario
  /// Its time passes so many times as fast.
  double speed = 1;
  bool repeats = true;  ///< from its beginning when it is over

  friend bool operator==(const trace_load&, const trace_load&) = default;
};

/// A recipe that goes on as long as the scenario does.
struct recipe_background {
  ageing_plan plan{};  ///< its peak and turnover do not matter
  double pages_per_second = 0;

  friend bool operator==(const recipe_background&, const recipe_background&) = default;
};

/// What else goes on.
using background_load = std::variant<trace_load, recipe_background>;

/// Steps of processes and of background load that a scenario may take under a policy: what a
/// machine does in some minutes.
inline constexpr std::uint64_t most_steps = 1'000'000'000;

struct scenario {
  std::string question{};               ///< that it is to answer
  std::string text{};                   ///< that it was read from
  std::vector<std::string> settings{};  ///< instead of what the text says: `ageing.occupancy=0.8`
  machine_config machine{};
  std::optional<ageing_plan> ageing{};  ///< its seed is the machine's; none: it is not aged
  sim_duration duration{};              ///< of what the actors do; 0: there are none
  sim_duration sample_interval{};
  std::vector<policy_choice> policies{};
  std::vector<actor> actors{};
  std::optional<background_load> background{};
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
/// the parameters of a recipe for each that is not to have its own; `question`, `duration`,
/// `sample_interval`, `[[policy]]`, `[[actor]]` and `[background]`, which docs/scenarios.md
/// describes. `[machine]` must be there, and actors or `ageing.recipe`.
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
