// SPDX-License-Identifier: Apache-2.0
#include "metrics/text_table.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace memsim::detail {
namespace {

constexpr std::size_t column_gap = 2;

std::vector<std::size_t> widths_of(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    // A line of one cell is a heading; it may be wider than the first column.
    if (row.size() == 1) continue;
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

}  // namespace

text_table& text_table::row(std::vector<std::string> cells) {
  rows_.push_back(std::move(cells));
  return *this;
}

std::string text_table::text() const {
  const auto widths = widths_of(rows_);
  std::string text;
  auto out = std::back_inserter(text);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (row.size() == 1) {
        text += row[i];
      } else if (i == 0) {
        fmt::format_to(out, "{:<{}}", row[i], widths[i]);
      } else {
        fmt::format_to(out, "{:>{}}", row[i], widths[i] + column_gap);
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace memsim::detail
