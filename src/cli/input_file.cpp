// SPDX-License-Identifier: Apache-2.0
#include "input_file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace memsim::cli {

std::expected<std::ifstream, error> open_input(const std::string& path) {
  // One can be opened like a file; only reading would fail, without a reason.
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail(errc::io, "{}: is a directory, not a file", path);
  }
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  if (!file) return fail(errc::io, "{}: cannot be opened: {}", path, std::strerror(errno));
  return file;
}

}  // namespace memsim::cli
