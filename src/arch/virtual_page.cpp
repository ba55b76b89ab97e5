// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/virtual_page.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

void vpn::detail_refuse(std::uint64_t value) {
  throw_usage("virtual page number {:#x} is out of range: it has at most {} bits", value, bits);
}

std::string to_text(vpn page) { return fmt::format("{:#x}", page.value()); }
std::string to_text(asid space) { return fmt::to_string(space.value()); }

}  // namespace memsim
