// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Simulated time: whole nanoseconds since the simulation began, in the vocabulary of std::chrono.
///
///     using namespace std::chrono_literals;
///     const sim_time wakes = simulation.now() + 50us;
///
/// A time point of the host's clocks does not convert to a sim_time, so that wall time cannot leak
/// into a result. There are no fractions of a nanosecond: sums of integers are the same on every
/// machine. 63 bits of nanoseconds are 292 years.

#include <chrono>
#include <cstdint>
#include <string>

#include <memsim/core/format.hpp>

namespace memsim {

/// The clock that simulated time points belong to. It has no now(): each simulator has its own.
struct sim_clock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<sim_clock>;
  static constexpr bool is_steady = true;
};

using sim_duration = sim_clock::duration;
/// Nanoseconds since the simulation began; `sim_time{}` is its beginning.
using sim_time = sim_clock::time_point;

/// `1500 ns`. Durations of std::chrono are formatted by <fmt/chrono.h>.
[[nodiscard]] std::string to_text(sim_time);

namespace detail {
/// `from + wait`.
/// \throws usage_error if `wait` is negative or the sum is beyond the end of time
[[nodiscard]] sim_time time_after(sim_time from, sim_duration wait);
}  // namespace detail

}  // namespace memsim
