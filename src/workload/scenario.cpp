// SPDX-License-Identifier: Apache-2.0
// The parser of scenario files.
#include <memsim/workload/scenario.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
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

/// Names of kernels look like numbers: 5_14 is one, and 50_000 is none.
bool is_name_of_digits(std::string_view value) {
  if (value.find_first_not_of("0123456789_") != std::string_view::npos) return false;
  for (auto at = value.find('_'); at != std::string_view::npos; at = value.find('_')) {
    value.remove_prefix(at + 1);
    if (std::min(value.find('_'), value.size()) != 3) return true;
  }
  return false;
}

/// One value of TOML, or a text that needs no quotes.
void insert_value(toml::table& table, std::string_view key, std::string_view value) {
  if (is_name_of_digits(value)) {
    table.insert_or_assign(key, value);
    return;
  }
  try {
    const auto parsed = toml::parse(fmt::format("value = {}", detail::toml_text{value}.text()));
    if (const auto* node = parsed.get("value"); node != nullptr && parsed.size() == 1) {
      return node->visit([&](const auto& found) { table.insert_or_assign(key, found); });
    }
  } catch (const std::runtime_error&) {
    // No value of TOML. Its errors of parsing are runtime errors, too.
  }
  table.insert_or_assign(key, value);
}

/// The table of an array `[[...]]` whose name the key goes on with; the name and its dot are taken
/// off the key.
toml::table* find_named(toml::array& tables, std::string_view& key) {
  for (auto& node : tables) {
    auto* const table = node.as_table();
    const auto name = table == nullptr ? std::nullopt : (*table)["name"].value<std::string>();
    if (!name || !key.starts_with(*name) || key.size() <= name->size() + 1 ||
        key[name->size()] != '.') {
      continue;
    }
    key.remove_prefix(name->size() + 1);
    return table;
  }
  return nullptr;
}

std::vector<std::string> names_in(const toml::array& tables) {
  std::vector<std::string> names;
  for (const auto& node : tables) {
    const auto* const table = node.as_table();
    if (table == nullptr) continue;
    names.push_back(escaped((*table)["name"].value_or<std::string>(""), shown_text));
  }
  return names;
}

/// Goes down the tables that a key names, and makes those that are missing. Of several `[[policy]]`
/// the key says the name: `policy.merged.limit`.
void apply(toml::table& top, const scenario_setting& setting) {
  auto* table = &top;
  std::string_view key = setting.key;
  for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    const auto name = key.substr(0, dot);
    key.remove_prefix(dot + 1);
    if (!table->contains(name)) table->insert(name, toml::table{});
    auto* const node = table->get(name);
    if (auto* const array = node->as_array()) {
      table = find_named(*array, key);
      if (table == nullptr) {
        throw_usage("{}: no [[{}]] is named so; there are {}", escaped(setting.key, shown_text),
                    name, fmt::join(names_in(*array), ", "));
      }
    } else {
      table = node->as_table();
      if (table == nullptr) {
        throw_usage("{}: {} is no table", escaped(setting.key, shown_text), name);
      }
    }
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

using parameters_by_recipe = std::map<std::string_view, recipe_values>;

parameters_by_recipe read_recipes(table_reader& table) {
  table.allow_only(names_of(recipes()));
  parameters_by_recipe values;
  for (const auto& r : recipes()) {
    table.table(r.name, [&](table_reader& parameters) {
      values.emplace(r.name, read_parameters(parameters, r));
    });
  }
  return values;
}

void read_ageing(table_reader& table, ageing_plan& plan) {
  auto keys = names_of(ageing_numbers);
  keys.insert(keys.begin(), "recipe");
  table.allow_only(keys);
  if (!table.has("recipe")) table.complain_about("recipe", "no \"ageing.recipe\"");
  detail::read_recipe_name(table, "ageing", plan);
  for (const auto& n : ageing_numbers) {
    if (table.has(n.name)) plan.*n.member = table.decimal(n.name, n.least, n.most);
  }
}

std::vector<ageing_plan*> plans_of(scenario& s) {
  std::vector<ageing_plan*> plans;
  if (s.ageing) plans.push_back(&*s.ageing);
  auto* const load = s.background ? std::get_if<recipe_background>(&*s.background) : nullptr;
  if (load != nullptr) plans.push_back(&load->plan);
  return plans;
}

scenario read_scenario(table_reader& top, std::string_view file) {
  static constexpr std::array<std::string_view, 10> keys{
      "question",        "seed",   "machine", "ageing",    "recipe", "duration",
      "sample_interval", "policy", "actor",   "background"};
  top.allow_only(keys);
  if (!top.has("machine")) top.complain_about("machine", "no table [machine]");
  const bool has_actors = top.has("actor");
  if (!has_actors && !top.has("ageing")) {
    top.complain_about("ageing", "no table [ageing], and no [[actor]]");
  }
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
  if (has_actors) detail::read_experiment(top, read, file);
  parameters_by_recipe parameters;
  top.table("recipe", [&](table_reader& table) { parameters = read_recipes(table); });
  if (plans_of(read).empty() && !parameters.empty()) {
    top.complain_about("recipe", "[recipe.{}], and no recipe is carried out",
                       parameters.begin()->first);
  }
  for (auto* const plan : plans_of(read)) {
    plan->seed = read.machine.seed;
    if (const auto own = parameters.find(plan->recipe); own != parameters.end()) {
      plan->parameters = own->second;
    }
  }
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
  std::vector<std::string> with;
  for (const auto& setting : settings) with.push_back(escaped(to_text(setting), shown_text));
  if (read) {
    read->text = text;
    read->settings = with;
  }
  if (read || settings.empty()) return read;
  return fail(read.error().code(), "{} (with {})", read.error(), fmt::join(with, " "));
}

std::expected<scenario, error> load_scenario(const std::filesystem::path& path,
                                             std::span<const scenario_setting> settings) {
  const auto text = detail::read_file(path);
  if (!text) return std::unexpected{text.error()};
  return parse_scenario(*text, path.string(), settings);
}

}  // namespace memsim
