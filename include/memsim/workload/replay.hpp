// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Makes a simulated machine live through what a real one lived through.
///
///     page_allocator memory = …;              // the captured machine, or any other
///     std::ifstream file{"small.trace"};
///     ftrace_reader trace{file, "small.trace"};
///     auto summary = replay(trace, memory);
///     if (!summary) fmt::print("{}\n", summary.error());
///
/// The recorded requests are made again in the recorded order on the recorded CPUs; which frames
/// they get is the simulated allocator's decision. A block freed in the trace is the block that
/// stands for it here.

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/core/work.hpp>
#include <memsim/workload/ftrace_reader.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim {

class page_allocator;

struct replay_options {
  /// Of the stream that picks a substitute for a block from before the recording.
  std::uint64_t seed = 1;
  /// Whether pages allocated as movable count as movable (as pages on an LRU list do) when a
  /// pageblock is judged. A trace does not say when a page joins a list: modelling assumption.
  rule movable_on_lru = rule::on;
  /// Time between samples, by the clock of the trace; 0: only before the first event and at the
  /// end.
  std::chrono::nanoseconds sample_interval{0};
  /// Fallbacks kept one by one, of each side; more are counted only.
  std::size_t kept_fallbacks = 100'000;
};

/// What was met and done. In blocks unless the unit says pages.
struct replay_counts {
  std::uint64_t allocations = 0;
  std::uint64_t allocated_pages = 0;
  std::uint64_t failed = 0;
  std::uint64_t failed_in_recording = 0;
  std::uint64_t frees = 0;
  std::uint64_t freed_pages = 0;
  std::uint64_t frees_of_unserved = 0;
  std::uint64_t adopted = 0;
  std::uint64_t substituted = 0;
  std::uint64_t not_found = 0;
  std::uint64_t split_blocks = 0;
  std::uint64_t resized_frees = 0;
  std::uint64_t lost_frees = 0;
  std::uint64_t type_mismatches = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t fallbacks = 0;
  std::uint64_t recorded_fallbacks = 0;

  friend bool operator==(const replay_counts&, const replay_counts&) = default;
};

inline constexpr std::array replay_statistics{
    statistic<replay_counts>{"allocations", "blocks", "requests that got a block here",
                             &replay_counts::allocations},
    statistic<replay_counts>{"allocated_pages", "pages", "pages of those blocks",
                             &replay_counts::allocated_pages},
    statistic<replay_counts>{"failed", "requests",
                             "requests answered in the recording that failed here",
                             &replay_counts::failed},
    statistic<replay_counts>{"failed_in_recording", "requests",
                             "requests that failed in the recording, and are not made here",
                             &replay_counts::failed_in_recording},
    statistic<replay_counts>{"frees", "blocks", "blocks given back here", &replay_counts::frees},
    statistic<replay_counts>{"freed_pages", "pages", "pages of those blocks",
                             &replay_counts::freed_pages},
    statistic<replay_counts>{"frees_of_unserved", "blocks",
                             "frees of blocks whose request failed here",
                             &replay_counts::frees_of_unserved},
    statistic<replay_counts>{"adopted", "blocks",
                             "frees of blocks from before the recording, in use here at that place",
                             &replay_counts::adopted},
    statistic<replay_counts>{"substituted", "blocks",
                             "frees of blocks from before the recording, for which another in use "
                             "since then was freed",
                             &replay_counts::substituted},
    statistic<replay_counts>{"not_found", "blocks",
                             "frees of blocks from before the recording, for which none was left",
                             &replay_counts::not_found},
    statistic<replay_counts>{"split_blocks", "blocks",
                             "blocks of the recording that were freed in parts",
                             &replay_counts::split_blocks},
    statistic<replay_counts>{"resized_frees", "blocks",
                             "frees that name a larger order than the allocation did",
                             &replay_counts::resized_frees},
    statistic<replay_counts>{"lost_frees", "blocks",
                             "blocks freed because the recording allocated over them",
                             &replay_counts::lost_frees},
    statistic<replay_counts>{"type_mismatches", "requests",
                             "requests whose migratetype is not that of their flags",
                             &replay_counts::type_mismatches},
    statistic<replay_counts>{"out_of_order", "events", "events earlier than the one before",
                             &replay_counts::out_of_order},
    statistic<replay_counts>{"live_blocks", "blocks",
                             "blocks allocated in the recording and not yet freed",
                             &replay_counts::live_blocks},
    statistic<replay_counts>{"fallbacks", "events",
                             "times a block of another migratetype had to be taken here",
                             &replay_counts::fallbacks},
    statistic<replay_counts>{"recorded_fallbacks", "events",
                             "times a block of another migratetype was taken in the recording",
                             &replay_counts::recorded_fallbacks},
};

/// Called with the time since the first event: before it (0), at each multiple of the sample
/// interval that an event reached or passed, and at the end. A pause longer than the interval gives
/// one sample, as nothing changes in it. The counts are those so far.
using replay_sampler = std::function<void(std::chrono::nanoseconds since_start,
                                          const page_allocator&, const replay_counts&)>;

/// A fallback of either side.
struct replay_fallback {
  std::chrono::nanoseconds since_start{};
  pfn block{};  ///< of the side's own machine
  order requested{};
  order found{};
  migratetype wanted{};
  migratetype found_type{};

  friend bool operator==(const replay_fallback&, const replay_fallback&) = default;
};

[[nodiscard]] std::string to_text(const replay_fallback&);

/// Fallbacks by [wanted][found] migratetype.
using fallback_matrix = std::array<std::array<std::uint64_t, migratetypes>, migratetypes>;

/// What became of a replay.
struct replay_summary {
  std::array<std::uint64_t, trace_event_kinds> events{};  ///< by trace_event_kind
  std::chrono::nanoseconds duration{};                    ///< from the first event to the last
  replay_counts counts{};
  work done{};  ///< the ledger of all CPUs together

  std::vector<replay_fallback> fallbacks{};           ///< here, the first kept_fallbacks
  std::vector<replay_fallback> recorded_fallbacks{};  ///< in the recording, likewise
  fallback_matrix fallbacks_by_type{};
  fallback_matrix recorded_fallbacks_by_type{};

  // Of the file; set by replay(), not by a trace_replayer.
  std::uint64_t lines = 0;
  std::uint64_t malformed_lines = 0;     ///< strictness::lenient alone
  std::string first_malformed{};         ///< the message for the first of them
  std::uint64_t lost_events = 0;         ///< events that the recording says it lost
  std::vector<skipped_event> skipped{};  ///< in order of name

  friend bool operator==(const replay_summary&, const replay_summary&) = default;
};

/// A few lines for a person.
[[nodiscard]] std::string to_text(const replay_summary&);

/// All of replay_statistics, then the events by kind, then what the reader counted.
[[nodiscard]] std::vector<statistic_value> values_of(const replay_summary&);

/// Feeds events to an allocator, one at a time, in memory that grows with the live blocks alone.
class trace_replayer {
 public:
  /// \param memory  must outlive the replayer
  explicit trace_replayer(page_allocator& memory, const replay_options& options = {},
                          replay_sampler sampler = {});
  ~trace_replayer();
  trace_replayer(const trace_replayer&) = delete;
  trace_replayer& operator=(const trace_replayer&) = delete;

  /// Does one event.
  /// \return errc::inconsistent if its CPU is not one of the machine's, its order is above
  ///         max_page_order, its block is not aligned, or its flags ask for both mobilities; then
  ///         nothing has changed
  [[nodiscard]] std::expected<void, error> feed(const trace_event& event);

  /// Takes the last sample; once, after the last event.
  void finish();

  /// So far.
  [[nodiscard]] const replay_summary& summary() const;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

/// Replays a whole trace. Events that feed() refuses are passed over where the reader is lenient.
/// \return the reader's error, or feed()'s with file, line and text added
[[nodiscard]] std::expected<replay_summary, error> replay(ftrace_reader& trace,
                                                          page_allocator& memory,
                                                          const replay_options& options = {},
                                                          replay_sampler sampler = {});

}  // namespace memsim
