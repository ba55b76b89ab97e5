// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/periodic.hpp>

#include <algorithm>

namespace memsim {

periodic::periodic(simulator& sim, sim_duration period, event_priority priority, body round)
    : sim_{&sim},
      period_{period},
      priority_{priority},
      round_{std::move(round)},
      planned_{sim.now()} {
  if (period <= sim_duration::zero()) {
    throw_usage("a period of {} ns; it must be at least 1 ns", period.count());
  }
  plan();
}

periodic::~periodic() {
  stop();
  if (current_) current_->cancel();
}

void periodic::stop() {
  stopped_ = true;
  sim_->cancel(next_);
}

// The next whole period that has not passed, unless time ends before.
void periodic::plan() {
  const sim_time now = sim_->now();
  if (stopped_ || period_ > sim_time::max() - now) return;
  const auto late = std::max(now - planned_, sim_duration{1});
  const auto periods = (late - sim_duration{1}) / period_ + 1;
  planned_ += period_ * periods;
  skipped_ += static_cast<std::uint64_t>(periods - 1);
  next_ = sim_->schedule_daemon_at(planned_, [this] { begin(); }, priority_);
}

void periodic::begin() {
  ++rounds_;
  try {
    if (auto round = round_()) {
      current_ = spawn(*sim_, going_on(std::move(*round)), priority_);
      return;
    }
  } catch (...) {
    plan();
    throw;
  }
  plan();
}

task<> periodic::going_on(task<> round) {
  try {
    co_await std::move(round);
  } catch (...) {
    plan();
    throw;
  }
  plan();
}

}  // namespace memsim
