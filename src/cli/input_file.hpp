// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Files that a command reads.

#include <expected>
#include <fstream>
#include <string>

#include <memsim/core/error.hpp>

namespace memsim::cli {

/// \return errc::io with the file's name and why it cannot be read
[[nodiscard]] std::expected<std::ifstream, error> open_input(const std::string& path);

}  // namespace memsim::cli
