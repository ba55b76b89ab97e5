// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Takes a text apart from its front: words and numbers, without copying.

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace memsim::detail {

[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

inline void skip_blanks(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_blank(text[n])) ++n;
  text.remove_prefix(n);
}

[[nodiscard]] inline std::string_view without_blanks_behind(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The characters up to the next blank, after any blanks; empty at the end.
[[nodiscard]] inline std::string_view take_word(std::string_view& text) {
  skip_blanks(text);
  std::size_t n = 0;
  while (n < text.size() && !is_blank(text[n])) ++n;
  const auto word = text.substr(0, n);
  text.remove_prefix(n);
  return word;
}

/// Takes `prefix` away if the text begins with it.
[[nodiscard]] inline bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// The digits at the front as a number; nothing if there are none or too many.
template <std::unsigned_integral Number>
[[nodiscard]] std::optional<Number> take_number(std::string_view& text, int base = 10) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (code != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// The whole text as a number.
template <std::unsigned_integral Number>
[[nodiscard]] std::optional<Number> to_number(std::string_view text, int base = 10) {
  const auto value = take_number<Number>(text, base);
  return text.empty() ? value : std::nullopt;
}

}  // namespace memsim::detail
