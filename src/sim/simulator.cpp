// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/simulator.hpp>

#include <utility>

#include "sim/task_set.hpp"

namespace memsim {

simulator::simulator() : tasks_{std::make_unique<detail::task_set>()} {}

// What is destroyed may cancel, wake and even schedule, as ever.
simulator::~simulator() {
  do {
    tasks_->cancel_all();
  } while (events_.pop());
}

event_handle simulator::schedule(sim_time at, event_priority priority, occurrence o) {
  if (o.task == nullptr && !o.action) throw_usage("an event has no action");
  const bool awaited = o.what == kind::awaited;
  const event_handle scheduled = events_.push(at, priority, std::move(o));
  if (awaited) ++awaited_;
  return scheduled;
}

event_handle simulator::schedule_at(sim_time at, callback action, event_priority priority) {
  return schedule(at, priority, {.action = std::move(action)});
}

event_handle simulator::schedule_after(sim_duration wait, callback action,
                                       event_priority priority) {
  return schedule_at(detail::time_after(now(), wait), std::move(action), priority);
}

event_handle simulator::schedule_daemon_at(sim_time at, callback action, event_priority priority) {
  return schedule(at, priority, {.action = std::move(action), .what = kind::daemon});
}

bool simulator::cancel(event_handle e) {
  const auto cancelled = events_.cancel(e);
  if (cancelled && cancelled->what == kind::awaited) --awaited_;
  return cancelled.has_value();
}

bool simulator::step() {
  require_outside();
  return happen(events_.pop());
}

void simulator::run() {
  require_outside();
  while (awaited_ != 0) happen(events_.pop());
}

void simulator::run_until(sim_time until) {
  require_outside();
  while (happen(events_.pop_until(until))) {
  }
}

void simulator::run_for(sim_duration time) { run_until(detail::time_after(now(), time)); }

std::size_t simulator::tasks() const { return tasks_->size(); }

bool simulator::happen(std::optional<event> e) {
  if (!e) return false;
  occurrence& what = e->payload;
  if (what.what == kind::awaited) --awaited_;

  struct scope {
    bool& happening;
    ~scope() { happening = false; }
  };
  happening_ = true;
  const scope until_the_end{happening_};
  if (what.task != nullptr) {
    tasks_->resume(*what.task);
  } else {
    what.action();
  }
  return true;
}

void simulator::require_outside() const {
  if (happening_) throw_usage("an event cannot run the simulator that it is part of");
}

}  // namespace memsim
