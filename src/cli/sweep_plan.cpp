// SPDX-License-Identifier: Apache-2.0
#include "sweep_plan.hpp"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include <memsim/core/text.hpp>

namespace memsim::cli {
namespace {

constexpr std::size_t shown_text = 80;

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::expected<sweep_axis, error> parse_axis(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return fail(errc::malformed, "--vary {}: wanted is KEY=A,B,C, as in ageing.occupancy=0.5,0.9",
                escaped(text, shown_text));
  }
  sweep_axis axis{.key = std::string{text.substr(0, equals)},
                  .values = split_at_commas(text.substr(equals + 1))};
  std::set<std::string_view> seen;
  for (const auto& value : axis.values) {
    if (value.empty()) {
      return fail(errc::malformed, "--vary {}: a value is empty", escaped(text, shown_text));
    }
    if (!seen.insert(value).second) {
      return fail(errc::malformed, "--vary {}: {} is there twice", escaped(text, shown_text),
                  escaped(value, shown_text));
    }
  }
  return axis;
}

std::expected<sweep_plan, error> sweep_plan::make(std::string text, std::vector<sweep_axis> axes,
                                                  std::string program) {
  std::set<std::string_view> keys;
  std::size_t points = 1;
  for (const auto& axis : axes) {
    if (!keys.insert(axis.key).second) {
      return fail(errc::malformed, "--vary: {} is varied twice", escaped(axis.key, shown_text));
    }
    points *= axis.values.size();
    if (points > most_points) {
      return fail(errc::malformed, "--vary: the product has more than {} points", most_points);
    }
  }
  return sweep_plan{std::move(text), std::move(axes), std::move(program), points};
}

std::vector<scenario_setting> sweep_plan::settings(std::size_t point) const {
  std::vector<scenario_setting> settings(axes_.size());
  for (auto i = axes_.size(); i-- > 0;) {
    const auto& axis = axes_[i];
    settings[i] = {axis.key, axis.values[point % axis.values.size()]};
    point /= axis.values.size();
  }
  return settings;
}

std::string sweep_plan::name(std::size_t point) const {
  std::vector<std::string> parts;
  for (const auto& setting : settings(point)) parts.push_back(to_text(setting));
  return fmt::format("{}", fmt::join(parts, " "));
}

digest sweep_plan::id() const {
  digest d;
  d.add(text_).add(axes_.size());
  for (const auto& axis : axes_) {
    d.add(axis.key).add(axis.values.size());
    for (const auto& value : axis.values) d.add(value);
  }
  return d;
}

digest sweep_plan::run_id() const { return id().add(program_); }

}  // namespace memsim::cli
