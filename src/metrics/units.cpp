// SPDX-License-Identifier: Apache-2.0
#include "metrics/units.hpp"

#include <array>

#include <fmt/format.h>

namespace memsim::detail {

std::string human_size(frame_count frames) {
  static constexpr std::array units{"KiB", "MiB", "GiB", "TiB"};
  if (frames == 0) return "0";
  double size = static_cast<double>(frames) * (page_bytes / 1024.0);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < units.size(); ++unit) size /= 1024;
  // Three digits, and none after the point where they would be zeroes anyway.
  int decimals = size >= 10 ? 1 : 2;
  if (unit == 0 || size >= 100) decimals = 0;
  return fmt::format("{:.{}f} {}", size, decimals, units[unit]);
}

std::string percent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string grouped(std::uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(static_cast<std::size_t>(i), 1, ' ');
  }
  return digits;
}

std::string block_size(order size) { return to_text(bytes{size.frames() * page_bytes}); }

}  // namespace memsim::detail
