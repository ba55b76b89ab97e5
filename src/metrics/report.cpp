// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/report.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "metrics/html.hpp"
#include "metrics/report_charts.hpp"
#include "metrics/report_picture.hpp"
#include "metrics/report_tables.hpp"
#include "metrics/units.hpp"

namespace memsim {
namespace {

using detail::html_escaped;

std::string card(std::string_view what, std::string_view value, std::string_view beside) {
  return fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><small>{}</small></div>\n",
                     html_escaped(what), html_escaped(value), html_escaped(beside));
}

std::string index_text(const fragmentation& v, order size) {
  return fmt::format("{:.3f}", unusable_fraction(total_by_order(v.free_blocks), size));
}

std::string share_text(const fragmentation& v, std::size_t size,
                       std::uint64_t large_blocks::* count) {
  const auto& blocks = v.large[size];
  return detail::percent(share_of(blocks.*count, blocks.size, v.frames.memory));
}

std::uint64_t sum_of(const fallback_matrix& fallbacks) {
  std::uint64_t sum = 0;
  for (const auto& row : fallbacks) sum = std::accumulate(row.begin(), row.end(), sum);
  return sum;
}

std::string fallback_card(const recording_comparison& c) {
  return card("Fallbacks to another migratetype", detail::grouped(sum_of(c.fallbacks)),
              fmt::format("{} in the recording", detail::grouped(sum_of(c.recorded_fallbacks))));
}

std::string headline(const run_results& r) {
  const auto& before = r.before.machine;
  const auto& after = r.after.machine;
  const auto& blocks = after.large[0];
  std::string cards;
  cards += card("Free at the end", detail::human_size(after.frames.free),
                fmt::format("of {}; {} before", detail::human_size(after.frames.memory),
                            detail::human_size(before.frames.free)));
  cards += card("Unusable for 2 MiB pages", index_text(after, order{9}),
                fmt::format("of the free memory (index); {} before", index_text(before, order{9})));
  cards += card("Memory free in 2 MiB pages", share_text(after, 0, &large_blocks::free_now),
                fmt::format("{} if every movable page were moved",
                            share_text(after, 0, &large_blocks::free_if_moved)));
  cards += card("2 MiB blocks with an unmovable page", detail::grouped(blocks.with_unmovable),
                fmt::format("of {}; {} before", detail::grouped(blocks.with_memory),
                            detail::grouped(before.large[0].with_unmovable)));
  cards += card("Longest free run", detail::human_size(after.runs.longest),
                fmt::format("{} before", detail::human_size(before.runs.longest)));
  if (r.recorded) cards += fallback_card(*r.recorded);
  return fmt::format("<div class=\"cards\">\n{}</div>\n", cards);
}

/// \return the drawings, or why there are none
std::string charts_html(const time_series& series) {
  std::string figures;
  for (const auto& c : detail::charts_of(series)) {
    const auto drawing = detail::draw(c, series);
    if (!drawing) {
      return fmt::format(
          "<p class=\"notice\">The charts are missing: {}. The numbers are in samples.csv; with "
          "gnuplot installed they are drawn here.</p>\n",
          html_escaped(drawing.error().message()));
    }
    figures += detail::figure_of(c, *drawing);
  }
  return fmt::format("<div class=\"charts\">\n{}</div>\n", figures);
}

std::string over_time(const time_series& series) {
  if (series.rows() < 2) return "";
  return fmt::format("<section>\n<h2>Fragmentation over time</h2>\n{}</section>\n",
                     charts_html(series));
}

std::string pictures(const run_results& r) {
  if (r.picture_after.cells.empty()) return "";
  return fmt::format("<section>\n<h2>Memory before and after</h2>\n{}</section>\n",
                     detail::pictures_html(r.picture_before, r.picture_after));
}

std::string comparison(const run_results& r) {
  if (!r.recorded) return "";
  return fmt::format("<section>\n<h2>Beside the recording</h2>\n{}</section>\n",
                     detail::comparison_html(*r.recorded));
}

std::string tables(const run_results& r) {
  return fmt::format(
      "<section>\n<h2>Memory in numbers</h2>\n{}"
      "<h3>Free blocks at the end</h3>\n"
      "<p class=\"quiet\">By order, 0 (4 KiB) to 10 (4 MiB). Unusable index: the part of free "
      "memory "
      "in blocks below the order. Fragmentation index: towards 0 a request would fail for want of "
      "memory, towards 1 because it is in pieces; – : it would not fail.</p>\n{}"
      "<h3>Contiguity</h3>\n{}</section>\n",
      detail::memory_table(r.before, r.after), detail::free_lists_table(r.after),
      detail::contiguity_table(r.before, r.after));
}

std::string provenance(const run_results& r) {
  const auto item = [](std::string_view term, std::string_view text) {
    return fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escaped(term), html_escaped(text));
  };
  std::string items =
      fmt::format("<dt>Command</dt><dd><code>{}</code></dd>\n", html_escaped(r.run.command));
  items += item("Input", r.run.input);
  items += item("Machine", r.run.machine);
  items += item("Kernel rules", r.run.profile);
  items += item("Seed", fmt::format("{}", r.run.seed));
  items += item("Length", fmt::format("{:.6f} s by the clock of the trace",
                                      std::chrono::duration<double>(r.run.duration).count()));
  items += item("Looked ahead", r.run.looked_ahead
                                    ? "yes: memory was laid out by what the whole trace says of it"
                                    : "no: nothing of the trace was known beforehand");
  if (!r.run.first_malformed.empty())
    items += item("First line passed over", r.run.first_malformed);
  items += fmt::format("<dt>Digest</dt><dd><code>{}</code></dd>\n", r.run.state);
  return fmt::format(
      "<section>\n<h2>How this was made</h2>\n<dl>\n{}</dl>\n"
      "<p class=\"quiet\">The same input and seed give the same digest on every machine.</p>\n"
      "<details><summary>All statistics</summary>\n{}</details>\n</section>\n",
      items, detail::statistics_table(r.statistics));
}

}  // namespace

std::string report_html(const run_results& r) {
  auto page = detail::page_start(
      r.run.title, fmt::format("{} of memory, rules of {}, {:.3g} s",
                               detail::human_size(r.after.machine.frames.memory), r.run.profile,
                               std::chrono::duration<double>(r.run.duration).count()));
  page += headline(r);
  page += over_time(r.samples);
  page += pictures(r);
  page += comparison(r);
  page += tables(r);
  page += provenance(r);
  return page + detail::page_end();
}

}  // namespace memsim
