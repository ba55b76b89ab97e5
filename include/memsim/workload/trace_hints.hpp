// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a trace gives away about the machine before its first event.
///
///     ftrace_reader first_pass{file, "small.trace"};
///     trace_hints hints{machine.end()};
///     if (auto read = hints.read(first_pass); !read) fmt::print("{}\n", read.error());
///
/// A frame whose first event is a free was in use when the recording began; one whose first event
/// is an allocation was free. A byte a frame, however long the trace is.

#include <cstdint>
#include <expected>
#include <optional>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>

namespace memsim {

class ftrace_reader;
struct trace_event;

class trace_hints {
 public:
  enum class frame_hint : unsigned char {
    unknown,  ///< not in the trace
    free,     ///< on a free list or a per-CPU list when the recording began
    in_use,
  };

  /// \param end  one past the machine's last frame; what a trace says of others is passed over
  explicit trace_hints(pfn end);

  /// Takes note of one event.
  void add(const trace_event& event);
  /// Takes note of all events of a trace.
  /// \return the reader's error
  [[nodiscard]] std::expected<void, error> read(ftrace_reader& trace);

  [[nodiscard]] frame_hint at(pfn frame) const;
  /// Whether a frame in [first, first + count) was in use.
  [[nodiscard]] bool any_in_use(pfn first, frame_count count) const;
  /// Whether the trace names a frame in [first, first + count).
  [[nodiscard]] bool any(pfn first, frame_count count) const;
  /// The type of a pageblock by the first of its frames that left or joined the free lists.
  [[nodiscard]] std::optional<migratetype> pageblock_type(std::uint64_t pageblock) const;

 private:
  void note(pfn first, order size, frame_hint hint);

  pfn end_;
  detail::lazy_array<std::uint8_t> frames_;  // frame_hint
  detail::lazy_array<std::uint8_t> blocks_;  // migratetype + 1; 0: unknown
};

}  // namespace memsim
