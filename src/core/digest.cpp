// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/digest.hpp>

#include <memsim/core/format.hpp>

namespace memsim {

std::string to_text(digest d) { return fmt::format("{:016x}", d.value()); }

}  // namespace memsim
