// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/event_order.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

void event_priority::detail_refuse(int value) {
  throw_usage("event priority {} is outside {} to {}", value, first, last);
}

std::string to_text(event_priority p) { return fmt::format("{}", p.value()); }

}  // namespace memsim
