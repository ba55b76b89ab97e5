// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How chosen numbers of a machine change over time.
///
///     time_series series{columns_of(default_metrics())};
///     series.add(0ns, values_of(default_metrics(), memory));
///     file << csv_of(series);

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/metrics/fragmentation.hpp>

namespace memsim {

class page_allocator;
struct allocator_counts;

/// What a column of numbers means.
struct series_column {
  std::string name;         ///< `snake_case`, unique in its series
  std::string unit;         ///< `MiB`, `events`, `1` for a share or an index
  std::string description;  ///< one sentence, no full stop

  friend bool operator==(const series_column&, const series_column&) = default;
};

/// Rows of numbers, each at a time.
class time_series {
 public:
  time_series() = default;
  /// \throws usage_error if two columns have one name
  explicit time_series(std::vector<series_column> columns);

  /// \throws usage_error if there is not one value for each column, or `time` is before that of
  ///         the row before
  void add(std::chrono::nanoseconds time, std::span<const double> values);

  [[nodiscard]] const std::vector<series_column>& columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const { return times_.size(); }
  [[nodiscard]] std::chrono::nanoseconds time(std::size_t row) const { return times_.at(row); }
  /// In the order of the columns.
  [[nodiscard]] std::span<const double> values(std::size_t row) const;
  /// \throws usage_error if there is no such column
  [[nodiscard]] std::size_t column(std::string_view name) const;

  friend bool operator==(const time_series&, const time_series&) = default;

 private:
  std::vector<series_column> columns_;
  std::vector<std::chrono::nanoseconds> times_;
  std::vector<double> values_;  // row by row
};

/// Comma-separated values. The first line names the columns with their units:
/// `time [s],free [MiB],unusable_order_9 [1]`.
[[nodiscard]] std::string csv_of(const time_series&);

/// A number that can be read off a machine.
struct metric {
  std::string_view name;
  std::string_view unit;
  std::string_view description;
  double (*value)(const fragmentation& machine, const allocator_counts& counts);
};

/// What a first look at fragmentation over time needs.
[[nodiscard]] std::span<const metric> default_metrics();

[[nodiscard]] std::vector<series_column> columns_of(std::span<const metric>);
/// The values of all metrics now.
[[nodiscard]] std::vector<double> values_of(std::span<const metric>, const page_allocator& memory);

}  // namespace memsim
