// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A zone as the page allocator keeps it: watermarks, lagging counters, per-CPU page sets.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <memsim/alloc/compaction.hpp>
#include <memsim/alloc/free_list.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/packed_page.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// Free pages below which a zone is avoided (low), used only with rights (min), or at which the
/// reclaimer rests (high). In pages, without boost.
struct watermarks {
  std::uint64_t min = 0;
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend bool operator==(const watermarks&, const watermarks&) = default;
};

/// Pages of a zone that requests which could have used a higher zone must leave alone, by the
/// highest zone that they may use.
using lowmem_reserves = std::array<std::uint64_t, zone_types>;

/// Lists of a per-CPU page set: orders 0 to 3 by mergeable type, then huge pages that are not
/// movable and those that are.
inline constexpr unsigned pcp_low_orders = 4;
inline constexpr unsigned pcp_lists = pcp_low_orders * mergeable_migratetypes + 2;

/// A CPU's changes of a zone's counters that are not yet in them.
struct pending_counters {
  std::int32_t free = 0;
  std::int32_t cma = 0;

  friend bool operator==(const pending_counters&, const pending_counters&) = default;
};

/// One CPU's pages of one zone: blocks set aside so that most requests need no lock.
struct alignas(512) per_cpu_pages {
  std::uint32_t count = 0;  ///< pages on all lists
  std::uint32_t high = 0;   ///< pages above which some are given back
  std::uint32_t batch = 0;  ///< pages moved at a time

  std::uint32_t free_factor = 0;  ///< pcp_rule::fixed_high: doublings of a bulk free

  // pcp_rule::adaptive_high
  std::uint32_t high_min = 0;
  std::uint32_t high_max = 0;
  std::uint32_t alloc_factor = 0;         ///< doublings of a refill
  std::uint32_t free_count = 0;           ///< pages freed lately
  bool previous_free_high_order = false;  ///< the last free was of order 1 to 3
  bool free_high_batch = true;            ///< keep a batch before giving back high orders

  // Derived.
  std::uint32_t largest_batch = 0;     ///< the batch at its largest scale
  std::uint32_t free_count_limit = 0;  ///< where free_count stops growing
  /// A free that brings count here has more to do than to join a list; 0: every one has.
  std::uint32_t trim_at = 0;

  pending_counters pending{};

  std::array<detail::page_ring, pcp_lists> lists{};
};

/// The list for a block, or pcp_lists if blocks of its order are not kept per CPU.
[[nodiscard]] constexpr unsigned pcp_list_of(unsigned order, migratetype type) {
  if (order < pcp_low_orders) {
    return order * mergeable_migratetypes + static_cast<unsigned>(type);
  }
  if (order == pageblock_order.value()) {
    return pcp_low_orders * mergeable_migratetypes + (type == migratetype::movable ? 1 : 0);
  }
  return pcp_lists;
}

/// The order of the blocks on a list.
[[nodiscard]] constexpr unsigned pcp_order_of(unsigned list) {
  return list < pcp_low_orders * mergeable_migratetypes ? list / mergeable_migratetypes
                                                        : pageblock_order.value();
}

namespace detail {

/// What is left of a zone's free pages above a mark, remembered until something changes (A3).
struct margin_cache {
  std::array<std::int64_t, 16> margin{};
  std::uint32_t known = 0;              ///< a bit per entry
  std::uint32_t suffices_for_page = 0;  ///< likewise: known, and enough for one page

  void forget() { known = suffices_for_page = 0; }
};

}  // namespace detail

/// A zone. Everything is readable; only the allocator writes.
struct alignas(1024) zone {
  zone_extent extent{};
  watermarks marks{};
  std::uint64_t boost = 0;  ///< pages added to every mark since mixing was last seen
  lowmem_reserves reserve{};

  // The zone's counters as the kernel sees them. Each CPU collects its changes and adds them to
  // these only when they exceed the threshold, so they lag: the true number of free pages is
  // free_pages plus what is pending on every CPU.
  std::int64_t free_pages = 0;
  std::int64_t free_cma = 0;
  std::uint32_t counter_threshold = 0;

  std::uint64_t reserved_highatomic = 0;  ///< pages in highatomic pageblocks
  std::uint64_t free_highatomic =
      0;  ///< pages free on highatomic lists, exact; 0 where the profile deducts none

  bool boosted = false;         ///< boosted since the reclaimer was last woken
  bool reclaim_active = false;  ///< the reclaimer is at work
  bool below_high = false;      ///< seen below the high watermark

  compaction_state compaction{};
  std::uint32_t isolated_blocks = 0;  ///< pageblocks withheld from allocation

  /// Free blocks by order and by the list they are on.
  std::array<std::array<std::uint32_t, migratetypes>, page_orders> free_blocks{};
  /// For each type, the orders (as bits) that have a free block.
  std::array<std::uint32_t, migratetypes> free_orders{};

  std::vector<per_cpu_pages> cpus{};

  // Derived.
  detail::margin_cache margins{};
  std::uint8_t first_mark = 0;  ///< the bit of a margin's number for the mark that is tested first
  /// The free lists, by order and then by type.
  std::vector<detail::free_list> lists{page_orders * migratetypes};

  /// Free pages now, nothing pending.
  [[nodiscard]] std::int64_t exact_free_pages() const;
  /// Free pages on CMA lists now, nothing pending.
  [[nodiscard]] std::int64_t exact_free_cma() const;
  /// Free blocks of an order, of every type.
  [[nodiscard]] std::uint64_t free_blocks_of(order) const;
};

}  // namespace memsim
