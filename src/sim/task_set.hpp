// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tasks of a simulator that have not ended, in order of spawning.

#include <boost/intrusive/list.hpp>

#include <memsim/sim/simulator.hpp>
#include <memsim/sim/spawn.hpp>

namespace memsim::detail {

class task_set {
 public:
  static task_set& of(simulator& sim) { return *sim.tasks_; }

  void add(spawned& root) { active_.push_back(root); }
  /// Lets a coroutine go on until it waits again, and ends its task if that was the end.
  /// \throws what the task threw, if nobody awaits it
  void resume(waiter& w);
  /// Whether the task is the one that goes on at the moment.
  [[nodiscard]] bool is_running(const spawned& root) const { return running_ == &root; }
  void end(spawned& root, task_state how);
  /// Cancels all, the latest first.
  void cancel_all();
  [[nodiscard]] std::size_t size() const { return active_.size(); }

 private:
  void finish(spawned& root);

  boost::intrusive::list<spawned> active_;
  spawned* running_ = nullptr;
};

}  // namespace memsim::detail
