// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A time series of something whose length is not known beforehand, in bounded memory.

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include <memsim/metrics/time_series.hpp>

namespace memsim::cli {

/// Keeps rows at an interval that doubles, and drops every second row, whenever there are too many.
class bounded_series {
 public:
  /// \param interval   between rows at first; positive
  /// \param most_rows  at least 2
  bounded_series(std::vector<series_column> columns, std::chrono::nanoseconds interval,
                 std::size_t most_rows);

  /// Whether a row at this time would be kept; asked first because its values are costly.
  [[nodiscard]] bool is_due(std::chrono::nanoseconds time) const { return time >= due_; }
  /// Adds a row, due or not: that of the end never is left out.
  void add(std::chrono::nanoseconds time, std::span<const double> values);

  [[nodiscard]] const time_series& rows() const { return rows_; }

 private:
  void thin_out();
  void set_due(std::chrono::nanoseconds after);

  time_series rows_;
  std::chrono::nanoseconds interval_;
  std::size_t most_rows_;
  std::chrono::nanoseconds due_{0};
};

}  // namespace memsim::cli
