// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/waiting.hpp>

#include <utility>

#include <memsim/core/error.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

namespace memsim::detail {

waiter::~waiter() {
  if (root_ == nullptr) return;  // the coroutine never began
  sim().cancel(wake_up_);
  if (granted_by_ != nullptr) granted_by_->take_back();
}

simulator& waiter::sim() const { return root_->sim(); }

void waiter::require(const simulator& expected) const {
  if (&sim() != &expected) {
    throw_usage("a task cannot wait for what belongs to another simulator than its own");
  }
}

void waiter::sleep_until(sim_time at, event_priority priority) {
  wake_up_ = sim().schedule(at, priority, {.task = this});
}

void waiter::sleep_for(sim_duration wait, event_priority priority) {
  sleep_until(time_after(sim().now(), wait), priority);
}

void waiter::wake() { sleep_until(sim().now(), {}); }

void waiter::grant(grantor& from) {
  granted_by_ = &from;
  wake();
}

void waiter::accept() {
  unlink();
  granted_by_ = nullptr;
}

void waiter::fail(std::exception_ptr why) {
  granted_by_ = nullptr;
  failure_ = std::move(why);
  if (!sim().is_scheduled(wake_up_)) wake();
}

void waiter::resumed() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void waiter::resume() { frame_.resume(); }

std::coroutine_handle<> promise_base::ended() noexcept {
  if (awaiting_) return awaiting_;
  waiter_.root().coroutine_ended();
  return std::noop_coroutine();
}

}  // namespace memsim::detail
