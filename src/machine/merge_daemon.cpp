// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/merge_daemon.hpp>

namespace memsim {

merge_daemon::merge_daemon(machine& on, const merge_daemon_config& how)
    : on_{&on},
      cpu_{how.cpu},
      budget_{how.budget},
      scanner_{how.largest},
      daemon_{on.sim(), how.period, [this] { return round(); }} {
  static_cast<void>(on.cpu(cpu_));
}

task<> merge_daemon::round() {
  const auto turn = co_await on_->cpu_time(cpu_).acquire();
  collapsed_ += scanner_.scan(on_->map(), on_->cpu(cpu_), budget_);
  co_await on_->charge(cpu_);
}

}  // namespace memsim
