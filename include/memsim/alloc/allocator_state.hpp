// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The whole state of a page allocator as plain data: what a recording's snapshot holds, what a
/// captured machine is turned into, and what two allocators are compared by.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <memsim/alloc/cma.hpp>
#include <memsim/alloc/compaction.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/reclaim.hpp>
#include <memsim/alloc/zone.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/memory_map.hpp>
#include <memsim/frames/page_info.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// A block on a per-CPU list. The type matters where kernel_profile::pcp_notes_migratetype is on.
struct pcp_entry {
  pfn block{};
  migratetype type{};

  friend bool operator==(const pcp_entry&, const pcp_entry&) = default;
};

/// A block in use that can be freed.
struct allocated_block {
  pfn block{};
  order size{};
  bool compound = false;  ///< one page to whoever looks at any of its frames

  friend bool operator==(const allocated_block&, const allocated_block&) = default;
};

/// What is known of a page in use.
struct page_state {
  pfn page{};
  page_info info{};

  friend bool operator==(const page_state&, const page_state&) = default;
};

/// Frames of a CMA area that are claimed.
struct claimed_frames {
  frame_count offset = 0;  ///< from the area's base
  frame_count count = 0;

  friend bool operator==(const claimed_frames&, const claimed_frames&) = default;
};

struct pinned_page {
  pfn page{};
  std::uint32_t times = 0;

  friend bool operator==(const pinned_page&, const pinned_page&) = default;
};

/// One CPU's page set of a zone; the fields are those of per_cpu_pages. Restored under a profile
/// that keeps no account of one (free_factor, or alloc_factor, free_count and
/// previous_free_high_order), that one is forgotten.
struct pcp_state {
  std::uint32_t count = 0;
  std::uint32_t high = 0;
  std::uint32_t batch = 0;
  std::uint32_t free_factor = 0;
  std::uint32_t high_min = 0;
  std::uint32_t high_max = 0;
  std::uint32_t alloc_factor = 0;
  std::uint32_t free_count = 0;
  bool previous_free_high_order = false;
  bool free_high_batch = true;
  pending_counters pending{};
  std::array<std::vector<pcp_entry>, pcp_lists> lists{};  ///< head first

  friend bool operator==(const pcp_state&, const pcp_state&) = default;
};

/// A zone. Its frames are free (on a list), on a per-CPU list, or in use.
struct zone_state {
  zone_extent extent{};
  watermarks marks{};
  std::uint64_t boost = 0;
  lowmem_reserves reserve{};
  std::int64_t free_pages = 0;
  std::int64_t free_cma = 0;
  std::uint32_t counter_threshold = 0;
  std::uint64_t reserved_highatomic = 0;
  std::uint64_t free_highatomic = 0;
  bool boosted = false;
  bool reclaim_active = false;
  bool below_high = false;

  std::vector<pcp_state> cpus{};
  /// Free blocks by order and list, head first.
  std::array<std::array<std::vector<pfn>, migratetypes>, page_orders> free_lists{};
  /// The type of every pageblock from the one that holds the zone's first frame; none: a hole.
  std::vector<std::optional<migratetype>> pageblocks{};
  /// Frames in use that count as movable when a pageblock is judged, ascending.
  std::vector<pfn> movable_in_use{};
  /// Blocks in use that can be freed, ascending. A recording's snapshot has none: its frames in use
  /// belong to a kernel that it does not show.
  std::vector<allocated_block> allocated{};
  /// What is known of pages in use, ascending; pages of which nothing is known are left out.
  std::vector<page_state> pages{};
  compaction_state compaction{};
  /// Pageblocks with a skip hint, by their first frame, ascending.
  std::vector<pfn> skip_hints{};

  friend bool operator==(const zone_state&, const zone_state&) = default;
};

struct allocator_state {
  /// What is memory; none, as in a recording: every pageblock of a zone that is no hole.
  std::optional<memory_map> memory{};
  std::vector<zone_state> zones{};  ///< in ascending address order
  std::vector<cma_area> cma_areas{};
  /// What is claimed of each CMA area, ascending; empty if nothing is of any.
  std::vector<std::vector<claimed_frames>> cma_claims{};
  /// Pages on the LRU lists, from head to tail: inactive anonymous, active anonymous, inactive
  /// file, active file, unevictable.
  std::array<std::vector<pfn>, 5> lru_lists{};
  /// Pages that wait in each CPU's batch, in the order in which they came; empty if none does.
  std::vector<std::vector<pfn>> lru_batches{};
  std::vector<pinned_page> pins{};  ///< ascending
  std::uint32_t owners = 0;         ///< that were registered
  reclaim_state reclaim{};

  friend bool operator==(const allocator_state&, const allocator_state&) = default;
};

}  // namespace memsim
