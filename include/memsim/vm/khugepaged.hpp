// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// khugepaged: walks the memory of processes, and makes huge pages of small ones.
///
///     khugepaged scanner{vm};
///     const auto did = scanner.scan(ctx, scanner.config().pages_to_scan);
///     fmt::print("{} huge pages of {} pages\n", did.collapsed, did.scanned);
///
/// It goes through the areas where faults make huge pages (virtual_memory_config::huge_pages and
/// advice), process after process, 2 MiB after 2 MiB, and goes on where it stopped. MADV_COLLAPSE
/// does the same to 2 MiB, without asking how many of the entries are none, shared or used.
///
/// Source: docs/linux-rules/thp.md, T13; the kernel's document on transparent huge pages.
///
/// Modelling assumptions: only processes with an area where it may work are walked, and are all the
/// time; an area where it may not work takes as long as a page.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

/// As in /sys/kernel/mm/transparent_hugepage/khugepaged. Limits are for 2 MiB, 0 to 511.
struct khugepaged_config {
  frame_count pages_to_scan = 4096;   ///< in one run, at least 1
  frame_count max_ptes_none = 511;    ///< entries that map nothing, or the zero page
  frame_count max_ptes_swap = 64;     ///< none is in swap so far: see docs/linux-rules/thp.md
  frame_count max_ptes_shared = 256;  ///< pages that are mapped more than once
};

/// What came of looking at 2 MiB.
enum class collapse_status : unsigned char {
  collapsed,
  nothing_mapped,  ///< there is no page table
  already_huge,
  held,  ///< somebody has a reference to a page
  too_many_none,
  too_many_shared,
  nothing_writable,
  nothing_referenced,
  no_memory,   ///< for a huge page
  over_limit,  ///< of a memory group
};
inline constexpr std::size_t collapse_statuses = 10;

[[nodiscard]] std::string_view name_of(collapse_status);
[[nodiscard]] std::string to_text(collapse_status);

/// Events since the beginning, as sysfs and /proc/vmstat have them.
struct khugepaged_counts {
  std::uint64_t full_scans = 0;
  std::uint64_t pages_collapsed = 0;
  std::uint64_t scan_exceed_none = 0;
  std::uint64_t scan_exceed_shared = 0;

  friend bool operator==(const khugepaged_counts&, const khugepaged_counts&) = default;
};

inline constexpr std::array khugepaged_statistics{
    statistic<khugepaged_counts>{"full_scans", "events", "times all processes were gone through",
                                 &khugepaged_counts::full_scans},
    statistic<khugepaged_counts>{"pages_collapsed", "pages", "huge pages made of small ones",
                                 &khugepaged_counts::pages_collapsed},
    statistic<khugepaged_counts>{"thp_scan_exceed_none_pte", "events",
                                 "2 MiB left as they are for more than max_ptes_none entries",
                                 &khugepaged_counts::scan_exceed_none},
    statistic<khugepaged_counts>{"thp_scan_exceed_share_pte", "events",
                                 "2 MiB left as they are for more than max_ptes_shared pages",
                                 &khugepaged_counts::scan_exceed_shared},
};

/// What a run came to.
struct khugepaged_result {
  frame_count scanned = 0;
  std::uint64_t collapsed = 0;
  bool out_of_memory = false;  ///< it ended because there was no huge page

  friend bool operator==(const khugepaged_result&, const khugepaged_result&) = default;
};

/// Refers to the processes' memory, which outlives it. In simulated time: khugepaged_daemon.
class khugepaged {
 public:
  /// \throws usage_error if a limit is above 511, or there is nothing to scan
  explicit khugepaged(virtual_memory& vm, const khugepaged_config& how = {});

  /// Looks at pages from where it stopped, rounded up to 2 MiB, and beyond the last process from
  /// the first, which it does not pass twice. Ends also when there is no huge page.
  khugepaged_result scan(context& ctx, frame_count pages);

  [[nodiscard]] const khugepaged_config& config() const { return how_; }
  /// 2 MiB of which this came.
  [[nodiscard]] std::uint64_t count(collapse_status status) const {
    return by_status_[static_cast<std::size_t>(status)];
  }
  [[nodiscard]] const khugepaged_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const {
    return values_of(counts_, khugepaged_statistics);
  }

 private:
  enum class walk_end : bool { stopped, whole };

  [[nodiscard]] static bool has_work(const address_space& process, const vma& area);
  [[nodiscard]] address_space* process_at_cursor();
  walk_end scan_process(context& ctx, address_space& process, frame_count pages,
                        khugepaged_result& result);
  collapse_status try_to_collapse(context& ctx, address_space& process, vma& area, vpn first);
  [[nodiscard]] std::optional<collapse_status> refuses(context& ctx, address_space& process,
                                                       vpn first);

  virtual_memory* vm_;
  khugepaged_config how_;
  std::uint64_t next_process_ = 0;  // by number; 0: the head of the list
  vpn next_page_{};
  std::array<std::uint64_t, collapse_statuses> by_status_{};
  khugepaged_counts counts_;
};

}  // namespace memsim
