// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tasks that run by themselves, and what is known of them from outside.
///
///     const auto reader = spawn(sim, read_page(disk));
///     sim.run();
///     if (reader.done()) use(reader.result());
///
/// A spawned task begins at the current time, behind what is scheduled for it already with the same
/// priority, and belongs to the simulator from then on: handles may be kept, copied and dropped,
/// before and after its end, and also after the simulator's.
///
/// An exception that ends a task is thrown where somebody awaits it: `co_await reader.join()`. If
/// nobody does at the time, it comes out of the simulator's run().

#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <boost/intrusive/list.hpp>

#include <memsim/core/error.hpp>
#include <memsim/sim/event_order.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/task.hpp>
#include <memsim/sim/waiting.hpp>

namespace memsim {

/// What awaiting a spawned task, or asking for its result, throws if it was cancelled.
class task_cancelled : public std::runtime_error {
 public:
  task_cancelled() : std::runtime_error{"the task was cancelled"} {}
};

namespace detail {

class task_set;

enum class task_state : std::uint8_t { active, returned, failed, cancelled };

/// A spawned task: shared by its handles and, as long as it is active, by its simulator.
class spawned : public boost::intrusive::list_base_hook<>,
                public std::enable_shared_from_this<spawned> {
 public:
  explicit spawned(simulator& sim) : sim_{&sim} {}
  spawned(const spawned&) = delete;
  spawned& operator=(const spawned&) = delete;
  virtual ~spawned() = default;

  [[nodiscard]] simulator& sim() const { return *sim_; }
  [[nodiscard]] task_state state() const { return state_; }

  /// Waits for the end.
  /// \throws usage_error if it is the task's own, or the task is another simulator's
  void join(waiter& w);

  /// To be done once, when the object is shared.
  void start(std::coroutine_handle<> frame, promise_base& promise, event_priority priority);
  bool cancel();
  /// The outermost coroutine has come to its end; it still is to be destroyed.
  void coroutine_ended() noexcept { at_its_end_ = true; }

  /// \throws the task's exception, task_cancelled, or usage_error if it has not ended
  void require_returned() const;

 protected:
  /// The task has returned: keeps what.
  virtual void take_result() = 0;

 private:
  friend class task_set;

  simulator* sim_;
  task_state state_ = task_state::active;
  std::coroutine_handle<> frame_;  // while active
  promise_base* promise_ = nullptr;
  bool at_its_end_ = false;
  bool to_be_cancelled_ = false;
  std::exception_ptr error_;
  wait_list joining_;
  std::shared_ptr<spawned> self_;  // while active
};

template <class T>
class spawned_as : public spawned {
 public:
  using spawned::spawned;

  void run(std::coroutine_handle<task_promise<T>> frame, event_priority priority) {
    coroutine_ = frame;
    start(frame, frame.promise(), priority);
  }
  [[nodiscard]] const T& result() const {
    require_returned();
    return *result_;
  }

 private:
  void take_result() override { result_.emplace(coroutine_.promise().result()); }

  std::coroutine_handle<task_promise<T>> coroutine_;
  std::optional<T> result_;
};

template <>
class spawned_as<void> : public spawned {
 public:
  using spawned::spawned;

  void run(std::coroutine_handle<task_promise<void>> frame, event_priority priority) {
    start(frame, frame.promise(), priority);
  }
  void result() const { require_returned(); }

 private:
  void take_result() override {}
};

}  // namespace detail

/// Names a spawned task.
template <class T = void>
class task_handle {
 public:
  /// Whether it has ended: returned, failed or been cancelled.
  [[nodiscard]] bool done() const { return state() != detail::task_state::active; }
  [[nodiscard]] bool failed() const { return state() == detail::task_state::failed; }
  [[nodiscard]] bool cancelled() const { return state() == detail::task_state::cancelled; }

  /// What it returned.
  /// \throws its exception; task_cancelled; usage_error if it has not ended
  decltype(auto) result() const { return task_->result(); }

  /// Destroys the task at the point where it waits. A task that cancels itself goes on until it
  /// waits next.
  /// \return false if it has ended already
  bool cancel() { return task_->cancel(); }

  /// `co_await handle.join()` waits for the end and returns the result, as result() does: where it
  /// is, for as long as there is a handle. Those who wait go on in the order in which they came.
  [[nodiscard]] auto join() const& { return awaitable<decltype(result())>{task_}; }
  /// The same of a handle that is not kept, as in `spawn(sim, what()).join()`: returns a copy. What
  /// cannot be copied is better awaited than spawned there.
  [[nodiscard]] auto join() const&& { return awaitable<T>{task_}; }

 private:
  template <class Result>
  class awaitable {
   public:
    explicit awaitable(std::shared_ptr<detail::spawned_as<T>> task) : task_{std::move(task)} {}

    [[nodiscard]] bool await_ready() const { return task_->state() != detail::task_state::active; }
    template <detail::timed Promise>
    void await_suspend(std::coroutine_handle<Promise> frame) {
      waiter_ = &frame.promise().waits();
      task_->join(*waiter_);
    }
    Result await_resume() const {
      if (waiter_ != nullptr) waiter_->resumed();
      return task_->result();
    }

   private:
    std::shared_ptr<detail::spawned_as<T>> task_;  // whatever becomes of the handle
    detail::waiter* waiter_ = nullptr;
  };

  template <class U>
  friend task_handle<U> spawn(simulator& sim, task<U> what, event_priority priority);

  explicit task_handle(std::shared_ptr<detail::spawned_as<T>> task) : task_{std::move(task)} {}

  static task_handle start(simulator& sim, task<T> what, event_priority priority) {
    what.require_there();
    auto spawned = std::make_shared<detail::spawned_as<T>>(sim);
    spawned->run(std::exchange(what.frame_, nullptr), priority);
    return task_handle{std::move(spawned)};
  }

  [[nodiscard]] detail::task_state state() const { return task_->state(); }

  std::shared_ptr<detail::spawned_as<T>> task_;
};

/// Lets a task run.
/// \param priority  with which it begins; what it waits for later has its own
/// \throws usage_error if it was moved from or has been awaited or spawned before
template <class T>
task_handle<T> spawn(simulator& sim, task<T> what, event_priority priority = {}) {
  return task_handle<T>::start(sim, std::move(what), priority);
}

namespace detail {

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

template <class MakeTask>
auto keeping(MakeTask make) -> decltype(make()) {
  co_return co_await make();
}

}  // namespace detail

/// The same with a function that makes the task and lives as long as it does: a coroutine uses the
/// captures of its lambda where they are, so the lambda must be somewhere.
///
///     spawn(sim, [&]() -> task<> { co_await delay(5us); ... });
template <class MakeTask>
  requires std::invocable<MakeTask&> && detail::is_task<std::invoke_result_t<MakeTask&>>
auto spawn(simulator& sim, MakeTask make, event_priority priority = {}) {
  return spawn(sim, detail::keeping(std::move(make)), priority);
}

}  // namespace memsim
