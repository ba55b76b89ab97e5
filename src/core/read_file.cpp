// SPDX-License-Identifier: Apache-2.0
#include "core/read_file.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

namespace memsim::detail {

// Files of /proc say that they are empty, so the size is known only when they have been read.
std::expected<std::string, error> read_file(const std::filesystem::path& path,
                                            std::size_t most_bytes) {
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    const std::error_code reason{errno, std::generic_category()};
    return fail(errc::io, "{}: cannot open: {}", path.string(), reason.message());
  }
  std::string text;
  std::string chunk(65'536, '\0');
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), file.gcount() > 0) {
    text.append(chunk, 0, static_cast<std::size_t>(file.gcount()));
    if (text.size() > most_bytes) {
      return fail(errc::io, "{}: larger than {} bytes", path.string(), most_bytes);
    }
  }
  if (file.bad()) return fail(errc::io, "{}: cannot read", path.string());
  return text;
}

}  // namespace memsim::detail
