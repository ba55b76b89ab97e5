// SPDX-License-Identifier: Apache-2.0
#include "option_values.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

template <class Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class Number>
CLI::Validator number_within(Number least, Number most, std::string_view kind) {
  const auto check = [=](std::string& text) -> std::string {
    const auto value = parse<Number>(text);
    if (!value || !(*value >= least && *value <= most)) {
      return fmt::format("'{}' is not a {} from {} to {}", text, kind, least, most);
    }
    text = fmt::format("{}", *value);  // 010 is ten, and not read as octal further on
    return {};
  };
  return {check, ""};
}

}  // namespace

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  return number_within(least, most, "whole number");
}

CLI::Validator real_number(double least, double most) {
  return number_within(least, most, "number");
}

std::string shell_word(const std::string& word) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view{"-_./=,:+@%"}.contains(c);
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return text + "'";
}

}  // namespace memsim::cli
