// SPDX-License-Identifier: Apache-2.0
// The parser of scenario files.
#include <memsim/workload/scenario.hpp>

#include <array>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "core/read_file.hpp"
#include "workload/experiment_file.hpp"
#include "workload/machine_file.hpp"
#include "workload/toml_reader.hpp"

namespace memsim {
namespace {

using detail::shown_text;
using detail::table_reader;

/// One value of TOML, or a text that needs no quotes.
void insert_value(toml::table& table, std::string_view key, std::string_view value) {
  try {
    const auto parsed = toml::parse(fmt::format("value = {}", detail::ascii_only(value)));
    if (const auto* node = parsed.get("value"); node != nullptr && parsed.size() == 1) {
      return node->visit([&](const auto& found) { table.insert_or_assign(key, found); });
    }
  } catch (const std::runtime_error&) {
    // No value of TOML. Its errors of parsing are runtime errors, too.
  }
  table.insert_or_assign(key, detail::ascii_only(value));
}

/// Goes down the tables that a key names, and makes those that are missing.
void apply(toml::table& top, const scenario_setting& setting) {
  auto* table = &top;
  std::string_view key = setting.key;
  for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    const auto name = key.substr(0, dot);
    key.remove_prefix(dot + 1);
    if (!table->contains(name)) table->insert(name, toml::table{});
    table = table->get(name)->as_table();
    if (table == nullptr) throw_usage("{}: {} is no table", escaped(setting.key, shown_text), name);
  }
  insert_value(*table, key, setting.value);
}

std::vector<std::string_view> names_of(const auto& range) {
  std::vector<std::string_view> names;
  for (const auto& r : range) names.push_back(r.name);
  return names;
}

recipe_values read_parameters(table_reader& table, const recipe& r) {
  table.allow_only(names_of(r.parameters));
  recipe_values values;
  for (const auto& p : r.parameters) {
    if (!table.has(p.name)) continue;
    values[std::string{p.name}] =
        p.whole == rule::on
            ? static_cast<double>(table.number(p.name, 0, static_cast<std::uint64_t>(p.least),
                                               static_cast<std::uint64_t>(p.most)))
            : table.decimal(p.name, p.least, p.most);
  }
  return values;
}

/// The parameters of one recipe; those of all others are looked at, too.
recipe_values read_recipes(table_reader& table, std::string_view chosen) {
  table.allow_only(names_of(recipes()));
  recipe_values values;
  for (const auto& r : recipes()) {
    table.table(r.name, [&](table_reader& parameters) {
      auto read = read_parameters(parameters, r);
      if (r.name == chosen) values = std::move(read);
    });
  }
  return values;
}

void read_ageing(table_reader& table, ageing_plan& plan) {
  auto keys = names_of(ageing_numbers);
  keys.insert(keys.begin(), "recipe");
  table.allow_only(keys);
  if (!table.has("recipe")) table.complain_about("recipe", "no \"ageing.recipe\"");
  plan.recipe = table.word("recipe", plan.recipe);
  if (const auto found = find_recipe(plan.recipe); !found) {
    table.complain_about("recipe", "ageing.recipe: {}", found.error());
  }
  for (const auto& n : ageing_numbers) {
    if (table.has(n.name)) plan.*n.member = table.decimal(n.name, n.least, n.most);
  }
}

scenario read_scenario(table_reader& top, std::string_view file) {
  static constexpr std::array<std::string_view, 10> keys{
      "question",        "seed",   "machine", "ageing",    "recipe", "duration",
      "sample_interval", "policy", "actor",   "background"};
  top.allow_only(keys);
  if (!top.has("machine")) top.complain_about("machine", "no table [machine]");
  const bool has_actors = top.has("actor");
  if (!has_actors && !top.has("ageing")) top.complain_about("ageing", "no table [ageing]");
  for (const std::string_view key : {"duration", "sample_interval", "policy", "background"}) {
    if (!has_actors && top.has(key)) {
      top.complain_about(key, "\"{}\" is for scenarios with an [[actor]]", key);
    }
  }
  scenario read;
  read.question = top.word("question", "");
  top.table("machine", [&](table_reader& table) {
    if (table.has("seed")) {
      table.complain_about("seed", "machine.seed: a scenario has one seed, at its top");
    }
    read.machine = detail::read_machine_config(table, file);
  });
  read.machine.seed = top.number("seed", 1, 0, std::numeric_limits<std::int64_t>::max());
  top.table("ageing", [&](table_reader& table) { read_ageing(table, read.ageing.emplace()); });
  top.table("recipe", [&](table_reader& table) {
    auto parameters = read_recipes(table, read.ageing ? read.ageing->recipe : "");
    if (read.ageing) read.ageing->parameters = std::move(parameters);
  });
  if (read.ageing) read.ageing->seed = read.machine.seed;
  if (has_actors) detail::read_experiment(top, read, file);
  return read;
}

}  // namespace

std::string to_text(const scenario_setting& setting) {
  return fmt::format("{}={}", setting.key, setting.value);
}

std::expected<scenario, error> parse_scenario(std::string_view text, std::string_view name,
                                              std::span<const scenario_setting> settings) {
  constexpr std::size_t largest = std::size_t{1} << 20;
  if (text.size() > largest) {
    return fail(errc::malformed, "{}: {} bytes are too many for a scenario: allowed are {}", name,
                text.size(), largest);
  }
  auto read = detail::read_toml(
      text, name, [&](table_reader& top) { return read_scenario(top, name); },
      [&](toml::table& top) {
        for (const auto& setting : settings) apply(top, setting);
      });
  if (read || settings.empty()) return read;
  std::vector<std::string> with;
  for (const auto& setting : settings) with.push_back(escaped(to_text(setting), shown_text));
  return fail(read.error().code(), "{} (with {})", read.error(), fmt::join(with, " "));
}

std::expected<scenario, error> load_scenario(const std::filesystem::path& path,
                                             std::span<const scenario_setting> settings) {
  const auto text = detail::read_file(path);
  if (!text) return std::unexpected{text.error()};
  return parse_scenario(*text, path.string(), settings);
}

}  // namespace memsim
