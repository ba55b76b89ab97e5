// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Small pictures of few colours as PNG files.

#include <cstdint>
#include <span>
#include <string>

namespace memsim::detail {

struct rgba {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  std::uint8_t alpha = 255;
};

/// The bytes of a PNG file.
///
/// Compressed by one rule alone, which suits pictures of large even areas: pixels that repeat the
/// one before, or those above, are said to.
///
/// \param pixels   row by row, numbers of colours
/// \param palette  at most 256 colours
/// \throws usage_error if the pixels do not fill whole rows, or there are no pixels or too many
///         colours
[[nodiscard]] std::string png_of(std::span<const std::uint8_t> pixels, std::uint32_t width,
                                 std::span<const rgba> palette);

/// For `data:` addresses.
[[nodiscard]] std::string base64_of(std::string_view data);

}  // namespace memsim::detail
