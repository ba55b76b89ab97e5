// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/time.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

std::string to_text(sim_time t) { return fmt::format("{} ns", t.time_since_epoch().count()); }

sim_time detail::time_after(sim_time from, sim_duration wait) {
  if (wait < sim_duration::zero()) throw_usage("a wait of {} ns is negative", wait.count());
  if (wait > sim_time::max() - from) {
    throw_usage("{} ns after {} is beyond the end of time", wait.count(), from);
  }
  return from + wait;
}

}  // namespace memsim
