// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which points a sweep has: a scenario, and the product of what is varied.

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/workload/scenario.hpp>

namespace memsim::cli {

/// A key of a scenario, and the values that it takes in turn.
struct sweep_axis {
  std::string key;
  std::vector<std::string> values;
};

/// Reads `KEY=A,B,C`.
/// \return errc::malformed if there is no key or no value, or a value twice
[[nodiscard]] std::expected<sweep_axis, error> parse_axis(std::string_view text);

/// More than anyone waits for.
inline constexpr std::size_t most_points = 100'000;

/// Points are numbered: the last axis varies fastest.
class sweep_plan {
 public:
  /// \param text     of the scenario file
  /// \param program  which build of memsim runs it: another one may come to other results
  /// \return errc::malformed if two axes have one key, or there are more than most_points
  [[nodiscard]] static std::expected<sweep_plan, error> make(std::string text,
                                                             std::vector<sweep_axis> axes,
                                                             std::string program);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<sweep_axis>& axes() const { return axes_; }
  [[nodiscard]] std::size_t points() const { return points_; }
  /// One for each axis.
  [[nodiscard]] std::vector<scenario_setting> settings(std::size_t point) const;
  /// `ageing.recipe=build_farm ageing.occupancy=0.8`
  [[nodiscard]] std::string name(std::size_t point) const;
  /// Stands for the scenario and what is varied. Every build of memsim writes the same.
  [[nodiscard]] digest id() const;
  /// Stands for the program that runs them as well: what one build has begun, no other continues.
  [[nodiscard]] digest run_id() const;

 private:
  sweep_plan(std::string text, std::vector<sweep_axis> axes, std::string program,
             std::size_t points)
      : text_{std::move(text)},
        axes_{std::move(axes)},
        program_{std::move(program)},
        points_{points} {}

  std::string text_;
  std::vector<sweep_axis> axes_;
  std::string program_;
  std::size_t points_;
};

}  // namespace memsim::cli
