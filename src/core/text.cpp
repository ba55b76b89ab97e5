// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/text.hpp>

#include <fmt/format.h>

namespace memsim {

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

}  // namespace memsim
