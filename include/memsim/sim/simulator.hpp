// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A simulation: a clock, and what is to happen when.
///
///     simulator sim;
///     sim.schedule_after(5us, [&] { fmt::print("it is {}\n", sim.now()); });
///     sim.run();                                            // it is 5000 ns
///
/// Nothing happens between events, so time jumps from one to the next. What happens at the same
/// time is ordered by priority and then by who was scheduled first (event_order.hpp); there is one
/// history and every run of it is the same.
///
/// Sequences of steps with waits in between are easier to write as tasks: see task.hpp.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <memsim/core/error.hpp>
#include <memsim/sim/event_order.hpp>
#include <memsim/sim/event_queue.hpp>
#include <memsim/sim/time.hpp>

namespace memsim {

namespace detail {
class task_set;
class waiter;
}  // namespace detail

/// Any number of simulators may be in a process; they share nothing. One does not move, because
/// what is simulated refers to it, and must outlive all that is made with it but task handles.
class simulator {
 public:
  using callback = std::move_only_function<void()>;

  simulator();
  simulator(const simulator&) = delete;
  simulator& operator=(const simulator&) = delete;
  /// Destroys the tasks that have not ended, the latest first, each at the point where it waits;
  /// then the callbacks that have not been called, in the order in which they would have been.
  ~simulator();

  /// The time of the event that is happening, or up to which the simulation has been run.
  [[nodiscard]] sim_time now() const { return events_.floor(); }

  /// Calls `action` at that time.
  /// \throws usage_error if `at` is before now(), or there is no action
  event_handle schedule_at(sim_time at, callback action, event_priority priority = {});
  /// \throws usage_error if `wait` is negative or beyond the end of time, or there is no action
  event_handle schedule_after(sim_duration wait, callback action, event_priority priority = {});

  /// Schedules what is to be done only while there is something else to do: run() does not wait for
  /// it. See periodic.hpp.
  /// \throws usage_error as schedule_at()
  event_handle schedule_daemon_at(sim_time at, callback action, event_priority priority = {});

  /// Whether the event is still to come.
  [[nodiscard]] bool is_scheduled(event_handle e) const { return events_.contains(e); }
  /// \return false if the event has happened, or is cancelled already
  bool cancel(event_handle e);
  /// Gives an event another time. It then goes behind those of its priority that are there already.
  /// \return false if the event has happened, or is cancelled
  /// \throws usage_error if `at` is before now()
  [[nodiscard]] bool reschedule(event_handle e, sim_time at) { return events_.reschedule(e, at); }

  /// Lets the next event happen, a daemon's or not.
  ///
  /// An exception that it throws, or that ends a task which nobody awaits, comes out here; so it
  /// does from run(), run_until() and run_for(). The event has happened then, and the simulation
  /// can go on.
  /// \return false if there was none
  /// \throws usage_error if called by an event of this simulator; so do the following
  bool step();
  /// Runs until there is no event but daemons' left.
  void run();
  /// Lets everything happen up to and including that time, daemons too; then that is the time.
  /// \throws usage_error if `until` is before now()
  void run_until(sim_time until);
  /// The same for so long a time from now.
  /// \throws usage_error if `time` is negative or beyond the end of time
  void run_for(sim_duration time);

  /// Whether an event is happening right now: so it is for all that a callback or a task does.
  [[nodiscard]] bool is_running() const { return happening_; }

  /// Events to come, daemons' included.
  [[nodiscard]] std::size_t events() const { return events_.size(); }
  /// Those that run() waits for.
  [[nodiscard]] std::size_t events_awaited() const { return awaited_; }
  /// Tasks that were spawned and have not ended.
  [[nodiscard]] std::size_t tasks() const;

 private:
  friend class detail::waiter;
  friend class detail::task_set;

  // Whether run() waits for an event.
  enum class kind : std::uint8_t { awaited, daemon };

  // A task goes on, or else `action` is called.
  struct occurrence {
    detail::waiter* task = nullptr;
    callback action;
    kind what = kind::awaited;
  };

  using event = event_queue<occurrence>::event;

  event_handle schedule(sim_time at, event_priority priority, occurrence o);
  bool happen(std::optional<event> e);
  void require_outside() const;

  event_queue<occurrence> events_;
  std::size_t awaited_ = 0;
  bool happening_ = false;
  std::unique_ptr<detail::task_set> tasks_;
};

}  // namespace memsim
