// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A memory group: processes that together may have so many pages, and their own OOM killer.
///
///     auto& service = vm.add_group({.limit = 64_MiB .frames()});
///     auto& worker = vm.add_process({.group = &service});
///     worker.write(ctx, page, 1);                         // charged to the service
///     fmt::print("{} pages, at most {}\n", service.usage(), service.peak());
///
/// Each private page that a process gets by a fault, a copy or a collapse is charged to its group
/// and all groups above, for as long as the page is there: a page that is shared after a fork stays
/// with the group of who got it first. If a group is at its limit, its OOM killer ends the process
/// in it or below that is largest, and the charge is tried again. For a huge page nobody is killed:
/// a fault takes small ones, and a collapse does not take place.
///
/// Source: the kernel's documents on memory cgroups and /proc/PID/oom_score_adj; madvise(2).
///
/// Modelling assumptions: that nobody is killed for a huge page; a group does not reclaim before it
/// kills, as pages of processes do not go to swap here; pages are charged one by one, and not 64 at
/// a time for each CPU; page tables and the huge zero page are charged to nobody; groups stay, and
/// processes do not change theirs.

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>

namespace memsim {

class memory_group;
namespace detail {
class page_charges;
}

struct memory_group_config {
  static constexpr frame_count no_limit = std::numeric_limits<frame_count>::max();

  frame_count limit = no_limit;    ///< memory.max, in pages
  memory_group* parent = nullptr;  ///< whose limit holds for this one too
};

/// Events of a group and those below it, as memory.events has them.
struct memory_group_counts {
  std::uint64_t failures = 0;
  std::uint64_t oom = 0;
  std::uint64_t oom_kills = 0;

  friend bool operator==(const memory_group_counts&, const memory_group_counts&) = default;
};

inline constexpr std::array memory_group_statistics{
    statistic<memory_group_counts>{"max", "charges",
                                   "charges that would have taken the group above its limit",
                                   &memory_group_counts::failures},
    statistic<memory_group_counts>{"oom", "events",
                                   "times a charge was about to fail because of the limit",
                                   &memory_group_counts::oom},
    statistic<memory_group_counts>{"oom_kill", "processes",
                                   "processes of the group that any OOM killer ended",
                                   &memory_group_counts::oom_kills},
};

/// Made by virtual_memory::add_group().
class memory_group {
 public:
  explicit memory_group(const memory_group_config& how = {}) : how_{how} {}
  memory_group(const memory_group&) = delete;
  memory_group& operator=(const memory_group&) = delete;

  [[nodiscard]] frame_count limit() const { return how_.limit; }
  /// Modelling assumption: what is above a new limit stays, and nothing is charged until it is
  /// below; the kernel would reclaim, and kill.
  void set_limit(frame_count pages) { how_.limit = pages; }
  [[nodiscard]] memory_group* parent() const { return how_.parent; }
  /// Whether it is the other, or above it.
  [[nodiscard]] bool includes(const memory_group& other) const;

  /// Pages charged to it and to groups below.
  [[nodiscard]] frame_count usage() const { return usage_; }
  /// The most that there ever were.
  [[nodiscard]] frame_count peak() const { return peak_; }
  [[nodiscard]] const memory_group_counts& counts() const { return counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const {
    return values_of(counts_, memory_group_statistics);
  }

  /// Charges pages to it and to all above.
  /// \return the lowest group whose limit does not allow it, and then nothing is charged; nullptr:
  ///         it is done
  [[nodiscard]] memory_group* try_charge(frame_count pages);
  /// \throws usage_error if fewer pages are charged to it or to one above
  void uncharge(frame_count pages);
  /// An event of this group, and so of those above.
  void count(std::uint64_t memory_group_counts::* event);

 private:
  friend class detail::page_charges;

  memory_group_config how_;
  std::uint32_t number_ = 0;  // among those of its machine, from 1
  frame_count usage_ = 0;
  frame_count peak_ = 0;
  memory_group_counts counts_;
};

namespace detail {

/// The groups of a machine, and which of them each page is charged to. Costs nothing without
/// groups.
class page_charges {
 public:
  /// \param frames  of the machine
  memory_group& add_group(const memory_group_config& how, frame_count frames);
  [[nodiscard]] bool has(const memory_group* group) const;

  /// Pages that were charged to a group.
  void set(pfn first, frame_count count, const memory_group& group);
  /// Pages are freed; they were charged together or not at all.
  void drop(pfn first, frame_count count) {
    if (!groups_.empty()) uncharge(first, count);
  }
  void move(pfn from, pfn to) {
    if (!groups_.empty()) group_of_[to.value()] = std::exchange(group_of_[from.value()], 0);
  }

 private:
  void uncharge(pfn first, frame_count count);

  std::vector<std::unique_ptr<memory_group>> groups_;
  lazy_array<std::uint32_t> group_of_;  // by frame: the group's number from 1, or 0
};

}  // namespace detail
}  // namespace memsim
