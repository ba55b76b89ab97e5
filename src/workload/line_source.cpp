// SPDX-License-Identifier: Apache-2.0
#include "workload/line_source.hpp"

#include <array>

namespace memsim::detail {

// By pieces: std::getline into a string would take in all of a file without line ends.
bool line_source::next() {
  line_.clear();
  std::array<char, 4096> piece{};
  while (true) {
    input_->getline(piece.data(), piece.size());
    const auto got = static_cast<std::size_t>(input_->gcount());
    const bool whole = input_->good();  // then what was taken includes the line's end
    line_.append(piece.data(), got - (whole ? 1 : 0));
    if (whole || input_->eof() || got == 0) break;
    if (line_.size() > max_golden_line) {
      too_long_ = true;
      return false;
    }
    input_->clear(input_->rdstate() & ~std::ios::failbit);
  }
  if (!input_->good() && line_.empty()) return false;
  ++number_;
  return true;
}

std::unexpected<error> line_source::malformed(std::string_view what) const {
  return fail(errc::malformed, "{}:{}: {}: {}", name_, number_, what, escaped(line_, shown_line));
}

std::unexpected<error> line_source::unsupported(std::string_view what) const {
  return fail(errc::unsupported, "{}:{}: {}: {}", name_, number_, what, escaped(line_, shown_line));
}

std::unexpected<error> line_source::ends_early(std::string_view wanted) const {
  if (too_long_) {
    return fail(errc::malformed, "{}:{}: longer than {} bytes: {}", name_, number_ + 1,
                max_golden_line, escaped(line_, shown_line));
  }
  return fail(errc::malformed, "{}:{}: the file ends before {}", name_, number_ + 1, wanted);
}

}  // namespace memsim::detail
