// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A scenario in, a row of a table out: everything that can be said of the aged
/// machine, or what its policies came to.
///
///     const auto result = run_scenario(*load_scenario("farm.toml"));
///     for (const auto& v : result->values) fmt::print("{}\n", v);

#include <cstdint>
#include <expected>
#include <string>
#include <variant>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/workload/scenario.hpp>

namespace memsim {

/// A number or a word that a run left, with what it means.
struct result_value {
  std::string name;         ///< as in result files: unique in its row
  std::string unit;         ///< `pages`, `events`, `1` for a share or an index; empty: a word
  std::string description;  ///< one sentence, no full stop
  std::variant<std::uint64_t, double, std::string> value;

  friend bool operator==(const result_value&, const result_value&) = default;
};

/// `unusable_order_9 0.25 1`
[[nodiscard]] std::string to_text(const result_value&);

/// A row of a table: the same names in the same order for every scenario on one kind of CPU.
struct scenario_result {
  std::vector<result_value> values{};

  /// \throws usage_error if there is none of this name
  [[nodiscard]] const result_value& at(std::string_view name) const;

  friend bool operator==(const scenario_result&, const scenario_result&) = default;
};

/// Makes the machine and ages it.
/// \return errc::inconsistent if there cannot be such a machine; what age() returns
[[nodiscard]] std::expected<machine, error> make_aged_machine(const scenario&);

/// Seed, profile and digest; every metric of fragmentation; what the recipe did; every counter of
/// the machine, its ledger among them. Of a scenario with actors what values_of() says of its
/// experiment (experiment.hpp).
[[nodiscard]] std::expected<scenario_result, error> run_scenario(const scenario&);

}  // namespace memsim
