// SPDX-License-Identifier: Apache-2.0
// A recording of any bytes is replayed, or refused with a message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include <memsim/testing/golden_replay.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream input{std::string{reinterpret_cast<const char*>(data), size}};
  const auto result = memsim::testing::replay_golden(input, "fuzz");
  if (!result) {
    if (result.error().message().empty() || result.error().message().size() > 1000) std::abort();
  } else if (result->identical > result->compared ||
             result->first_difference.has_value() != (result->identical < result->compared)) {
    std::abort();
  }
  return 0;
}
