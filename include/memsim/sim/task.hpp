// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Sequences of steps in simulated time, written as coroutines.
///
///     task<int> read_page(resource& disk) {
///       const auto turn = co_await disk.acquire();     // waits for its turn, resource.hpp
///       co_await delay(80us);                          // and holds the disk that long
///       co_return 4096;
///     }
///
///     task<> process(resource& disk) {
///       const int bytes = co_await read_page(disk);    // a task may await another
///     }
///
///     spawn(sim, process(disk));                       // spawn.hpp
///     sim.run();
///
/// A task does nothing until it is awaited or spawned. What it waits for goes on in simulated time;
/// between two waits no time passes and nothing else happens. An exception that leaves it comes out
/// where it is awaited.
///
/// A task owns its coroutine until it is awaited or spawned. Then who awaits it does, or the
/// simulator. Destroying a coroutine ends it at the point where it waits: local variables are
/// destroyed, guards give back what they hold, and tasks that it awaits go with it.

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <memsim/core/error.hpp>
#include <memsim/sim/event_order.hpp>
#include <memsim/sim/time.hpp>
#include <memsim/sim/waiting.hpp>

namespace memsim {

template <class T>
class task;

namespace detail {

/// What every coroutine of a task has, whatever it returns.
class promise_base {
 public:
  [[nodiscard]] waiter& waits() { return waiter_; }

  /// Becomes the outermost coroutine of a spawned task, or one that another awaits.
  void belong(std::coroutine_handle<> frame, spawned& root) { waiter_.belong(frame, root); }
  void belong(std::coroutine_handle<> frame, promise_base& awaiting,
              std::coroutine_handle<> awaiting_frame) {
    waiter_.belong(frame, awaiting.waiter_.root());
    awaiting_ = awaiting_frame;
  }

  // At the end, whoever awaits this goes on at once; without one the spawned task has ended.
  struct at_the_end {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
      return frame.promise().ended();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  at_the_end final_suspend() const noexcept { return {}; }

  void unhandled_exception() noexcept { error_ = std::current_exception(); }
  [[nodiscard]] const std::exception_ptr& error() const { return error_; }

 private:
  std::coroutine_handle<> ended() noexcept;

  waiter waiter_;
  std::coroutine_handle<> awaiting_;
  std::exception_ptr error_;
};

template <class T>
class task_promise : public promise_base {
 public:
  task<T> get_return_object();
  template <class U>
    requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T result() {
    if (error()) std::rethrow_exception(error());
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class task_promise<void> : public promise_base {
 public:
  task<void> get_return_object();
  void return_void() noexcept {}
  void result() const {
    if (error()) std::rethrow_exception(error());
  }
};

/// A coroutine that runs in simulated time.
template <class Promise>
concept timed = std::derived_from<Promise, promise_base>;

}  // namespace detail

/// \tparam T  what it returns: an object type, or void
template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;

  task(task&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  task& operator=(task&& other) noexcept {
    task taken{std::move(other)};  // leaves nothing in `other`, and ends with what was here
    std::swap(frame_, taken.frame_);
    return *this;
  }
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

  /// `co_await make_task()` or `co_await std::move(t)`: runs it to its end.
  /// \throws usage_error if it was moved from or has been awaited or spawned before
  [[nodiscard]] auto operator co_await() && {
    require_there();
    return awaitable{std::move(*this)};
  }

 private:
  friend class detail::task_promise<T>;
  template <class U>
  friend class task_handle;

  // Has the coroutine: it refers to who awaits it, and must not be there any longer than that.
  class awaitable {
   public:
    explicit awaitable(task what) : what_{std::move(what)} {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <detail::timed Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) {
      const auto frame = what_.frame_;
      frame.promise().belong(frame, awaiting.promise(), awaiting);
      return frame;
    }
    T await_resume() { return what_.frame_.promise().result(); }

   private:
    task what_;
  };

  explicit task(std::coroutine_handle<promise_type> frame) : frame_{frame} {}

  void require_there() const {
    if (!frame_) {
      throw_usage("a task can be awaited or spawned only once, and not after it was moved from");
    }
  }

  std::coroutine_handle<promise_type> frame_;  // none once it was moved from, awaited or spawned
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() {
  return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

inline task<void> detail::task_promise<void>::get_return_object() {
  return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

namespace detail {

class moment {
 public:
  moment(sim_time at, event_priority priority) : at_{at}, priority_{priority} {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <timed Promise>
  void await_suspend(std::coroutine_handle<Promise> frame) {
    waiter_ = &frame.promise().waits();
    waiter_->sleep_until(at_, priority_);
  }
  void await_resume() { waiter_->resumed(); }

 private:
  sim_time at_;
  event_priority priority_;
  waiter* waiter_ = nullptr;
};

class interval {
 public:
  interval(sim_duration wait, event_priority priority) : wait_{wait}, priority_{priority} {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <timed Promise>
  void await_suspend(std::coroutine_handle<Promise> frame) {
    waiter_ = &frame.promise().waits();
    waiter_->sleep_for(wait_, priority_);
  }
  void await_resume() { waiter_->resumed(); }

 private:
  sim_duration wait_;
  event_priority priority_;
  waiter* waiter_ = nullptr;
};

}  // namespace detail

/// `co_await delay(5us);` A delay of 0 lets happen first what is scheduled for now already.
/// Awaiting it throws usage_error if `wait` is negative or beyond the end of time.
[[nodiscard]] inline detail::interval delay(sim_duration wait, event_priority priority = {}) {
  return {wait, priority};
}

/// `co_await delay_until(next);` Awaiting it throws usage_error if `at` has passed.
[[nodiscard]] inline detail::moment delay_until(sim_time at, event_priority priority = {}) {
  return {at, priority};
}

}  // namespace memsim
