// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Files that a command leaves behind: all of them or, if one cannot be written, none.

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>

namespace memsim::cli {

struct output_file {
  std::string name;
  std::string contents;
};

/// Whether a directory can be there; asked before the work whose results it is for.
/// \return errc::io if its name is taken by something else
[[nodiscard]] std::expected<void, error> check_directory(const std::filesystem::path& directory);

/// Writes files to a directory, which is made if it is not there. Each is written under another
/// name and renamed once all are written, so that no file is ever half there.
/// \return errc::io with the file's name and the system's reason
[[nodiscard]] std::expected<void, error> write_files(const std::filesystem::path& directory,
                                                     const std::vector<output_file>& files);

}  // namespace memsim::cli
