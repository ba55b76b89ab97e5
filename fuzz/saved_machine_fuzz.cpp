// SPDX-License-Identifier: Apache-2.0
// Saved machines: the input is what follows a file's checksum, so that its content is looked at,
// and is also tried as a whole file. What can be loaded is saved again, which must lose nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

#include <boost/crc.hpp>

#include <memsim/machine.hpp>

namespace {

using namespace memsim;

void require(bool holds) {
  if (!holds) std::abort();
}

template <std::unsigned_integral T>
void put(std::string& text, T number) {
  for (unsigned i = 0; i < sizeof(T); ++i) text += static_cast<char>(number >> (8 * i));
}

std::string with_header(std::string_view content) {
  boost::crc_32_type crc;
  crc.process_bytes(content.data(), content.size());
  std::string file = "memsim machine\n";
  put(file, std::uint32_t{4});
  put(file, std::uint64_t{content.size()});
  put(file, crc.checksum());
  return file.append(content);
}

void try_file(const std::string& text) {
  std::istringstream file{text};
  const auto loaded = machine::load(file, "saved");
  if (!loaded) {
    require(!loaded.error().message().empty() && loaded.error().message().size() < 2000);
    return;
  }
  std::ostringstream again;
  loaded->save(again);
  std::istringstream reread{again.str()};
  const auto reloaded = machine::load(reread, "saved again");
  require(reloaded && reloaded->state_digest() == loaded->state_digest());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  try_file(std::string{text});
  try_file(with_header(text));
  return 0;
}
