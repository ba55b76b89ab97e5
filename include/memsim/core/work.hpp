// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The work ledger: what was done, counted and never timed.
///
/// Every mechanism adds the primitives that it performed. What they cost is a question for a price
/// list, which may be asked of one ledger as often as one likes.

#include <array>
#include <cstdint>
#include <vector>

#include <memsim/core/statistics.hpp>

namespace memsim {

/// Counts of primitive operations. Adding two ledgers adds their counts.
struct work {
  std::uint64_t pages_zeroed = 0;
  std::uint64_t pages_copied = 0;
  std::uint64_t page_moves = 0;
  std::uint64_t pages_scanned = 0;
  std::uint64_t list_insertions = 0;
  std::uint64_t list_removals = 0;
  std::uint64_t blocks_split = 0;
  std::uint64_t blocks_merged = 0;
  std::uint64_t pcp_refills = 0;
  std::uint64_t pcp_drains = 0;
  std::uint64_t zone_lock_acquisitions = 0;
  std::uint64_t entries_written = 0;
  std::uint64_t entries_scanned = 0;
  std::uint64_t mappings_split = 0;
  std::uint64_t mappings_collapsed = 0;
  std::uint64_t tlb_page_flushes = 0;
  std::uint64_t tlb_full_flushes = 0;
  std::uint64_t remote_page_flushes = 0;
  std::uint64_t remote_full_flushes = 0;
  std::uint64_t flush_rounds = 0;
  std::uint64_t ipis = 0;
  std::uint64_t tlb_lower_hits = 0;
  std::uint64_t page_walks = 0;
  std::uint64_t walk_pte_references = 0;
  std::uint64_t walk_pde_references = 0;
  std::uint64_t walk_upper_references = 0;
  std::uint64_t walk_host_references = 0;
  std::uint64_t lru_pages_scanned = 0;
  std::uint64_t pages_reclaimed = 0;
  std::uint64_t pages_read = 0;
  std::uint64_t pages_written_back = 0;
  std::uint64_t pages_swapped_in = 0;
  std::uint64_t pages_swapped_out = 0;
  std::uint64_t objects_shrunk = 0;
  std::uint64_t page_faults = 0;

  work& operator+=(const work& other);
  friend bool operator==(const work&, const work&) = default;
};

inline constexpr std::array work_statistics{
    statistic<work>{"pages_zeroed", "pages", "frames filled with zeroes for __GFP_ZERO",
                    &work::pages_zeroed},
    statistic<work>{"pages_copied", "pages", "frames whose contents were copied to another",
                    &work::pages_copied},
    statistic<work>{"page_moves", "pages",
                    "pages that migration moved, whatever their size: unmapped, and mapped again",
                    &work::page_moves},
    statistic<work>{"pages_scanned", "pages",
                    "frames looked at to judge or move the free blocks of a pageblock",
                    &work::pages_scanned},
    statistic<work>{"list_insertions", "blocks", "blocks put on a free list",
                    &work::list_insertions},
    statistic<work>{"list_removals", "blocks", "blocks taken off a free list",
                    &work::list_removals},
    statistic<work>{"blocks_split", "splits", "halvings of a free block", &work::blocks_split},
    statistic<work>{"blocks_merged", "merges", "unions of two free buddies", &work::blocks_merged},
    statistic<work>{"pcp_refills", "events", "refills of an empty per-CPU list",
                    &work::pcp_refills},
    statistic<work>{"pcp_drains", "events", "bulk frees from a per-CPU page set",
                    &work::pcp_drains},
    statistic<work>{"zone_lock_acquisitions", "events", "times a zone lock was taken",
                    &work::zone_lock_acquisitions},
    statistic<work>{"entries_written", "entries", "page table entries written",
                    &work::entries_written},
    statistic<work>{"entries_scanned", "entries",
                    "page table entries looked at to see whether a table can collapse",
                    &work::entries_scanned},
    statistic<work>{"mappings_split", "splits",
                    "large mappings replaced by a table of 512 of the next smaller size",
                    &work::mappings_split},
    statistic<work>{"mappings_collapsed", "collapses",
                    "tables of 512 equal mappings replaced by one of the next larger size",
                    &work::mappings_collapsed},
    statistic<work>{"tlb_page_flushes", "flushes",
                    "flushes of one page from the CPU's own TLBs, as by INVLPG",
                    &work::tlb_page_flushes},
    statistic<work>{"tlb_full_flushes", "flushes", "flushes of all entries of the CPU's own TLBs",
                    &work::tlb_full_flushes},
    statistic<work>{"remote_page_flushes", "flushes",
                    "flushes of one page that this CPU made others do, each counted",
                    &work::remote_page_flushes},
    statistic<work>{"remote_full_flushes", "flushes",
                    "flushes of all entries that this CPU made others do, each counted",
                    &work::remote_full_flushes},
    statistic<work>{"flush_rounds", "events", "times other CPUs were told to flush and waited for",
                    &work::flush_rounds},
    statistic<work>{"ipis", "interrupts", "interrupts sent to other CPUs", &work::ipis},
    statistic<work>{"tlb_lower_hits", "translations",
                    "translations that missed the first level of a TLB and hit a lower one",
                    &work::tlb_lower_hits},
    statistic<work>{"page_walks", "walks", "translations that no level of a TLB had",
                    &work::page_walks},
    statistic<work>{"walk_pte_references", "references",
                    "entries of 4 KiB pages read by page walks", &work::walk_pte_references},
    statistic<work>{"walk_pde_references", "references",
                    "entries of 2 MiB reach read by page walks", &work::walk_pde_references},
    statistic<work>{"walk_upper_references", "references",
                    "entries of 1 GiB reach and more read by page walks",
                    &work::walk_upper_references},
    statistic<work>{"walk_host_references", "references",
                    "entries of a hypervisor's tables read by page walks",
                    &work::walk_host_references},
    statistic<work>{"lru_pages_scanned", "pages",
                    "pages that reclaim took off an LRU list to judge", &work::lru_pages_scanned},
    statistic<work>{"pages_reclaimed", "pages", "pages that reclaim took back from their owners",
                    &work::pages_reclaimed},
    statistic<work>{"pages_read", "pages", "page cache pages read from their device",
                    &work::pages_read},
    statistic<work>{"pages_written_back", "pages", "page cache pages handed to their device",
                    &work::pages_written_back},
    statistic<work>{"pages_swapped_in", "pages", "pages read from swap", &work::pages_swapped_in},
    statistic<work>{"pages_swapped_out", "pages", "pages handed to the swap device",
                    &work::pages_swapped_out},
    statistic<work>{"objects_shrunk", "objects", "objects that shrinkers looked at",
                    &work::objects_shrunk},
    statistic<work>{"page_faults", "faults",
                    "exceptions by which accesses of processes entered the kernel",
                    &work::page_faults},
};

[[nodiscard]] inline std::vector<statistic_value> values_of(const work& ledger) {
  return values_of(ledger, work_statistics);
}

}  // namespace memsim
