// SPDX-License-Identifier: Apache-2.0
// The parser of cost files.
#include <memsim/workload/cost_file.hpp>

#include <cmath>

#include <memsim/arch/cpu_presets.hpp>

#include "core/read_file.hpp"
#include "workload/prices.hpp"

namespace memsim {

void detail::read_prices(table_reader& table, std::string_view file, cost_model& costs) {
  std::array<std::string_view, work_statistics.size()> known{};
  std::ranges::transform(work_statistics, known.begin(), &statistic<work>::name);
  table.allow_only(known);
  const auto price = [](table_reader& from, std::string_view key) {
    constexpr double most = 1e9;  // a second for one unit of work is more than anything costs
    return picoseconds{std::llround(from.decimal(key, 0, most) * 1000)};
  };
  for (const auto counter : known) {
    if (!table.has(counter)) continue;
    if (!table.is_table(counter)) {
      costs.set(counter, price(table, counter), std::string{file});
      continue;
    }
    table.table(counter, [&](table_reader& one) {
      static constexpr std::array<std::string_view, 2> keys{"ns", "source"};
      one.allow_only(keys);
      costs.set(counter, price(one, "ns"), one.word("source", file));
    });
  }
}

namespace {

using detail::shown_text;
using detail::table_reader;

// What a file's prices are instead of.
cost_model read_base(table_reader& top) {
  const auto base = top.word("base", default_costs().name());
  if (base == default_costs().name()) return default_costs();
  if (base == no_costs().name()) return no_costs();
  if (const auto cpu = find_cpu(base)) return cpu->costs;
  std::string known;
  for (const auto& cpu : presets::all_cpus()) known += ", " + cpu.name;
  top.complain_about("base", "base = \"{}\": allowed are {}, {}{}", escaped(base, shown_text),
                     default_costs().name(), no_costs().name(), known);
  return no_costs();
}

cost_model read_costs(table_reader& top, std::string_view file) {
  static constexpr std::array<std::string_view, 3> keys{"name", "base", "price"};
  top.allow_only(keys);
  auto costs = read_base(top).named(top.word("name", file));
  top.table("price", [&](table_reader& table) { detail::read_prices(table, file, costs); });
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
