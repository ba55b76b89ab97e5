// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The table that a sweep leaves, as files and for a person.

#include <cstddef>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <memsim/core/error.hpp>
#include <memsim/metrics/scenario_run.hpp>

#include "sweep_journal.hpp"
#include "sweep_plan.hpp"

namespace memsim::cli {

/// What a worker says of its point: a line for the columns and one for the values.
[[nodiscard]] std::string to_lines(const scenario_result& result);

/// Keeps what a worker said. The columns, which most points have in common, are kept once.
/// \return what sweep_journal::add() returns
[[nodiscard]] std::expected<void, error> keep(sweep_journal& journal, std::size_t point,
                                              const std::string& lines);

/// Whether the journal has the point.
[[nodiscard]] bool is_finished(const sweep_journal& journal, std::size_t point);

/// The rows of all points, in the order of the points.
class sweep_results {
 public:
  /// \param failures  messages of points that are not in the journal
  sweep_results(const sweep_plan& plan, const sweep_journal& journal,
                const std::map<std::size_t, std::string>& failures);

  [[nodiscard]] std::string json_text() const;
  /// The first line names the columns with their units. A point that failed has empty cells.
  [[nodiscard]] std::string csv_text() const;
  /// What a first look needs, in aligned columns.
  [[nodiscard]] std::string table_text() const;

 private:
  using json = nlohmann::ordered_json;
  struct column {
    std::string name;
    std::string unit;
    std::string description;
  };

  void read(std::size_t point, const sweep_journal& journal);
  [[nodiscard]] json columns_json() const;
  /// Names of the policies, each with its dot; none: the scenario has no actors.
  [[nodiscard]] std::vector<std::string> policies() const;
  [[nodiscard]] json point_json(std::size_t point) const;

  const sweep_plan& plan_;
  const std::map<std::size_t, std::string>& failures_;
  std::vector<column> columns_;  // of all points together
  std::vector<json> rows_;       // an object for each point; null: it failed
};

}  // namespace memsim::cli
