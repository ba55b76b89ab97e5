// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lines of a file of /proc, and complaints about them.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/core/text.hpp>

#include "workload/scan.hpp"

namespace memsim::detail {

/// Walks over the lines of a text.
class proc_text {
 public:
  proc_text(std::string_view text, std::string_view name) : rest_{text}, name_{name} {}

  /// Goes to the next line that is not blank; false at the end.
  [[nodiscard]] bool next() {
    while (!rest_.empty()) {
      line_ = rest_.substr(0, rest_.find('\n'));
      rest_.remove_prefix(line_.size() == rest_.size() ? rest_.size() : line_.size() + 1);
      ++number_;
      if (line_.ends_with('\r')) line_.remove_suffix(1);
      if (!without_blanks_behind(line_).empty()) return true;
    }
    return false;
  }

  [[nodiscard]] std::string_view line() const { return line_; }
  [[nodiscard]] std::string_view name() const { return name_; }

  /// `FILE:LINE: what: "text"`.
  [[nodiscard]] std::unexpected<error> complain(errc code, std::string_view what) const {
    constexpr std::size_t shown = 160;
    return fail(code, "{}:{}: {}: \"{}\"", name_, number_, what, escaped(line_, shown));
  }

 private:
  std::string_view rest_;
  std::string_view name_;
  std::string_view line_;
  std::uint64_t number_ = 0;
};

/// `Node 0, zone   Normal`, and what follows on the line.
struct zone_heading {
  unsigned node = 0;
  std::string_view zone;
  std::string_view rest;
};

[[nodiscard]] inline std::optional<zone_heading> parse_zone_heading(std::string_view line) {
  zone_heading heading;
  if (!take_prefix(line, "Node")) return std::nullopt;
  skip_blanks(line);
  const auto node = take_number<unsigned>(line);
  if (!node || !take_prefix(line, ", zone")) return std::nullopt;
  heading.node = *node;
  heading.zone = take_word(line);
  if (heading.zone.ends_with(',')) heading.zone.remove_suffix(1);
  heading.rest = line;
  return heading.zone.empty() ? std::nullopt : std::optional{heading};
}

/// A number of free blocks.
struct count_text {
  std::uint64_t value = 0;
  bool at_least = false;  ///< `>100000`
};

/// A row of counts; nothing if there is anything else, or a count is absurd.
[[nodiscard]] std::optional<std::vector<count_text>> parse_counts(std::string_view text);

}  // namespace memsim::detail
