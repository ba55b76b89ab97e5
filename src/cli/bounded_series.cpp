// SPDX-License-Identifier: Apache-2.0
#include "bounded_series.hpp"

#include <utility>

namespace memsim::cli {

using std::chrono::nanoseconds;

bounded_series::bounded_series(std::vector<series_column> columns, nanoseconds interval,
                               std::size_t most_rows)
    : rows_{std::move(columns)}, interval_{interval}, most_rows_{most_rows} {}

void bounded_series::add(nanoseconds time, std::span<const double> values) {
  if (rows_.rows() >= most_rows_) thin_out();
  rows_.add(time, values);
  set_due(time);
}

void bounded_series::thin_out() {
  time_series kept{rows_.columns()};
  for (std::size_t row = 0; row < rows_.rows(); row += 2) {
    kept.add(rows_.time(row), rows_.values(row));
  }
  rows_ = std::move(kept);
  if (interval_ <= nanoseconds::max() / 2) interval_ *= 2;
}

// The next multiple of the interval; at the end of time there is none.
void bounded_series::set_due(nanoseconds after) {
  const auto intervals = after / interval_ + 1;
  due_ = intervals > nanoseconds::max() / interval_ ? nanoseconds::max() : intervals * interval_;
}

}  // namespace memsim::cli
