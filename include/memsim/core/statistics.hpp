// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Counters that explain themselves: each has a name, a unit and a sentence.
///
/// A component keeps its counters in a plain struct, so that counting is an increment and copying
/// the component copies them, and describes the struct once in a table:
///
///     struct door_counts { std::uint64_t opened = 0, closed = 0; };
///     inline constexpr std::array door_statistics{
///         statistic<door_counts>{"door_opened", "events", "times the door opened",
///                                &door_counts::opened},
///         ...};

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace memsim {

/// What one member of a struct of counters means.
template <class Counts>
struct statistic {
  std::string_view name;         ///< as in result files: `snake_case`, unique in its table
  std::string_view unit;         ///< `pages`, `events`, `ns`
  std::string_view description;  ///< one sentence, no full stop
  std::uint64_t Counts::* member;
};

/// A counter with its value.
struct statistic_value {
  std::string name;
  std::string unit;
  std::string description;
  std::uint64_t value = 0;

  friend bool operator==(const statistic_value&, const statistic_value&) = default;
};

/// `pages_freed 12 pages`
[[nodiscard]] std::string to_text(const statistic_value&);

/// The values of all counters, in the order of the table.
///
/// \param prefix  before each name, where there is more than one of such a struct
template <class Counts, std::size_t N>
[[nodiscard]] std::vector<statistic_value> values_of(const Counts& counts,
                                                     const std::array<statistic<Counts>, N>& table,
                                                     std::string_view prefix = {}) {
  std::vector<statistic_value> values;
  values.reserve(N);
  for (const auto& s : table) {
    values.push_back({std::string{prefix}.append(s.name), std::string{s.unit},
                      std::string{s.description}, counts.*s.member});
  }
  return values;
}

}  // namespace memsim
