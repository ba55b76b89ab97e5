// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What only so many tasks can have at a time: a zone's lock, a mutex, the slots of a device.
///
///     resource lock{sim, "zone lock"};
///
///     task<> allocate(resource& lock) {
///       const auto held = co_await lock.acquire();
///       co_await delay(2us);                          // how long it takes
///     }                                               // the guard gives it back
///
/// First come, first served: what is given back goes to whoever waits longest, at the same time,
/// and nobody who comes later gets in between.

#include <array>
#include <coroutine>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/intrusive/list.hpp>

#include <memsim/core/statistics.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/task.hpp>
#include <memsim/sim/waiting.hpp>

namespace memsim {

/// What has happened to a resource. A task is counted when it goes on with what it asked for; one
/// that is cancelled before is only in `max_queue`, which is the longest the queue ever was.
struct resource_counts {
  std::uint64_t acquisitions = 0;
  std::uint64_t contended = 0;
  std::uint64_t total_wait_ns = 0;
  std::uint64_t max_wait_ns = 0;
  std::uint64_t max_queue = 0;

  friend bool operator==(const resource_counts&, const resource_counts&) = default;
};

inline constexpr std::array resource_statistics{
    statistic<resource_counts>{"resource_acquisitions", "events", "times somebody got it",
                               &resource_counts::acquisitions},
    statistic<resource_counts>{"resource_contended", "events", "of those, after waiting for it",
                               &resource_counts::contended},
    statistic<resource_counts>{"resource_total_wait", "ns", "waiting times of all who got it",
                               &resource_counts::total_wait_ns},
    statistic<resource_counts>{"resource_max_wait", "ns", "the longest of them",
                               &resource_counts::max_wait_ns},
    statistic<resource_counts>{"resource_max_queue", "tasks", "most that waited at a time",
                               &resource_counts::max_queue}};

class resource;

/// Holds a unit of a resource, and gives it back when it is destroyed. Of a resource that is no
/// more it holds nothing.
class [[nodiscard]] resource_guard : public detail::wait_hook {
 public:
  resource_guard() = default;
  resource_guard(resource_guard&& other) noexcept { take(other); }
  resource_guard& operator=(resource_guard&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  resource_guard(const resource_guard&) = delete;
  resource_guard& operator=(const resource_guard&) = delete;
  ~resource_guard() { release(); }

  [[nodiscard]] bool holds() const { return held_ != nullptr; }
  /// Gives it back now. Without anything to give back does nothing.
  void release();

 private:
  friend class resource;

  explicit resource_guard(resource& held);
  void take(resource_guard& other);

  resource* held_ = nullptr;
};

/// Whoever still waits when a resource is destroyed goes on with a usage_error, and guards hold
/// nothing from then on.
class resource final : private detail::grantor {
 public:
  /// \param name      for messages
  /// \param capacity  units, at least 1
  /// \throws usage_error if there is none
  resource(simulator& sim, std::string name, std::uint32_t capacity = 1);
  resource(const resource&) = delete;
  resource& operator=(const resource&) = delete;
  ~resource();

  /// `const auto held = co_await r.acquire();` Throws usage_error if the task runs on another
  /// simulator.
  [[nodiscard]] auto acquire() { return awaitable{this}; }

  /// Without waiting; the guard holds nothing if all units are held or waited for.
  [[nodiscard]] resource_guard try_acquire();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  /// Units that are held, or on their way to a task that has waited.
  [[nodiscard]] std::uint32_t held() const { return held_; }
  /// Tasks that wait.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  [[nodiscard]] const resource_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const;

 private:
  friend class resource_guard;

  struct awaitable {
    resource* what;
    detail::waiter* waiter = nullptr;
    sim_time asked{};
    bool at_once = false;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <detail::timed Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame) {
      waiter = &frame.promise().waits();
      asked = what->sim_->now();
      at_once = !what->enqueue(*waiter);
      return !at_once;
    }
    resource_guard await_resume() {
      if (at_once) return what->take();
      waiter->resumed();
      return what->handed_over(*waiter, asked);
    }
  };

  // While somebody waits, all units are held: what is given back is handed on.
  [[nodiscard]] bool is_free() const { return held_ < capacity_; }
  resource_guard take();
  bool enqueue(detail::waiter& w);
  resource_guard handed_over(detail::waiter& w, sim_time asked);
  void take_back() override;

  simulator* sim_;
  std::string name_;
  std::uint32_t capacity_;
  std::uint32_t held_ = 0;
  detail::wait_list waiting_;
  detail::wait_list granted_;  // they have it, and have not gone on yet
  boost::intrusive::list<resource_guard, boost::intrusive::constant_time_size<false>> guards_;
  resource_counts counts_;
};

}  // namespace memsim
