// SPDX-License-Identifier: Apache-2.0
// An experiment as a page to look at: policies side by side.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <memsim/metrics/experiment.hpp>

#include "metrics/html.hpp"
#include "metrics/report_charts.hpp"
#include "metrics/report_picture.hpp"
#include "metrics/report_tables.hpp"
#include "metrics/units.hpp"

namespace memsim {
namespace {

using detail::grouped;
using detail::html_escaped;
using detail::html_table;

struct policy_chart {
  std::string_view column;
  std::string_view title;
  std::string_view unit;
  std::string_view note;
  bool from_zero = true;
};

constexpr std::array policy_charts{
    policy_chart{"direct_map_2m", "Direct map: mappings of 2 MiB", "mappings",
                 "What is lost is split into mappings of 4 KiB. The vertical axis need not begin "
                 "at 0.",
                 false},
    policy_chart{"direct_map_4k", "Direct map: mappings of 4 KiB", "mappings",
                 "Each 512 of them were one of 2 MiB."},
    policy_chart{"secret_pages", "Secret memory in use", "pages of 4 KiB",
                 "In files that are open or mapped."},
    policy_chart{"stranded_pages", "Set aside and not in use", "pages of 4 KiB",
                 "In chunks and pools, where nobody else can have them."},
    policy_chart{"refused_at_mmap", "Refused at mmap()", "calls so far",
                 "ENOMEM or EAGAIN, which a program can be ready for."},
    policy_chart{"failed_at_fault", "Ended at a fault", "processes so far",
                 "SIGBUS, no memory, or the OOM killer: no program is ready for these."},
    policy_chart{"free", "Free memory", "pages of 4 KiB", "In all zones, of everybody."},
};

// One series with a column for each policy.
time_series side_by_side(const experiment_results& r, std::string_view column) {
  std::vector<series_column> columns;
  for (const auto& p : r.policies) columns.push_back({p.name, "1", p.name});
  time_series together{std::move(columns)};
  const auto& first = r.policies.front().samples;
  const auto which = first.column(column);
  for (std::size_t row = 0; row < first.rows(); ++row) {
    std::vector<double> values;
    for (const auto& p : r.policies) values.push_back(p.samples.values(row)[which]);
    together.add(first.time(row), values);
  }
  return together;
}

std::string number(double value) { return grouped(static_cast<std::uint64_t>(value + 0.5)); }

// What the lines of a chart say, in numbers.
std::string series_table(const time_series& series, std::string_view unit) {
  html_table table{
      {fmt::format("Policy ({})", unit), "at the start", "least", "most", "at the end"}};
  for (std::size_t c = 0; c < series.columns().size(); ++c) {
    double least = series.values(0)[c];
    double most = least;
    for (std::size_t row = 0; row < series.rows(); ++row) {
      least = std::min(least, series.values(row)[c]);
      most = std::max(most, series.values(row)[c]);
    }
    table.row({series.columns()[c].name, number(series.values(0)[c]), number(least), number(most),
               number(series.values(series.rows() - 1)[c])});
  }
  return table.html();
}

std::string charts_html(const experiment_results& r) {
  std::string figures;
  std::string missing;
  for (const auto& c : policy_charts) {
    const auto series = side_by_side(r, c.column);
    detail::chart drawn{.title = c.title,
                        .unit = c.unit,
                        .note = c.note,
                        .lines = {},
                        .from_zero = c.from_zero,
                        .whole_numbers = true};
    for (const auto& p : r.policies) drawn.lines.push_back({p.name, p.name});
    const auto drawing = detail::draw(drawn, series);
    if (!drawing) missing = drawing.error().message();
    figures += fmt::format("<div>{}{}</div>\n",
                           detail::figure_of(drawn, drawing ? std::string_view{*drawing} : ""),
                           series_table(series, c.unit));
  }
  if (!missing.empty()) {
    missing = fmt::format("<p class=\"notice\">The drawings are missing: {}.</p>\n",
                          html_escaped(missing));
  }
  return fmt::format(
      "<section>\n<h2>Over time</h2>\n{}<div class=\"charts\">\n{}</div>\n</section>\n", missing,
      figures);
}

std::string first_failure(const actor_result& a) {
  if (!a.first_failure) return "–";
  return fmt::format("{:.1f}", std::chrono::duration<double, std::milli>(*a.first_failure).count());
}

std::string failures_html(const experiment_results& r) {
  html_table table{{"Policy, actor", "refused", "ended", "retried", "first (ms)", "ENOMEM",
                    "EAGAIN", "SIGBUS", "no memory", "killed", "came", "mapped", "pages used",
                    "accesses"}};
  for (const auto& p : r.policies) {
    table.section(fmt::format("{} ({})", p.name, p.design));
    for (const auto& a : p.actors) {
      const auto& c = a.counts;
      table.row({a.name, grouped(c.no_memory_at_mmap + c.over_limit_at_mmap),
                 grouped(c.bus_errors + c.out_of_memory + c.killed), grouped(c.retried_faults),
                 first_failure(a), grouped(c.no_memory_at_mmap), grouped(c.over_limit_at_mmap),
                 grouped(c.bus_errors), grouped(c.out_of_memory), grouped(c.killed),
                 grouped(c.processes), grouped(c.mappings), grouped(c.pages), grouped(c.accesses)});
    }
  }
  return fmt::format(
      "<section>\n<h2>Who was refused, and how</h2>\n"
      "<p>Refused are calls of mmap(), with ENOMEM or EAGAIN. Ended are processes, by SIGBUS, for "
      "want of memory (VM_FAULT_OOM), or killed by the OOM killer. Retried are faults "
      "that found no memory and were made again. First is when any of these first "
      "happened to one of them, from the beginning: the time to starvation.</p>\n{}</section>\n",
      table.html());
}

std::string microseconds(sim_duration time) {
  return grouped(static_cast<std::uint64_t>(time.count() / 1000));
}

std::string costs_html(const experiment_results& r) {
  html_table map{
      {"Policy", "4 KiB", "2 MiB", "1 GiB", "page tables", "2 MiB before", "2 MiB after all left"}};
  html_table kernel{{"Policy (ns per access)", "before", "at the end", "after all left",
                     "walks per access at the end"}};
  html_table first{{"Policy, actor (ns)", "faults", "p50", "p90", "p99", "p99.9", "most"}};
  html_table work{{"Policy (us)", "set up", "work"}};
  std::vector<detail::html_bar> accesses;
  std::vector<detail::html_bar> tails;
  for (const auto& p : r.policies) {
    map.row({p.name, grouped(p.at_end.mapped.k4), grouped(p.at_end.mapped.m2),
             grouped(p.at_end.mapped.g1), grouped(p.at_end.page_tables),
             grouped(p.at_start.mapped.m2), grouped(p.after_all.mapped.m2)});
    kernel.row({p.name, fmt::format("{:.2f}", p.kernel_at_start.ns_per_access),
                fmt::format("{:.2f}", p.kernel_at_end.ns_per_access),
                fmt::format("{:.2f}", p.kernel_after_all.ns_per_access),
                fmt::format("{:.3f}", p.kernel_at_end.walks_per_access)});
    first.section(p.name);
    for (const auto& a : p.actors) {
      const auto& l = a.first_use;
      first.row({a.name, grouped(l.count), grouped(l.p50), grouped(l.p90), grouped(l.p99),
                 grouped(l.p999), grouped(l.most)});
    }
    accesses.push_back({p.name, p.kernel_at_end.ns_per_access,
                        fmt::format("{:.2f} ns", p.kernel_at_end.ns_per_access)});
    tails.push_back({p.name, static_cast<double>(p.first_use.p99),
                     fmt::format("{} ns", grouped(p.first_use.p99))});
    work.row({p.name, microseconds(p.set_up), microseconds(p.work)});
  }
  return fmt::format(
      "<section>\n<h2>What it costs</h2>\n<h3>The direct map at the end</h3>\n{}"
      "<h3>Translations of the kernel</h3>\n<p>Random accesses to memory through the direct map, "
      "on "
      "one CPU: what misses of its TLB cost by the cost model. Absent pages count as if they were "
      "present, in the mapping that they are in.</p>\n{}{}"
      "<h3>The first use of a page</h3>\n<p>The work of the fault by the cost model, which begins "
      "where the CPU enters the kernel.</p>\n{}{}"
      "<h3>All work</h3>\n<p>By the cost model: to set the policy up, and then of all CPUs for "
      "processes and daemons until everybody had left.</p>\n{}</section>\n",
      map.html(),
      detail::html_bars("Translation of an access", "ns, on average, at the end", accesses),
      kernel.html(),
      detail::html_bars("First use of a page", "ns, 99th percentile, all actors together", tails),
      first.html(), work.html());
}

std::string pictures_html(const experiment_results& r) {
  std::vector<detail::named_picture> pictures;
  for (const auto& p : r.policies) pictures.push_back({p.name, &p.picture});
  return fmt::format("<section>\n<h2>Memory at the end</h2>\n{}</section>\n",
                     detail::picture_grid(pictures));
}

std::string scenario_html(const experiment_results& r) {
  if (r.scenario.empty()) return "";
  std::string settings;
  for (const auto& setting : r.settings) {
    settings += fmt::format("<p>Instead: <code>{}</code></p>\n", html_escaped(setting));
  }
  return fmt::format("<details><summary>The scenario</summary>\n<pre>{}</pre>\n{}</details>\n",
                     html_escaped(r.scenario), settings);
}

std::string provenance_html(const experiment_results& r) {
  const auto item = [](std::string_view term, std::string_view text) {
    return fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escaped(term), html_escaped(text));
  };
  std::string items;
  if (!r.command.empty()) {
    items = fmt::format("<dt>Command</dt><dd><code>{}</code></dd>\n", html_escaped(r.command));
  }
  items += item("Machine", fmt::format("{} of memory, {} CPUs, costs of {}",
                                       detail::human_size(r.memory), r.cpus, r.cpu));
  items += item("Kernel rules", r.profile);
  items += item("Ageing", r.recipe.empty() ? "none" : r.recipe);
  items += item("Background", r.background.empty() ? "none" : r.background);
  items += item("Seed", fmt::to_string(r.seed));
  std::string all;
  for (const auto& p : r.policies) {
    items += item("Digest, " + p.name, to_text(p.state));
    if (!p.background_error.empty()) {
      items += item("Background, " + p.name, "ended early: " + p.background_error);
    }
    all += fmt::format("<details><summary>All statistics: {}</summary>\n{}</details>\n",
                       html_escaped(p.name), detail::statistics_table(p.statistics));
  }
  return fmt::format(
      "<section>\n<h2>How this was made</h2>\n<dl>\n{}</dl>\n"
      "<p class=\"quiet\">The same scenario and seed give the same digests on every machine.</p>\n"
      "{}{}</section>\n",
      items, scenario_html(r), all);
}

}  // namespace

std::string report_html(const experiment_results& r) {
  auto page = detail::page_start(
      r.question.empty() ? "Policies side by side" : r.question,
      fmt::format(
          "{} of memory, {} CPUs ({}), rules of {}, {:.3g} s of simulated time, {} policies",
          detail::human_size(r.memory), r.cpus, r.cpu, r.profile,
          std::chrono::duration<double>(r.duration).count(), r.policies.size()));
  page += failures_html(r);
  page += costs_html(r);
  page += charts_html(r);
  page += pictures_html(r);
  page += provenance_html(r);
  return page + detail::page_end();
}

}  // namespace memsim
