// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Makes a piece of somebody's file fit to be shown in a message.

#include <cstddef>
#include <string>
#include <string_view>

namespace memsim {

/// The text with everything but printable ASCII written as `\t`, `\n`, `\r`, `\\` or `\xNN`, and
/// cut with `...` after `limit` of its bytes.
///
///     escaped("a\tb", 80)     // a\tb in five characters
///     escaped("abcdef", 3)    // abc...
[[nodiscard]] std::string escaped(std::string_view text, std::size_t limit);

}  // namespace memsim
