// SPDX-License-Identifier: Apache-2.0
// The parser of cost files.
#include <memsim/workload/cost_file.hpp>

#include <cmath>

#include "core/read_file.hpp"
#include "workload/toml_reader.hpp"

namespace memsim {
namespace {

using detail::shown_text;
using detail::table_reader;

// A second for one unit of work is more than anything costs.
constexpr double most_nanoseconds = 1e9;

picoseconds read_price(table_reader& table, std::string_view key) {
  const double ns = table.decimal(key, 0, most_nanoseconds);
  return picoseconds{std::llround(ns * 1000)};
}

void read_prices(table_reader& table, std::string_view file, cost_model& costs) {
  std::array<std::string_view, work_statistics.size()> known{};
  std::ranges::transform(work_statistics, known.begin(), &statistic<work>::name);
  table.allow_only(known);
  for (const auto counter : known) {
    if (!table.has(counter)) continue;
    if (!table.is_table(counter)) {
      costs.set(counter, read_price(table, counter), std::string{file});
      continue;
    }
    table.table(counter, [&](table_reader& one) {
      static constexpr std::array<std::string_view, 2> keys{"ns", "source"};
      one.allow_only(keys);
      costs.set(counter, read_price(one, "ns"), one.word("source", file));
    });
  }
}

cost_model read_costs(table_reader& top, std::string_view file) {
  static constexpr std::array<std::string_view, 3> keys{"name", "base", "price"};
  top.allow_only(keys);
  const auto base = top.word("base", default_costs().name());
  if (base != default_costs().name() && base != no_costs().name()) {
    top.complain_about("base", "base = \"{}\": allowed are {} and {}", escaped(base, shown_text),
                       default_costs().name(), no_costs().name());
  }
  cost_model costs{top.word("name", file)};
  if (base != no_costs().name()) {
    for (const auto& s : work_statistics) {
      const auto& [each, source] = default_costs().of(s.name);
      costs.set(s.name, each, source);
    }
  }
  top.table("price", [&](table_reader& table) { read_prices(table, file, costs); });
  return costs;
}

}  // namespace

std::expected<cost_model, error> parse_costs(std::string_view text, std::string_view name) {
  return detail::read_toml(text, name, [&](table_reader& top) { return read_costs(top, name); });
}

std::expected<cost_model, error> load_costs(const std::filesystem::path& path) {
  const auto text = detail::read_file(path);
  if (!text) return std::unexpected{text.error()};
  return parse_costs(*text, path.string());
}

}  // namespace memsim
