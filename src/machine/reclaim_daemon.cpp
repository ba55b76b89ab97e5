// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/reclaim_daemon.hpp>

namespace memsim {
namespace {

bool is_asleep(const std::optional<task_handle<>>& daemon) { return !daemon || daemon->done(); }

}  // namespace

reclaim_daemon::reclaim_daemon(machine& on, const reclaim_daemon_config& how)
    : on_{&on}, how_{how} {
  static_cast<void>(on.cpu(how.cpu));
  if (how.throttle < sim_duration{0}) {
    throw_usage("throttle {} ns: it cannot be negative", how.throttle.count());
  }
  on.memory().set_daemon_waker(this);
}

reclaim_daemon::~reclaim_daemon() {
  on_->memory().set_daemon_waker(nullptr);
  if (!is_asleep(kswapd_)) kswapd_->cancel();
  if (!is_asleep(kcompactd_)) kcompactd_->cancel();
}

void reclaim_daemon::wake_kswapd() {
  if (is_asleep(kswapd_)) kswapd_ = spawn(on_->sim(), reclaim());
}

void reclaim_daemon::wake_kcompactd() {
  if (is_asleep(kcompactd_)) kcompactd_ = spawn(on_->sim(), compact());
}

task<> reclaim_daemon::reclaim() {
  auto& memory = on_->memory();
  while (const auto wish = memory.take_kswapd_wish()) {
    auto todo = *wish;
    while (true) {
      balance_result result;
      {
        const auto turn = co_await on_->cpu_time(how_.cpu).acquire();
        result = memory.balance(on_->cpu(how_.cpu), todo);
        co_await on_->charge(how_.cpu);
      }
      ++runs_;
      reclaimed_ += result.reclaimed;
      if (result.balanced || memory.is_kswapd_hopeless()) break;
      todo.order = result.reached;
      if (result.reclaimed == 0) co_await delay(how_.throttle);
    }
    memory.rest_kswapd(*wish);
  }
}

task<> reclaim_daemon::compact() {
  auto& memory = on_->memory();
  while (const auto wish = memory.take_kcompactd_wish()) {
    const auto turn = co_await on_->cpu_time(how_.cpu).acquire();
    memory.compact_in_background(on_->cpu(how_.cpu), wish->order, wish->highest);
    ++compactions_;
    co_await on_->charge(how_.cpu);
  }
}

}  // namespace memsim
