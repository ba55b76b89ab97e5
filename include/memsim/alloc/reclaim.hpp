// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reclaim: memory that is in use is got back, from where it costs least.
///
/// Pages on the LRU lists age: from active to inactive, from the head of a list to its tail, and
/// from there they leave memory if nobody has used them meanwhile. Clean page cache pages are
/// dropped, dirty ones written first, anonymous ones go to swap. What is not on the LRU lists can
/// be reclaimed by its shrinker only, and what is pinned not at all.
///
/// Who reclaims: the daemon kswapd, when a zone falls below its low mark, until one is above its
/// high mark; and requests themselves, when they find nothing above the min mark.
///
///     memory.set_swap(1_GiB .frames());
///     const auto page = memory.alloc(ctx, order{0}, gfp_kernel);   // reclaims if it must
///     if (const auto wish = memory.take_kswapd_wish()) memory.balance(ctx, *wish);
///
/// Source: docs/policies/reclaim.md, which says what is known of the kernel and what is assumed.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

struct context;

/// On whose behalf pages are reclaimed.
enum class reclaimer : unsigned char {
  direct,  ///< a request that found nothing
  kswapd,  ///< the daemon
};

[[nodiscard]] std::string_view name_of(reclaimer);
[[nodiscard]] std::string to_text(reclaimer);

/// What a daemon has been woken for: blocks of an order in zones up to one.
struct daemon_wish {
  memsim::order order{};
  zone_type highest{};

  friend bool operator==(const daemon_wish&, const daemon_wish&) = default;
};

/// What a run of the reclaim daemon came to.
struct balance_result {
  frame_count scanned = 0;
  frame_count reclaimed = 0;
  memsim::order reached{};  ///< 0 if it has left higher orders to compaction
  bool balanced = false;    ///< a zone meets its high mark
};

/// Runs the daemons. Told when one of them has something to do; it must not call back into the
/// allocator from there, but take the wishes later.
class daemon_waker {
 public:
  virtual ~daemon_waker() = default;
  /// There is a wish for take_kswapd_wish().
  virtual void wake_kswapd() = 0;
  /// There is a wish for take_kcompactd_wish().
  virtual void wake_kcompactd() = 0;
};

/// A cache in blocks of its own that can be made smaller: inodes, dentries, a driver's pool.
class shrinker {
 public:
  virtual ~shrinker() = default;
  /// Objects that could be freed.
  [[nodiscard]] virtual std::uint64_t count() const = 0;
  /// Looks at so many objects, and frees those that nobody uses. It may free, split and assign
  /// blocks of the page allocator, and do nothing else to it. What counts as progress is the pages
  /// that it frees.
  /// \return objects looked at; 0 ends this round
  virtual std::uint64_t scan(context& ctx, std::uint64_t objects) = 0;
  /// What it takes to make an object again, in the kernel's unit of disk seeks, at least 1. Twice
  /// as much makes for half the pressure.
  [[nodiscard]] virtual unsigned seeks() const { return 2; }
};

/// A process as the OOM killer sees it, in pages.
struct oom_usage {
  frame_count resident = 0;
  frame_count swapped = 0;
  frame_count page_tables = 0;

  [[nodiscard]] frame_count total() const { return resident + swapped + page_tables; }
  friend bool operator==(const oom_usage&, const oom_usage&) = default;
};

/// Whom the OOM killer may choose.
class oom_candidate {
 public:
  /// A candidate with this adjustment is never chosen.
  static constexpr int never = -1000;

  virtual ~oom_candidate() = default;
  [[nodiscard]] virtual oom_usage usage() const = 0;
  /// oom_score_adj, -1000 to 1000: thousandths of memory and swap to be added to its usage.
  [[nodiscard]] virtual int score_adjustment() const { return 0; }
  /// It has been chosen, and is not chosen again. It frees its memory.
  virtual void killed(context& ctx) = 0;
};

/// The larger, the sooner it is chosen: its usage and the adjustment's share of `total`.
[[nodiscard]] std::int64_t oom_points(const oom_usage& usage, int adjustment, frame_count total);

/// What reclaim remembers from one call to the next. Zero at boot.
struct reclaim_state {
  frame_count swap_slots = 0;  ///< the size of swap
  frame_count swap_used = 0;
  std::uint32_t kswapd_failures = 0;  ///< runs in a row that got nothing
  bool kswapd_wanted = false;
  bool kcompactd_wanted = false;
  daemon_wish kswapd{};
  daemon_wish kcompactd{};

  friend bool operator==(const reclaim_state&, const reclaim_state&) = default;
};

/// Events since the allocator was made.
struct reclaim_counts {
  std::uint64_t slow_requests = 0;
  std::uint64_t direct_reclaims = 0;
  std::uint64_t kswapd_runs = 0;
  std::uint64_t pages_scanned_direct = 0;
  std::uint64_t pages_scanned_kswapd = 0;
  std::uint64_t pages_reclaimed_direct = 0;
  std::uint64_t pages_reclaimed_kswapd = 0;
  std::uint64_t pages_activated = 0;
  std::uint64_t pages_deactivated = 0;
  std::uint64_t pages_kept_pinned = 0;
  std::uint64_t writes_started = 0;
  std::uint64_t swap_outs = 0;
  std::uint64_t swap_full = 0;
  std::uint64_t objects_scanned = 0;
  std::uint64_t pages_shrunk = 0;
  std::uint64_t highatomic_blocks_unreserved = 0;
  std::uint64_t oom_kills = 0;
  std::uint64_t oom_without_victim = 0;
  std::uint64_t oom_kills_withheld = 0;

  friend bool operator==(const reclaim_counts&, const reclaim_counts&) = default;
};

inline constexpr std::array reclaim_statistics{
    statistic<reclaim_counts>{"slow_requests", "requests",
                              "requests that found nothing at once and may wait for memory",
                              &reclaim_counts::slow_requests},
    statistic<reclaim_counts>{"direct_reclaims", "events", "times a request reclaimed by itself",
                              &reclaim_counts::direct_reclaims},
    statistic<reclaim_counts>{"kswapd_runs", "runs", "runs of the reclaim daemon",
                              &reclaim_counts::kswapd_runs},
    statistic<reclaim_counts>{"pages_scanned_direct", "pages",
                              "inactive pages that requests looked at",
                              &reclaim_counts::pages_scanned_direct},
    statistic<reclaim_counts>{"pages_scanned_kswapd", "pages",
                              "inactive pages that the reclaim daemon looked at",
                              &reclaim_counts::pages_scanned_kswapd},
    statistic<reclaim_counts>{"pages_reclaimed_direct", "pages",
                              "of those that requests looked at, pages that were freed",
                              &reclaim_counts::pages_reclaimed_direct},
    statistic<reclaim_counts>{"pages_reclaimed_kswapd", "pages",
                              "of those that the reclaim daemon looked at, pages that were freed",
                              &reclaim_counts::pages_reclaimed_kswapd},
    statistic<reclaim_counts>{"pages_activated", "pages", "pages that became active",
                              &reclaim_counts::pages_activated},
    statistic<reclaim_counts>{"pages_deactivated", "pages", "active pages that became inactive",
                              &reclaim_counts::pages_deactivated},
    statistic<reclaim_counts>{"pages_kept_pinned", "pages",
                              "inactive pages that were kept because they are pinned",
                              &reclaim_counts::pages_kept_pinned},
    statistic<reclaim_counts>{"writes_started", "pages",
                              "dirty pages whose write reclaim asked for",
                              &reclaim_counts::writes_started},
    statistic<reclaim_counts>{"swap_outs", "pages", "pages that were written to swap",
                              &reclaim_counts::swap_outs},
    statistic<reclaim_counts>{"swap_full", "events", "times a page found no slot in swap",
                              &reclaim_counts::swap_full},
    statistic<reclaim_counts>{"objects_scanned", "objects", "objects that shrinkers looked at",
                              &reclaim_counts::objects_scanned},
    statistic<reclaim_counts>{"pages_shrunk", "pages", "pages that shrinkers freed",
                              &reclaim_counts::pages_shrunk},
    statistic<reclaim_counts>{"highatomic_blocks_unreserved", "events",
                              "pageblocks that left the high-order atomic reserve",
                              &reclaim_counts::highatomic_blocks_unreserved},
    statistic<reclaim_counts>{"oom_kills", "events", "victims of the OOM killer",
                              &reclaim_counts::oom_kills},
    statistic<reclaim_counts>{"oom_without_victim", "events",
                              "times the OOM killer found nobody to kill",
                              &reclaim_counts::oom_without_victim},
    statistic<reclaim_counts>{"oom_kills_withheld", "events",
                              "requests for which nobody is killed, however short memory is",
                              &reclaim_counts::oom_kills_withheld},
};

}  // namespace memsim
