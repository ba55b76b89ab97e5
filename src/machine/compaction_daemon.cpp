// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/compaction_daemon.hpp>

namespace memsim {

compaction_daemon::compaction_daemon(machine& on, const compaction_daemon_config& how)
    : on_{&on},
      cpu_{how.cpu},
      rest_{how.rest},
      daemon_{on.sim(), how.period, [this] { return round(); }} {
  static_cast<void>(on.cpu(cpu_));
}

task<> compaction_daemon::round() {
  if (resting_ > 0) {
    --resting_;
    co_return;
  }
  const auto turn = co_await on_->cpu_time(cpu_).acquire();
  if (!on_->memory().compact_proactively(on_->cpu(cpu_))) {
    ++in_vain_;
    resting_ = rest_;
  }
  co_await on_->charge(cpu_);
}

}  // namespace memsim
