// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What GFP flags mean to the allocator (A1).

#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim::detail {

/// Orders up to this one are worth an effort to the kernel; larger ones are "costly".
inline constexpr unsigned costly_order = 3;

/// A request, its flags taken apart.
struct request {
  unsigned order = 0;
  migratetype type{};
  zone_type highest{};  ///< the highest zone it may use, also where that zone is absent
  bool wakes_kswapd = false;
  bool non_blocking = false;  ///< cannot reclaim
  bool high = false;          ///< __GFP_HIGH
  bool atomic = false;        ///< __GFP_ATOMIC
  gfp flags{};                ///< all of them, for the slow path
};

[[nodiscard]] inline request make_request(order size, gfp flags) {
  return {.order = size.value(),
          .type = migratetype_of(flags),
          .highest = highest_zone_of(flags),
          .wakes_kswapd = flags.has_any(gfp_flag::kswapd_reclaim),
          .non_blocking = !flags.has_any(gfp_flag::direct_reclaim),
          .high = flags.has_any(gfp_flag::high),
          .atomic = flags.has_any(gfp_flag::atomic),
          .flags = flags};
}

enum class watermark : unsigned char { min, low, high };

/// One walk over the zones, and what it may do there.
struct attempt {
  watermark mark = watermark::low;
  bool cma = false;          ///< may use CMA pages
  bool no_fragment = false;  ///< must not mix types within a pageblock
  bool non_blocking = false;
  bool min_reserve = false;  ///< may go below the mark
  bool highatomic = false;   ///< may use the high-order atomic reserve
  bool no_marks = false;     ///< may take the last page

  /// Whether it has any right to the reserves.
  [[nodiscard]] bool has_reserves() const { return non_blocking || min_reserve || highatomic; }
};

/// The first attempt: at the low mark, without rights.
[[nodiscard]] inline attempt first_attempt(const request& wanted, bool prefers_normal) {
  return {.mark = watermark::low,
          .cma = wanted.type == migratetype::movable,
          .no_fragment = prefers_normal};
}

/// The later attempts: at the min mark, with the rights that the flags give.
[[nodiscard]] inline attempt later_attempt(const request& wanted) {
  return {.mark = watermark::min,
          .cma = wanted.type == migratetype::movable,
          .non_blocking = wanted.non_blocking,
          .min_reserve = wanted.high,
          .highatomic = wanted.high && wanted.non_blocking && wanted.order > 0};
}

/// Those after that: with __GFP_MEMALLOC all of memory is theirs.
[[nodiscard]] inline attempt last_attempt(const request& wanted) {
  auto how = later_attempt(wanted);
  how.no_marks =
      wanted.flags.has_any(gfp_flag::memalloc) && !wanted.flags.has_any(gfp_flag::nomemalloc);
  return how;
}

}  // namespace memsim::detail
