// SPDX-License-Identifier: Apache-2.0
#include "workload/line_source.hpp"

namespace memsim::detail {

std::string shown(std::string_view line) {
  constexpr std::size_t longest = 120;
  std::string text;
  for (const char c : line.substr(0, longest)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (line.size() > longest) text += "...";
  return text;
}

std::unexpected<error> line_source::malformed(std::string_view what) const {
  return fail(errc::malformed, "{}:{}: {}: {}", name_, number_, what, shown(line_));
}

std::unexpected<error> line_source::unsupported(std::string_view what) const {
  return fail(errc::unsupported, "{}:{}: {}: {}", name_, number_, what, shown(line_));
}

std::unexpected<error> line_source::ends_early(std::string_view wanted) const {
  return fail(errc::malformed, "{}:{}: the file ends before {}", name_, number_ + 1, wanted);
}

}  // namespace memsim::detail
