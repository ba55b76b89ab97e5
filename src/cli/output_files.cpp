// SPDX-License-Identifier: Apache-2.0
#include "output_files.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

namespace memsim::cli {
namespace {

namespace fs = std::filesystem;

fs::path unfinished(const fs::path& directory, const output_file& file) {
  return directory / fmt::format(".{}.unfinished", file.name);
}

std::expected<void, error> write(const fs::path& path, const std::string& contents) {
  errno = 0;
  std::ofstream out{path, std::ios::binary | std::ios::trunc};
  out << contents;
  out.close();
  if (!out) return fail(errc::io, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  return {};
}

void remove_unfinished(const fs::path& directory, const std::vector<output_file>& files) {
  for (const auto& file : files) {
    std::error_code ignored;
    fs::remove(unfinished(directory, file), ignored);
  }
}

std::expected<void, error> write_unfinished(const fs::path& directory,
                                            const std::vector<output_file>& files) {
  for (const auto& file : files) {
    if (auto ok = write(unfinished(directory, file), file.contents); !ok) return ok;
  }
  return {};
}

}  // namespace

std::expected<void, error> check_directory(const fs::path& directory) {
  std::error_code ignored;
  if (fs::exists(directory, ignored) && !fs::is_directory(directory, ignored)) {
    return fail(errc::io, "{}: cannot be made: it is there, and no directory", directory.string());
  }
  return {};
}

std::expected<void, error> write_files(const fs::path& directory,
                                       const std::vector<output_file>& files) {
  std::error_code code;
  fs::create_directories(directory, code);
  if (code) return fail(errc::io, "{}: cannot be made: {}", directory.string(), code.message());

  auto written = write_unfinished(directory, files);
  for (std::size_t i = 0; written && i < files.size(); ++i) {
    fs::rename(unfinished(directory, files[i]), directory / files[i].name, code);
    if (code) {
      written = fail(errc::io, "{}: cannot be written: {}", (directory / files[i].name).string(),
                     code.message());
    }
  }
  if (!written) remove_unfinished(directory, files);
  return written;
}

}  // namespace memsim::cli
