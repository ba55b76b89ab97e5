// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Makes a piece of somebody's file fit to be shown in a message.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace memsim {

/// The text with everything but printable ASCII written as `\t`, `\n`, `\r`, `\\` or `\xNN`, and
/// cut with `...` after `limit` of its bytes.
///
///     escaped("a\tb", 80)     // a\tb in five characters
///     escaped("abcdef", 3)    // abc...
[[nodiscard]] std::string escaped(std::string_view text, std::size_t limit);

/// What may have been meant by a word that is none of those known: the first of those that fewest
/// insertions, removals, replacements and exchanges of neighbours lead to, at most one for every
/// three letters, and one for less; empty: none is so near.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> known);

}  // namespace memsim
