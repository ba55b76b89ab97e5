// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/statistics.hpp>

namespace memsim {

std::string to_text(const statistic_value& s) {
  return fmt::format("{} {} {}", s.name, s.value, s.unit);
}

}  // namespace memsim
