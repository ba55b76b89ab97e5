// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Something that happens once, and that tasks wait for.
///
///     completion written{sim};
///     co_await written.wait();      // in as many tasks as you like
///     written.set();                // in another, or in a callback

#include <coroutine>

#include <memsim/sim/simulator.hpp>
#include <memsim/sim/task.hpp>
#include <memsim/sim/waiting.hpp>

namespace memsim {

/// Is set or not. Those who wait go on when it is set: at that time, behind what is scheduled for
/// it already, in the order in which they came. Who asks later need not wait, until it is reset.
///
/// Whoever still waits when it is destroyed goes on with a usage_error.
class completion {
 public:
  explicit completion(simulator& sim) : sim_{&sim} {}
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;
  ~completion();

  /// Wakes everybody. What is set already stays so.
  void set() {
    set_ = true;
    waiting_.wake_all();
  }
  /// Takes it back, for those who ask from now on: who has been woken goes on all the same.
  void reset() { set_ = false; }

  [[nodiscard]] bool is_set() const { return set_; }
  /// Tasks that wait.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  /// `co_await c.wait();` Throws usage_error if the task runs on another simulator.
  [[nodiscard]] auto wait() { return awaitable{this}; }

 private:
  struct awaitable {
    completion* what;
    detail::waiter* waiter = nullptr;

    static bool await_ready() noexcept { return false; }
    template <detail::timed Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame) {
      return what->enqueue(waiter = &frame.promise().waits());
    }
    void await_resume() const { waiter->resumed(); }
  };

  // False if it is set already.
  bool enqueue(detail::waiter* w);

  simulator* sim_;
  bool set_ = false;
  detail::wait_list waiting_;
};

}  // namespace memsim
