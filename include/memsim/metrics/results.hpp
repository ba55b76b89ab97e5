// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a run leaves behind: how it was made, what was counted, how memory looked before and after.

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/metrics/fragmentation.hpp>
#include <memsim/metrics/memory_picture.hpp>
#include <memsim/metrics/proc_text.hpp>
#include <memsim/metrics/time_series.hpp>
#include <memsim/workload/replay.hpp>

namespace memsim {

/// Enough to make the run again, and to see that it came out the same.
struct run_description {
  std::string title;    ///< `replay of small.trace`
  std::string command;  ///< that makes the run again, with every choice spelled out
  std::string input;    ///< the trace or scenario
  std::string machine;  ///< where it is described
  std::string profile;  ///< kernel_profile::name
  std::uint64_t seed = 0;
  digest state{};  ///< of the allocator at the end
  std::chrono::nanoseconds duration{};
  /// Whether the machine was laid out by what the whole input says of it.
  bool looked_ahead = false;
  /// The message for the first line of the input that was passed over; empty: none was.
  std::string first_malformed{};

  friend bool operator==(const run_description&, const run_description&) = default;
};

/// What happened here beside what happened on the machine that the trace was recorded on.
struct recording_comparison {
  fallback_matrix fallbacks{};
  fallback_matrix recorded_fallbacks{};
  /// The first ones, in order of time.
  std::vector<replay_fallback> fallback_events{};
  std::vector<replay_fallback> recorded_fallback_events{};

  std::vector<zone_order_counts> buddyinfo{};
  /// Empty where the machine's own was not captured.
  std::vector<zone_order_counts> recorded_buddyinfo{};

  friend bool operator==(const recording_comparison&, const recording_comparison&) = default;
};

struct run_results {
  run_description run{};
  std::vector<statistic_value> statistics{};
  memory_measurement before{};
  memory_measurement after{};
  memory_picture picture_before{};
  memory_picture picture_after{};
  time_series samples{};
  std::optional<recording_comparison> recorded{};  ///< of a replay
};

/// Free blocks of all zones by order.
[[nodiscard]] std::vector<zone_order_counts> buddyinfo_of(const memory_measurement&);

inline constexpr std::string_view schema_of_results = "memsim.results/1";

/// Everything but the samples as JSON, with schema version, units, and a sentence for each
/// statistic.
[[nodiscard]] std::string json_of(const run_results&);

/// What json_of() and csv_of(time_series) wrote.
/// \return errc::malformed, with what is wrong
[[nodiscard]] std::expected<run_results, error> parse_results(std::string_view text,
                                                              std::string_view samples);

/// Both sides' fallbacks and free lists as tables for a person.
[[nodiscard]] std::string table_of(const recording_comparison&);

}  // namespace memsim
