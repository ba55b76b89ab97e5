// SPDX-License-Identifier: Apache-2.0
#include "metrics/report_charts.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "metrics/gnuplot.hpp"
#include "metrics/html.hpp"

namespace memsim::detail {
namespace {

/// More points than a chart has pixels say nothing; the page stays small.
constexpr std::size_t most_points = 600;

const std::vector<chart>& all_charts() {
  static const std::vector<chart> charts{
      {.title = "Unusable free space index",
       .unit = "part of free memory",
       .note = "How much of the free memory lies in blocks too small for a request. 0: all of it "
               "can serve, 1: none.",
       .lines = {{"unusable_order_3", "32 KiB"},
                 {"unusable_order_6", "256 KiB"},
                 {"unusable_order_9", "2 MiB"},
                 {"unusable_order_10", "4 MiB"}}},
      {.title = "Large pages that could be had",
       .unit = "part of all memory",
       .note = "Free in aligned pieces of this size; or free if every movable page were moved out.",
       .lines = {{"allocatable_2MiB", "2 MiB now"},
                 {"allocatable_2MiB_if_moved", "2 MiB if moved"},
                 {"allocatable_1GiB", "1 GiB now"},
                 {"allocatable_1GiB_if_moved", "1 GiB if moved"}}},
      {.title = "Free memory",
       .unit = "MiB",
       .note = "On free lists. The vertical axis need not begin at 0.",
       .lines = {{"free", "free"}},
       .from_zero = false},
      {.title = "Pollution",
       .unit = "2 MiB blocks",
       .note =
           "Blocks that an unmovable page keeps from ever becoming a large page, and pageblocks "
           "that hold both kinds.",
       .lines = {{"unmovable_2MiB_blocks", "with an unmovable page"},
                 {"mixed_pageblocks", "with movable and unmovable pages"}},
       .whole_numbers = true},
      {.title = "Pageblocks by type",
       .unit = "pageblocks",
       .note = "The others are movable, or of a special type.",
       .lines = {{"unmovable_pageblocks", "unmovable"}, {"reclaimable_pageblocks", "reclaimable"}},
       .whole_numbers = true},
      {.title = "Fallbacks so far",
       .unit = "events",
       .note = "Requests that took memory of another migratetype.",
       .lines = {{"fallbacks", "memsim"}, {"recorded_fallbacks", "recorded"}},
       .whole_numbers = true},
  };
  return charts;
}

bool has_column(const time_series& series, std::string_view name) {
  return std::ranges::any_of(series.columns(), [&](const auto& c) { return c.name == name; });
}

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Colours that no theme would choose, so that they can be found in the drawing again.
std::string marker_hex(std::size_t line) { return fmt::format("#0a0b{:02x}", line); }
std::string marker_rgb(std::size_t line) { return fmt::format("rgb( 10,  11, {:>3})", line); }
constexpr std::size_t grid = 255;

/// Data as a block of the script that each line of the chart can read.
void append_data(std::string& script, const chart& c, const time_series& series) {
  std::vector<std::size_t> columns;
  for (const auto& line : c.lines) columns.push_back(series.column(line.column));
  auto out = std::back_inserter(script);
  script += "$data << END\n";
  const auto step = std::max<std::size_t>(1, series.rows() / most_points);
  for (std::size_t row = 0; row < series.rows(); row += step) {
    // The last row is always drawn.
    const auto shown = row + step < series.rows() ? row : series.rows() - 1;
    fmt::format_to(out, "{:.6f}", seconds(series.time(shown)));
    for (const auto column : columns) fmt::format_to(out, " {}", series.values(shown)[column]);
    script += '\n';
  }
  script += "END\n";
}

struct axis_range {
  double low = 0;
  double high = 0;
};

/// The range of the vertical axis. A line that never changes needs one too.
axis_range range_of(const chart& c, const time_series& series) {
  double lowest = 0;
  double highest = 0;
  bool first = true;
  for (const auto& line : c.lines) {
    const auto column = series.column(line.column);
    for (std::size_t row = 0; row < series.rows(); ++row) {
      const double value = series.values(row)[column];
      lowest = first ? value : std::min(lowest, value);
      highest = first ? value : std::max(highest, value);
      first = false;
    }
  }
  if (c.from_zero) lowest = std::min(lowest, 0.0);
  if (lowest == highest) return {lowest, highest + 1};
  const double margin = (highest - lowest) * 0.05;
  // An axis that need not begin at 0 still has no negative memory on it.
  if (!c.from_zero) lowest = std::max(lowest - margin, std::min(lowest, 0.0));
  return {lowest, highest + margin};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// Cuts what stands from `first` to `last`, both included, wherever it does.
void cut_between(std::string& text, std::string_view first, std::string_view last) {
  for (auto at = text.find(first); at != std::string::npos; at = text.find(first, at)) {
    const auto end = text.find(last, at + first.size());
    if (end == std::string::npos) return;
    text.erase(at, end + last.size() - at);
  }
}

/// A whole SVG file as an element of a page: colours and fonts become the page's, and what would be
/// twice on a page with two drawings goes.
std::string as_element(std::string svg, const chart& c) {
  if (const auto start = svg.find("<svg"); start != std::string::npos) svg.erase(0, start);
  cut_between(svg, "<title>", "</title>");
  cut_between(svg, "<desc>", "</desc>");
  cut_between(svg, "<defs>", "</defs>");
  cut_between(svg, " id=\"", "\"");
  cut_between(svg, " font-family=\"", "\"");
  for (const auto* name : {" color=\"black\"", " color=\"gray\"", " color=\"white\""}) {
    replace_all(svg, name, "");
  }
  replace_all(svg, "'black'", "'currentColor'");
  replace_all(svg, "\"black\"", "\"currentColor\"");
  replace_all(svg, marker_rgb(grid), "var(--grid)");
  for (std::size_t i = 0; i < c.lines.size(); ++i) {
    replace_all(svg, marker_rgb(i + 1), fmt::format("var(--line-{})", i + 1));
  }
  // Groups that were opened for a pen that then drew nothing.
  replace_all(svg, "\n\n", "\n");
  replace_all(svg, "<svg",
              fmt::format(R"(<svg role="img" aria-label="{}")", html_escaped(c.title)));
  return svg;
}

}  // namespace

std::vector<chart> charts_of(const time_series& series) {
  std::vector<chart> charts;
  for (auto c : all_charts()) {
    std::erase_if(c.lines, [&](const auto& line) { return !has_column(series, line.column); });
    if (!c.lines.empty()) charts.push_back(std::move(c));
  }
  return charts;
}

std::string gnuplot_script(const chart& c, const time_series& series) {
  std::string script =
      "set terminal svg size 560,300 dynamic noenhanced font 'sans,14'\n"
      "unset key\nset border 3 linewidth 0.5\nset tics nomirror scale 0.5\n"
      "set xlabel 'time (s)' offset 0,0.5\nset format y '%.10g'\n"
      "set tmargin 1\nset rmargin 3\nset bmargin 3\n";
  auto out = std::back_inserter(script);
  fmt::format_to(out, "set grid ytics linetype 1 linecolor rgb '{}' linewidth 0.5\n",
                 marker_hex(grid));
  const auto [low, high] = range_of(c, series);
  fmt::format_to(out, "set ylabel '{}'\nset yrange [{}:{}]\n", c.unit, low, high);
  constexpr double fewest_marks = 5;
  if (c.whole_numbers && high - low < fewest_marks) script += "set ytics 1\n";
  const double end = series.rows() == 0 ? 0 : seconds(series.time(series.rows() - 1));
  fmt::format_to(out, "set xrange [0:{}]\n", end > 0 ? end : 1);
  append_data(script, c, series);
  script += "plot ";
  for (std::size_t i = 0; i < c.lines.size(); ++i) {
    // There are five patterns; after them the lines are thick.
    fmt::format_to(out, "{}$data using 1:{} with lines linewidth {} dashtype {} linecolor rgb '{}'",
                   i == 0 ? "" : ", ", i + 2, i < 5 ? 2 : 4, i % 5 + 1, marker_hex(i + 1));
  }
  script += '\n';
  return script;
}

std::expected<std::string, error> draw(const chart& c, const time_series& series) {
  auto svg = run_gnuplot(gnuplot_script(c, series));
  if (!svg) return svg;
  return as_element(std::move(*svg), c);
}

std::string figure_of(const chart& c, std::string_view drawing) {
  std::string legend;
  for (std::size_t i = 0; i < c.lines.size(); ++i) {
    legend += fmt::format(R"(<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true">)"
                          R"(<line x1="0" y1="4" x2="28" y2="4" class="line-{}"/></svg>{}</li>)",
                          i + 1, html_escaped(c.lines[i].label));
  }
  return fmt::format(
      "<figure class=\"chart\">\n<figcaption><strong>{}</strong> {}</figcaption>\n"
      "<ul class=\"legend\">{}</ul>\n<div class=\"scroll\">{}</div>\n</figure>\n",
      html_escaped(c.title), html_escaped(c.note), legend, drawing);
}

}  // namespace memsim::detail
