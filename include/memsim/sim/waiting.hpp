// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a suspended task waits for, and how it is found when the task is destroyed.
///
/// Each coroutine has one waiter in its promise, because it waits for one thing at a time: a
/// moment, or its turn in a queue. The waiter takes itself out of there when it is destroyed. So a
/// task can be destroyed wherever it is, and nothing ever wakes what is no more.

#include <coroutine>
#include <exception>

#include <boost/intrusive/list.hpp>

#include <memsim/sim/event_order.hpp>
#include <memsim/sim/time.hpp>

namespace memsim {

class simulator;

namespace detail {

class spawned;

using wait_hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// Hands something over to waiters, and gets it back if one is destroyed before it has taken it.
class grantor {
 public:
  virtual void take_back() = 0;

 protected:
  ~grantor() = default;
};

class waiter : public wait_hook {
 public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  ~waiter();

  /// Whose coroutine this is, and as part of which task.
  void belong(std::coroutine_handle<> frame, spawned& root) {
    frame_ = frame;
    root_ = &root;
  }
  [[nodiscard]] spawned& root() const { return *root_; }
  [[nodiscard]] simulator& sim() const;
  /// \throws usage_error unless the task runs on that simulator
  void require(const simulator& expected) const;

  /// Waits for a moment.
  /// \throws usage_error if `at` has passed
  void sleep_until(sim_time at, event_priority priority);
  /// \throws usage_error if `wait` is negative or beyond the end of time
  void sleep_for(sim_duration wait, event_priority priority);

  /// Goes on at the current time, behind what is scheduled for it already.
  void wake();
  /// The same with something that is the waiter's from now on.
  void grant(grantor& from);
  /// It has taken what was granted, which is its own affair from now on.
  void accept();
  /// Goes on with an exception, and without what it was granted.
  void fail(std::exception_ptr why);

  /// What the coroutine does first when it goes on.
  /// \throws what fail() was given
  void resumed();

  /// For the simulator: the wake-up has come.
  void resume();

 private:
  std::coroutine_handle<> frame_;
  spawned* root_ = nullptr;
  event_handle wake_up_;  // stale if there is none
  grantor* granted_by_ = nullptr;
  std::exception_ptr failure_;
};

/// Tasks in a queue, the first to be woken in front. They leave it when they are destroyed.
class wait_list {
 public:
  wait_list() = default;
  wait_list(const wait_list&) = delete;
  wait_list& operator=(const wait_list&) = delete;
  ~wait_list() = default;

  [[nodiscard]] bool empty() const { return waiters_.empty(); }
  [[nodiscard]] std::size_t size() const { return waiters_.size(); }
  void add(waiter& w) { waiters_.push_back(w); }
  /// From a list that is not empty.
  waiter& take_first() {
    waiter& w = waiters_.front();
    waiters_.pop_front();
    return w;
  }
  void wake_all() {
    while (!empty()) take_first().wake();
  }
  void fail_all(const std::exception_ptr& why) {
    while (!empty()) take_first().fail(why);
  }

 private:
  boost::intrusive::list<waiter, boost::intrusive::constant_time_size<false>> waiters_;
};

}  // namespace detail
}  // namespace memsim
