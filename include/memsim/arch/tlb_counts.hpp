// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a TLB counts: hits and misses, walks and their memory references, flushes.
///
/// Nothing here is time. A price list may say what a reference costs, or a flush.

#include <array>
#include <cstdint>
#include <vector>

#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/core/statistics.hpp>

namespace memsim {

/// What happened at one level, by the size of the page.
struct tlb_level_counts {
  std::uint64_t hits_4k = 0;
  std::uint64_t hits_2m = 0;
  std::uint64_t hits_1g = 0;
  std::uint64_t misses_4k = 0;
  std::uint64_t misses_2m = 0;
  std::uint64_t misses_1g = 0;
  std::uint64_t evictions_4k = 0;
  std::uint64_t evictions_2m = 0;
  std::uint64_t evictions_1g = 0;
  std::uint64_t flushed_4k = 0;
  std::uint64_t flushed_2m = 0;
  std::uint64_t flushed_1g = 0;

  [[nodiscard]] std::uint64_t hits() const { return hits_4k + hits_2m + hits_1g; }
  [[nodiscard]] std::uint64_t misses() const { return misses_4k + misses_2m + misses_1g; }
  [[nodiscard]] std::uint64_t evictions() const {
    return evictions_4k + evictions_2m + evictions_1g;
  }
  [[nodiscard]] std::uint64_t flushed() const { return flushed_4k + flushed_2m + flushed_1g; }

  tlb_level_counts& operator+=(const tlb_level_counts& other);
  friend bool operator==(const tlb_level_counts&, const tlb_level_counts&) = default;
};

inline constexpr std::array tlb_level_statistics{
    statistic<tlb_level_counts>{"hits_4k", "translations", "4 KiB pages found at this level",
                                &tlb_level_counts::hits_4k},
    statistic<tlb_level_counts>{"hits_2m", "translations", "2 MiB pages found at this level",
                                &tlb_level_counts::hits_2m},
    statistic<tlb_level_counts>{"hits_1g", "translations", "1 GiB pages found at this level",
                                &tlb_level_counts::hits_1g},
    statistic<tlb_level_counts>{"misses_4k", "translations",
                                "4 KiB pages looked for at this level and not found",
                                &tlb_level_counts::misses_4k},
    statistic<tlb_level_counts>{"misses_2m", "translations",
                                "2 MiB pages looked for at this level and not found",
                                &tlb_level_counts::misses_2m},
    statistic<tlb_level_counts>{"misses_1g", "translations",
                                "1 GiB pages looked for at this level and not found",
                                &tlb_level_counts::misses_1g},
    statistic<tlb_level_counts>{"evictions_4k", "entries", "4 KiB entries that made room",
                                &tlb_level_counts::evictions_4k},
    statistic<tlb_level_counts>{"evictions_2m", "entries", "2 MiB entries that made room",
                                &tlb_level_counts::evictions_2m},
    statistic<tlb_level_counts>{"evictions_1g", "entries", "1 GiB entries that made room",
                                &tlb_level_counts::evictions_1g},
    statistic<tlb_level_counts>{"flushed_4k", "entries", "4 KiB entries dropped by flushes",
                                &tlb_level_counts::flushed_4k},
    statistic<tlb_level_counts>{"flushed_2m", "entries", "2 MiB entries dropped by flushes",
                                &tlb_level_counts::flushed_2m},
    statistic<tlb_level_counts>{"flushed_1g", "entries", "1 GiB entries dropped by flushes",
                                &tlb_level_counts::flushed_1g},
};

/// What page walks did: references to memory by the table read, hits of the page-walk caches.
struct tlb_walk_counts {
  std::uint64_t walks_4k = 0;
  std::uint64_t walks_2m = 0;
  std::uint64_t walks_1g = 0;
  std::uint64_t pte_references = 0;
  std::uint64_t pde_references = 0;
  std::uint64_t pdpte_references = 0;
  std::uint64_t pml4e_references = 0;
  std::uint64_t pml5e_references = 0;
  std::uint64_t host_references = 0;
  std::uint64_t host_walks = 0;
  std::uint64_t pde_cache_hits = 0;
  std::uint64_t pdpte_cache_hits = 0;
  std::uint64_t pml4e_cache_hits = 0;
  std::uint64_t pml5e_cache_hits = 0;
  std::uint64_t nested_tlb_hits = 0;
  std::uint64_t walk_cache_evictions = 0;
  std::uint64_t walk_cache_flushed = 0;

  [[nodiscard]] std::uint64_t walks() const { return walks_4k + walks_2m + walks_1g; }
  /// Of all tables, the host's included.
  [[nodiscard]] std::uint64_t references() const {
    return pte_references + pde_references + pdpte_references + pml4e_references +
           pml5e_references + host_references;
  }

  tlb_walk_counts& operator+=(const tlb_walk_counts& other);
  friend bool operator==(const tlb_walk_counts&, const tlb_walk_counts&) = default;
};

inline constexpr std::array tlb_walk_statistics{
    statistic<tlb_walk_counts>{"walks_4k", "walks", "page walks that ended at a 4 KiB page",
                               &tlb_walk_counts::walks_4k},
    statistic<tlb_walk_counts>{"walks_2m", "walks", "page walks that ended at a 2 MiB page",
                               &tlb_walk_counts::walks_2m},
    statistic<tlb_walk_counts>{"walks_1g", "walks", "page walks that ended at a 1 GiB page",
                               &tlb_walk_counts::walks_1g},
    statistic<tlb_walk_counts>{"pte_references", "references", "page table entries read",
                               &tlb_walk_counts::pte_references},
    statistic<tlb_walk_counts>{"pde_references", "references", "page directory entries read",
                               &tlb_walk_counts::pde_references},
    statistic<tlb_walk_counts>{"pdpte_references", "references",
                               "page directory pointer table entries read",
                               &tlb_walk_counts::pdpte_references},
    statistic<tlb_walk_counts>{"pml4e_references", "references", "level 4 entries read",
                               &tlb_walk_counts::pml4e_references},
    statistic<tlb_walk_counts>{"pml5e_references", "references", "level 5 entries read",
                               &tlb_walk_counts::pml5e_references},
    statistic<tlb_walk_counts>{"host_references", "references",
                               "entries of the host's tables read, of all levels",
                               &tlb_walk_counts::host_references},
    statistic<tlb_walk_counts>{"host_walks", "walks",
                               "walks of the host's tables, within walks of the guest's",
                               &tlb_walk_counts::host_walks},
    statistic<tlb_walk_counts>{"pde_cache_hits", "walks", "walks that began at a cached PDE",
                               &tlb_walk_counts::pde_cache_hits},
    statistic<tlb_walk_counts>{"pdpte_cache_hits", "walks", "walks that began at a cached PDPTE",
                               &tlb_walk_counts::pdpte_cache_hits},
    statistic<tlb_walk_counts>{"pml4e_cache_hits", "walks", "walks that began at a cached PML4E",
                               &tlb_walk_counts::pml4e_cache_hits},
    statistic<tlb_walk_counts>{"pml5e_cache_hits", "walks", "walks that began at a cached PML5E",
                               &tlb_walk_counts::pml5e_cache_hits},
    statistic<tlb_walk_counts>{"nested_tlb_hits", "walks",
                               "walks of the host's tables that the nested TLB saved",
                               &tlb_walk_counts::nested_tlb_hits},
    statistic<tlb_walk_counts>{"walk_cache_evictions", "entries",
                               "entries of page-walk caches and the nested TLB that made room",
                               &tlb_walk_counts::walk_cache_evictions},
    statistic<tlb_walk_counts>{"walk_cache_flushed", "entries",
                               "entries of page-walk caches and the nested TLB dropped by flushes",
                               &tlb_walk_counts::walk_cache_flushed},
};

/// The flushes that were asked for.
struct tlb_flush_counts {
  std::uint64_t page_flushes = 0;
  std::uint64_t address_space_flushes = 0;
  std::uint64_t all_but_global_flushes = 0;
  std::uint64_t everything_flushes = 0;

  /// Those that are not of single pages.
  [[nodiscard]] std::uint64_t full_flushes() const {
    return address_space_flushes + all_but_global_flushes + everything_flushes;
  }

  tlb_flush_counts& operator+=(const tlb_flush_counts& other);
  friend bool operator==(const tlb_flush_counts&, const tlb_flush_counts&) = default;
};

inline constexpr std::array tlb_flush_statistics{
    statistic<tlb_flush_counts>{"page_flushes", "flushes", "flushes of a single page",
                                &tlb_flush_counts::page_flushes},
    statistic<tlb_flush_counts>{"address_space_flushes", "flushes", "flushes of an address space",
                                &tlb_flush_counts::address_space_flushes},
    statistic<tlb_flush_counts>{"all_but_global_flushes", "flushes",
                                "flushes of all entries that are not global",
                                &tlb_flush_counts::all_but_global_flushes},
    statistic<tlb_flush_counts>{"everything_flushes", "flushes", "flushes of all entries",
                                &tlb_flush_counts::everything_flushes},
};

/// All that a TLB counted. Adding two adds every number.
struct tlb_counts {
  std::array<tlb_level_counts, max_tlb_levels> levels{};  ///< L1 first; unused ones are zero
  tlb_walk_counts walks{};
  tlb_flush_counts flushes{};

  /// Every translation asked for: each was looked for at the first level.
  [[nodiscard]] std::uint64_t translations() const { return levels[0].hits() + levels[0].misses(); }

  tlb_counts& operator+=(const tlb_counts& other);
  friend bool operator==(const tlb_counts&, const tlb_counts&) = default;
};

[[nodiscard]] inline std::vector<statistic_value> values_of(const tlb_level_counts& counts) {
  return values_of(counts, tlb_level_statistics);
}
[[nodiscard]] inline std::vector<statistic_value> values_of(const tlb_walk_counts& counts) {
  return values_of(counts, tlb_walk_statistics);
}
[[nodiscard]] inline std::vector<statistic_value> values_of(const tlb_flush_counts& counts) {
  return values_of(counts, tlb_flush_statistics);
}

}  // namespace memsim
