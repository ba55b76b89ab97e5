// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/page_info.hpp>

#include <array>
#include <string_view>

namespace memsim {
namespace {

// In the order of their bits.
constexpr std::array<std::string_view, 15> flag_names{
    "lru",         "lru_pending", "isolated", "driver",      "anonymous",
    "swap_backed", "pinned",      "dirty",    "writeback",   "referenced",
    "active",      "unevictable", "tail",     "swap_cached", "reclaim"};

}  // namespace

std::string to_text(page_flags flags) {
  std::string text;
  for (std::size_t bit = 0; bit < flag_names.size(); ++bit) {
    if ((flags.bits() >> bit & 1) == 0) continue;
    if (!text.empty()) text += '|';
    text += flag_names[bit];
  }
  return text.empty() ? "none" : text;
}

}  // namespace memsim
