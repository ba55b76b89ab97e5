// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/mapping.hpp>

#include <array>
#include <utility>

#include <memsim/core/error.hpp>

namespace memsim {

void mapping_flags::detail_refuse(std::uint8_t bits) {
  throw_usage("mapping flags {:#x}: allowed are 0 to {:#x}", bits, all_bits);
}

std::string to_text(mapping_flags flags) {
  static constexpr std::array names{std::pair{mapping_flag::present, "present"},
                                    std::pair{mapping_flag::writable, "writable"},
                                    std::pair{mapping_flag::encrypted, "encrypted"},
                                    std::pair{mapping_flag::keep_small, "keep_small"}};
  std::string text;
  for (const auto& [flag, name] : names) {
    if (!flags.has(flag)) continue;
    if (!text.empty()) text += '|';
    text += name;
  }
  return text.empty() ? "none" : text;
}

std::string to_text(const mapped_run& run) {
  return fmt::format("[{}, {}) {} {}", run.first, run.end(), run.how.size, run.how.flags);
}

}  // namespace memsim
