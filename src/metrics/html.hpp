// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Pieces of a page, with everything that comes from outside escaped.

#include <string>
#include <string_view>
#include <vector>

namespace memsim::detail {

/// The text as it can stand between tags and within quoted attributes.
[[nodiscard]] std::string html_escaped(std::string_view text);

/// A page in the report's style up to its contents, and what comes behind these.
/// \param beside  what is said below the title
[[nodiscard]] std::string page_start(std::string_view title, std::string_view beside);
[[nodiscard]] std::string page_end();

/// A bar of a chart, and the number that it stands for as it is shown.
struct html_bar {
  std::string label;
  double value = 0;
  std::string text;
};
/// Horizontal bars from 0 on, the largest as wide as there is room. All texts are escaped.
[[nodiscard]] std::string html_bars(std::string_view title, std::string_view note,
                                    const std::vector<html_bar>& bars);

/// A table with a heading; the first cell of a row is its heading. All cells are escaped.
class html_table {
 public:
  explicit html_table(const std::vector<std::string>& heading);
  /// Names over groups of `width` columns each, after the first column.
  html_table& groups(const std::vector<std::string>& names, std::size_t width);
  html_table& row(const std::vector<std::string>& cells);
  /// A row that stands out, such as a sum.
  html_table& strong_row(const std::vector<std::string>& cells);
  /// A line across the table that names the rows below it.
  html_table& section(std::string_view name);
  /// Wrapped so that it scrolls sideways where it is wider than the page.
  [[nodiscard]] std::string html() const;

 private:
  std::string groups_;
  std::string heading_;
  std::string body_;
  std::size_t columns_;
};

}  // namespace memsim::detail
