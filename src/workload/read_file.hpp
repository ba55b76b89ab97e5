// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The whole of a small file.

#include <expected>
#include <filesystem>
#include <string>

#include <memsim/core/error.hpp>

namespace memsim::detail {

/// \return errc::io if the file cannot be read or has more than 16 MiB
[[nodiscard]] std::expected<std::string, error> read_file(const std::filesystem::path& path);

}  // namespace memsim::detail
