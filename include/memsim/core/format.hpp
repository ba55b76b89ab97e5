// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One fmt formatter for every memsim type: whatever has a `to_text` can be formatted.

#include <concepts>
#include <string>
#include <type_traits>

#include <fmt/format.h>

namespace memsim::detail {

// Found by argument-dependent lookup in the namespace of the type alone.
void to_text() = delete;

template <class T>
concept has_to_text = (std::is_class_v<T> || std::is_enum_v<T>) && requires(const T& value) {
  { to_text(value) } -> std::convertible_to<std::string>;
  requires std::same_as<T, std::remove_cvref_t<T>>;
};

}  // namespace memsim::detail

/// `fmt::format("{}", pfn{42})`; takes the format specification of a string, so `{:>12}` works.
template <memsim::detail::has_to_text T>
struct fmt::formatter<T> : fmt::formatter<std::string> {
  template <class FormatContext>
  auto format(const T& value, FormatContext& context) const {
    return fmt::formatter<std::string>::format(to_text(value), context);
  }
};
