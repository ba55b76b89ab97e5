// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Drawings of a time series for the report.

#include <expected>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/metrics/time_series.hpp>

namespace memsim::detail {

struct chart_line {
  std::string_view column;  ///< of the series
  std::string_view label;
};

struct chart {
  std::string_view title;
  std::string_view unit;  ///< of the vertical axis
  std::string_view note;  ///< what to look for
  std::vector<chart_line> lines;
  bool from_zero = true;
  bool whole_numbers = false;
};

/// Those whose columns the series has.
[[nodiscard]] std::vector<chart> charts_of(const time_series&);

/// A chart as an `<svg>` element without colours or fonts of its own: they are the page's, by the
/// custom properties `--line-1`, `--line-2`, ... and currentColor.
/// \return run_gnuplot()'s error
[[nodiscard]] std::expected<std::string, error> draw(const chart&, const time_series&);

/// What draw() gives gnuplot to read.
[[nodiscard]] std::string gnuplot_script(const chart&, const time_series&);

/// A figure with title, legend and drawing.
[[nodiscard]] std::string figure_of(const chart&, std::string_view drawing);

}  // namespace memsim::detail
