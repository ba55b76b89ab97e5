// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Drawings of a picture of memory for the report.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/metrics/memory_picture.hpp>

namespace memsim::detail {

/// Which cells a drawing shows, line by line from low addresses to high.
///
/// Long holes take one empty line, so that a machine with a terabyte of nothing between two pieces
/// of memory is still all memory to look at.
struct picture_layout {
  static constexpr std::size_t gap = static_cast<std::size_t>(-1);

  std::size_t width = 0;             ///< cells in a line
  std::vector<std::size_t> lines{};  ///< the first cell of each, or `gap`
};

[[nodiscard]] picture_layout lay_out(const memory_picture&);

/// Two pictures of one machine beside each other, with addresses, and a legend of what is in them.
[[nodiscard]] std::string pictures_html(const memory_picture& before, const memory_picture& after);

struct named_picture {
  std::string_view name;
  const memory_picture* picture;
};

/// Pictures of machines with the same memory beside each other, likewise.
[[nodiscard]] std::string picture_grid(std::span<const named_picture> pictures);

}  // namespace memsim::detail
