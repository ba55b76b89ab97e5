// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/text.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace memsim {
namespace {

std::size_t edits_between(std::string_view from, std::string_view to) {
  std::vector<std::vector<std::size_t>> edits(from.size() + 1,
                                              std::vector<std::size_t>(to.size() + 1));
  for (std::size_t i = 0; i <= from.size(); ++i) {
    for (std::size_t k = 0; k <= to.size(); ++k) {
      auto& least = edits[i][k];
      if (i == 0 || k == 0) {
        least = i + k;
        continue;
      }
      least = std::min({edits[i - 1][k] + 1, edits[i][k - 1] + 1,
                        edits[i - 1][k - 1] + (from[i - 1] == to[k - 1] ? 0 : 1)});
      if (i > 1 && k > 1 && from[i - 1] == to[k - 2] && from[i - 2] == to[k - 1]) {
        least = std::min(least, edits[i - 2][k - 2] + 1);
      }
    }
  }
  return edits[from.size()][to.size()];
}

}  // namespace

std::string escaped(std::string_view text, std::size_t limit) {
  std::string shown;
  for (const char c : text.substr(0, limit)) {
    switch (c) {
      case '\t': shown += "\\t"; break;
      case '\n': shown += "\\n"; break;
      case '\r': shown += "\\r"; break;
      case '\\': shown += "\\\\"; break;
      default:
        if (c >= ' ' && c <= '~') {
          shown += c;
        } else {
          shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
  }
  if (text.size() > limit) shown += "...";
  return shown;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t longest = 40;
  if (word.size() > longest) return {};
  auto least = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string_view found;
  for (const auto candidate : known) {
    const auto edits = edits_between(word, candidate);
    if (edits >= least) continue;
    least = edits;
    found = candidate;
  }
  return found;
}

}  // namespace memsim
