// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/time_series.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <memsim/core/error.hpp>

namespace memsim {
namespace {

void refuse_duplicates(const std::vector<series_column>& columns) {
  for (auto c = columns.begin(); c != columns.end(); ++c) {
    const auto same_name = [&](const series_column& other) { return other.name == c->name; };
    if (std::any_of(columns.begin(), c, same_name)) {
      throw_usage("a series has two columns named {}", c->name);
    }
  }
}

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

time_series::time_series(std::vector<series_column> columns) : columns_{std::move(columns)} {
  refuse_duplicates(columns_);
}

void time_series::add(std::chrono::nanoseconds time, std::span<const double> values) {
  if (values.size() != columns_.size()) {
    throw_usage("a row of {} values in a series of {} columns", values.size(), columns_.size());
  }
  if (!times_.empty() && time < times_.back()) {
    throw_usage("a row at {} s after one at {} s", seconds(time), seconds(times_.back()));
  }
  times_.push_back(time);
  values_.insert(values_.end(), values.begin(), values.end());
}

std::span<const double> time_series::values(std::size_t row) const {
  if (row >= rows()) throw_usage("row {} of a series of {}", row, rows());
  return std::span{values_}.subspan(row * columns_.size(), columns_.size());
}

std::size_t time_series::column(std::string_view name) const {
  const auto found = std::ranges::find(columns_, name, &series_column::name);
  if (found == columns_.end()) throw_usage("a series has no column named {}", name);
  return static_cast<std::size_t>(found - columns_.begin());
}

std::string csv_of(const time_series& series) {
  std::string text = "time [s]";
  auto out = std::back_inserter(text);
  for (const auto& column : series.columns())
    fmt::format_to(out, ",{} [{}]", column.name, column.unit);
  text += '\n';
  for (std::size_t row = 0; row < series.rows(); ++row) {
    fmt::format_to(out, "{:.9f}", seconds(series.time(row)));
    // The shortest digits that read back as the same number.
    for (const auto value : series.values(row)) fmt::format_to(out, ",{}", value);
    text += '\n';
  }
  return text;
}

}  // namespace memsim
