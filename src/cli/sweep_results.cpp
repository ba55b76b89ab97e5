// SPDX-License-Identifier: Apache-2.0
#include "sweep_results.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

using json = nlohmann::ordered_json;

std::string key_of(std::size_t point) { return fmt::format("point:{}", point); }

std::string dumped(const json& value, int indent = -1) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

/// A cell of a CSV file; in quotes where it could be taken for more than one.
std::string cell(const json& value) {
  const auto text = value.is_string() ? value.get<std::string>() : dumped(value);
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string{"\"\""} : std::string{c};
  return quoted + '"';
}

/// A column of the table for a person.
struct shown_column {
  std::string_view name;  ///< of the value
  std::string_view heading;
};

constexpr std::array shown_columns{
    shown_column{"unusable_order_3", "unusable 32K"},
    shown_column{"unusable_order_9", "unusable 2M"},
    shown_column{"2MiB_allocatable", "2M free"},
    shown_column{"2MiB_allocatable_if_moved", "2M if moved"},
    shown_column{"mixed_pageblocks", "mixed blocks"},
    shown_column{"fallbacks", "fallbacks"},
};

constexpr std::array shown_of_policies{
    shown_column{"refused_at_mmap", "refused"},
    shown_column{"failed_at_fault", "failed"},
    shown_column{"direct_map_2m_lost", "2M lost"},
    shown_column{"kernel_access", "ns/access"},
    shown_column{"most_stranded", "stranded"},
    shown_column{"first_use_p99", "first use p99"},
    shown_column{"work", "work"},
};

std::string shown(const json& row, std::string_view name) {
  const auto found = row.find(name);
  if (found == row.end()) return "-";
  return found->is_number_float() ? fmt::format("{:.3f}", found->get<double>()) : dumped(*found);
}

/// Words in columns as wide as their widest, the first aligned left.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    // A message alone in its row may be as long as it likes.
    for (std::size_t i = 0; i < row.size() && row.size() != 2; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const auto& row : rows) widths[0] = std::max(widths[0], row[0].size());
  std::string text;
  for (const auto& row : rows) {
    text += fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

}  // namespace

std::string to_lines(const scenario_result& result) {
  json columns = json::array();
  json values = json::array();
  for (const auto& v : result.values) {
    columns.push_back({v.name, v.unit, v.description});
    std::visit([&](const auto& value) { values.push_back(value); }, v.value);
  }
  return dumped(columns) + '\n' + dumped(values);
}

std::expected<void, error> keep(sweep_journal& journal, std::size_t point,
                                const std::string& lines) {
  const auto end = lines.find('\n');
  const auto columns = lines.substr(0, end);
  const auto key = fmt::format("columns:{}", digest{}.add(columns));
  if (journal.find(key) == nullptr) {
    if (auto kept = journal.add(key, columns); !kept) return kept;
  }
  return journal.add(key_of(point),
                     fmt::format(R"({{"columns":"{}","values":{}}})", key, lines.substr(end + 1)));
}

bool is_finished(const sweep_journal& journal, std::size_t point) {
  return journal.find(key_of(point)) != nullptr;
}

sweep_results::sweep_results(const sweep_plan& plan, const sweep_journal& journal,
                             const std::map<std::size_t, std::string>& failures)
    : plan_{plan}, failures_{failures}, rows_(plan.points()) {
  for (std::size_t point = 0; point < plan.points(); ++point) {
    if (is_finished(journal, point)) read(point, journal);
  }
}

void sweep_results::read(std::size_t point, const sweep_journal& journal) {
  const auto record = json::parse(*journal.find(key_of(point)));
  const auto columns = json::parse(*journal.find(record["columns"].get<std::string>()));
  rows_[point] = json::object();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto name = columns[i][0].get<std::string>();
    rows_[point][name] = record["values"][i];
    if (std::ranges::find(columns_, name, &column::name) == columns_.end()) {
      columns_.push_back({name, columns[i][1], columns[i][2]});
    }
  }
}

nlohmann::ordered_json sweep_results::columns_json() const {
  json columns = json::object();
  for (const auto& c : columns_) {
    columns[c.name] = {{"unit", c.unit}, {"description", c.description}};
  }
  return columns;
}

nlohmann::ordered_json sweep_results::point_json(std::size_t point) const {
  json settings = json::object();
  for (const auto& setting : plan_.settings(point)) settings[setting.key] = setting.value;
  json entry{{"name", plan_.name(point)}, {"settings", settings}};
  if (const auto failure = failures_.find(point); failure != failures_.end()) {
    entry["outcome"] = "failed";
    entry["message"] = failure->second;
  } else {
    entry["outcome"] = "done";
    entry["values"] = rows_[point];
  }
  return entry;
}

std::string sweep_results::json_text() const {
  auto axes = json::object();
  for (const auto& axis : plan_.axes()) axes[axis.key] = axis.values;
  auto points = json::array();
  for (std::size_t point = 0; point < plan_.points(); ++point) {
    points.push_back(point_json(point));
  }
  return dumped({{"schema", "memsim.sweep/1"},
                 {"sweep", to_text(plan_.id())},
                 {"scenario", plan_.text()},
                 {"vary", axes},
                 {"failed", failures_.size()},
                 {"columns", columns_json()},
                 {"points", points}},
                2) +
         '\n';
}

std::string sweep_results::csv_text() const {
  std::string text = "point";
  for (const auto& axis : plan_.axes()) text += ',' + cell(axis.key);
  text += ",outcome";
  for (const auto& c : columns_) {
    text += ',' + cell(c.unit.empty() ? c.name : fmt::format("{} [{}]", c.name, c.unit));
  }
  text += '\n';
  for (std::size_t point = 0; point < plan_.points(); ++point) {
    text += fmt::to_string(point);
    for (const auto& setting : plan_.settings(point)) text += ',' + cell(setting.value);
    text += failures_.contains(point) ? ",failed" : ",done";
    for (const auto& c : columns_) {
      const auto& row = rows_[point];
      text += ',' + (row.contains(c.name) ? cell(row[c.name]) : std::string{});
    }
    text += '\n';
  }
  return text;
}

std::vector<std::string> sweep_results::policies() const {
  constexpr std::string_view last_of_name = ".failed_at_fault";
  std::vector<std::string> names;
  for (const auto& c : columns_) {
    if (!c.name.ends_with(last_of_name)) continue;
    names.push_back(c.name.substr(0, c.name.size() - last_of_name.size() + 1));
  }
  return names;
}

std::string sweep_results::table_text() const {
  // Of a machine that was aged a row a point, of actors a row for each policy.
  const auto names = policies();
  const std::span<const shown_column> shown_here =
      names.empty() ? std::span<const shown_column>{shown_columns} : shown_of_policies;
  std::vector<std::vector<std::string>> rows(1, {"Point"});
  for (const auto& c : shown_here) rows[0].emplace_back(c.heading);
  for (std::size_t point = 0; point < plan_.points(); ++point) {
    if (const auto failure = failures_.find(point); failure != failures_.end()) {
      rows.push_back({plan_.name(point), "failed: " + failure->second});
      continue;
    }
    const auto add = [&](std::string label, const std::string& prefix) {
      auto& row = rows.emplace_back(1, std::move(label));
      for (const auto& c : shown_here) {
        row.push_back(shown(rows_[point], prefix + std::string{c.name}));
      }
    };
    if (names.empty()) add(plan_.name(point), "");
    for (const auto& prefix : names) {
      add(fmt::format("{} {}", plan_.name(point), prefix.substr(0, prefix.size() - 1)), prefix);
    }
  }
  return aligned(rows);
}

}  // namespace memsim::cli
