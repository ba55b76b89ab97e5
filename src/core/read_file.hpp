// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The whole of a file.

#include <cstddef>
#include <expected>
#include <filesystem>
#include <string>

#include <memsim/core/error.hpp>

namespace memsim::detail {

/// What people write by hand, or a kernel reports, is smaller.
inline constexpr std::size_t most_text = 16 << 20;

/// \return errc::io if the file cannot be read or has more than `most_bytes`
[[nodiscard]] std::expected<std::string, error> read_file(const std::filesystem::path& path,
                                                          std::size_t most_bytes = most_text);

}  // namespace memsim::detail
