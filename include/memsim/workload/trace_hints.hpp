// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a trace gives away about the machine before its first event.
///
///     ftrace_reader first_pass{file, "small.trace"};
///     trace_hints hints{machine};
///     if (auto read = hints.read(first_pass); !read) fmt::print("{}\n", read.error());
///
/// A frame whose first event is a free was in use when the recording began, one that first leaves a
/// free list was free, and one that is handed out without leaving a free list was on a per-CPU
/// list. A byte a frame, however long the trace is.

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

class ftrace_reader;
struct machine_description;
struct trace_event;

class trace_hints {
 public:
  /// Where a frame was when the recording began.
  enum class place : unsigned char { unknown, free_list, per_cpu_list, in_use };

  /// Single pages of one type on a CPU's list of a zone when the recording began.
  struct list_length {
    std::uint64_t pages = 0;
    bool exact = false;  ///< the list was seen to run dry; else it had at least so many pages
  };

  /// \param machine  what a trace says of other frames and CPUs is passed over
  explicit trace_hints(const machine_description& machine);

  /// Takes note of one event.
  void add(const trace_event& event);
  /// Takes note of all events of a trace.
  /// \return the reader's error
  [[nodiscard]] std::expected<void, error> read(ftrace_reader& trace);

  [[nodiscard]] place at(pfn frame) const;
  /// Whether the trace names a frame in [first, first + count).
  [[nodiscard]] bool any_known(pfn first, frame_count count) const;
  /// Whether a frame in [first, first + count) was in use or on a per-CPU list.
  [[nodiscard]] bool any_held(pfn first, frame_count count) const;
  /// The type of a pageblock, by the first of its frames that left or joined the free lists.
  [[nodiscard]] std::optional<migratetype> pageblock_type(std::uint64_t pageblock) const;
  /// \param type  one that has per-CPU lists
  [[nodiscard]] list_length per_cpu(zone_type zone, cpu_id cpu, migratetype type) const;

 private:
  // The changes of a list so far.
  struct list_balance {
    std::int64_t pages = 0;
    std::int64_t lowest = 0;
    bool ran_dry = false;
  };
  struct zone_lists {
    zone_type type{};
    pfn first{};
    pfn last{};
    std::vector<std::array<list_balance, mergeable_migratetypes>> cpus{};
  };

  void note(pfn first, order size, place where);
  void note_type(pfn frame, migratetype type);
  void count(const trace_event& event);
  list_balance* balance_of(const trace_event& event, migratetype type);
  [[nodiscard]] migratetype freed_type(pfn frame) const;

  pfn end_;
  detail::lazy_array<std::uint8_t> frames_;  // place, and the type of the last allocation
  detail::lazy_array<std::uint8_t> blocks_;  // migratetype + 1; 0: unknown
  std::vector<zone_lists> zones_;
  bool shows_free_lists_ = false;  // the recording has mm_page_alloc_zone_locked
};

}  // namespace memsim
