// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One event of a recorded machine's page allocator, whatever file it was read from.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// What happened; the kernel's tracepoints of category `kmem`.
enum class trace_event_kind : unsigned char {
  allocation,    ///< mm_page_alloc: a request was answered
  free,          ///< mm_page_free: a block was given back, whichever way
  batched_free,  ///< mm_page_free_batched: said again of a page that had its mm_page_free
  fallback,      ///< mm_page_alloc_extfrag: a block of another migratetype had to be taken
  zone_locked,   ///< mm_page_alloc_zone_locked: a block left the free lists
  pcp_drain,     ///< mm_page_pcpu_drain: a block went from a per-CPU list to the free lists
};

inline constexpr unsigned trace_event_kinds = 6;

/// The tracepoint's name: `mm_page_alloc`.
[[nodiscard]] std::string_view name_of(trace_event_kind);
[[nodiscard]] std::string to_text(trace_event_kind);

/// A recorded event. Frame numbers are those of the recorded machine.
struct trace_event {
  trace_event_kind kind{};
  std::chrono::nanoseconds time{};  ///< of the trace's own clock
  cpu_id cpu{};
  std::optional<pfn> block{};  ///< none: an allocation that failed
  memsim::order size{};        ///< of the block; for a fallback, of the request
  migratetype type{};          ///< asked for, or of the list; not in a free
  gfp flags{};                 ///< of an allocation

  // Of a fallback alone.
  memsim::order found{};     ///< order of the free block that was found
  migratetype found_type{};  ///< the type that it was taken from

  friend bool operator==(const trace_event&, const trace_event&) = default;
};

/// `4572.519436000 cpu 1 mm_page_alloc 1229876 order 0 Unmovable GFP_KERNEL`
[[nodiscard]] std::string to_text(const trace_event&);

}  // namespace memsim
