// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/khugepaged_daemon.hpp>

#include <algorithm>

namespace memsim {

khugepaged_daemon::khugepaged_daemon(machine& on, khugepaged& scanner,
                                     const khugepaged_daemon_config& how)
    : on_{&on},
      scanner_{&scanner},
      how_{how},
      daemon_{on.sim(), how.scan_sleep, [this] { return round(); }} {
  static_cast<void>(on.cpu(how.cpu));
  if (how.alloc_sleep < sim_duration{0}) {
    throw_usage("alloc_sleep {} ns: it cannot be negative", how.alloc_sleep.count());
  }
}

task<> khugepaged_daemon::round() {
  auto left = scanner_->config().pages_to_scan;
  for (bool has_waited = false; left > 0; has_waited = true) {
    khugepaged_result did;
    {
      const auto turn = co_await on_->cpu_time(how_.cpu).acquire();
      did = scanner_->scan(on_->cpu(how_.cpu), left);
      co_await on_->charge(how_.cpu);
    }
    left -= std::min(left, did.scanned);
    if (!did.out_of_memory || has_waited) co_return;
    if (left > 0) co_await delay(how_.alloc_sleep);
  }
}

}  // namespace memsim
