// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Daemons: what is done every so often for as long as the simulation goes on.
///
///     periodic sampler{sim, 10ms, [&] { series.sample(memory); }};
///     periodic flusher{sim, 5s, [&]() -> task<> { co_await write_back(disk); }};
///
/// It is done first after one period, and then at whole periods from there: a round that takes long
/// does not delay the ones after it. Rounds do not overlap: those that are due while one is going
/// on are left out and counted.
///
/// A daemon that sleeps does not keep run() going: it ends when nothing but daemons is left. A
/// round that has begun does, like any task.

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <memsim/sim/simulator.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

namespace memsim {

/// Not to be destroyed by its own round; stop() is for that.
class periodic {
 public:
  /// \param period    more than 0
  /// \param round     a function that returns nothing or a task<>
  /// \param priority  of the rounds among what happens when they are due; a round that is a task
  ///                  begins with it, and what it waits for after that has its own
  /// \throws usage_error if the period is out of range
  template <std::invocable Round>
  periodic(simulator& sim, sim_duration period, Round round, event_priority priority = {})
      : periodic{sim, period, priority, task_maker(std::move(round))} {}
  periodic(const periodic&) = delete;
  periodic& operator=(const periodic&) = delete;
  /// Also cancels a round that is going on.
  ~periodic();

  /// No round begins from now on; one that is going on comes to its end.
  void stop();
  [[nodiscard]] bool stopped() const { return stopped_; }

  /// Rounds that have begun.
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }
  /// Rounds that were left out because the one before took so long.
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  // Does a round: at once, or as a task.
  using body = std::move_only_function<std::optional<task<>>()>;

  template <class Round>
  static body task_maker(Round round) {
    if constexpr (std::same_as<std::invoke_result_t<Round&>, task<>>) {
      return [round = std::move(round)]() mutable { return std::optional<task<>>{round()}; };
    } else {
      static_assert(std::is_void_v<std::invoke_result_t<Round&>>,
                    "a round returns nothing or a task<>");
      return [round = std::move(round)]() mutable {
        round();
        return std::optional<task<>>{};
      };
    }
  }

  periodic(simulator& sim, sim_duration period, event_priority priority, body round);
  void plan();
  void begin();
  task<> going_on(task<> round);

  simulator* sim_;
  sim_duration period_;
  event_priority priority_;
  body round_;
  sim_time planned_;
  event_handle next_;
  std::optional<task_handle<>> current_;  // the latest round that is a task
  bool stopped_ = false;
  std::uint64_t rounds_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace memsim
