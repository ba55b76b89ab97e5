// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The page walker: how many references to memory a walk takes, and what its caches save.
///
/// It reads no table. The path of a walk follows from the page number and the size of the page at
/// its end; which entries on the path are cached is all that it must remember.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <memsim/arch/entry_table.hpp>
#include <memsim/arch/tlb_counts.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/types.hpp>

namespace memsim::detail {

class page_walker {
 public:
  /// \param config  validated
  explicit page_walker(const tlb_config& config);

  /// A walk to a page of this size, in a guest its guest's.
  /// \return references to memory
  unsigned walk(std::uint64_t where, page_size size) {
    if (!plain_) return walk_with_caches(where, size);
    const auto leaf = static_cast<unsigned>(size);
    ++walks_[leaf][levels_];
    return levels_ - leaf;
  }

  /// The size of the translation that a walk to a page of this size gives.
  [[nodiscard]] page_size combined(page_size size) const { return std::min(size, largest_); }

  void flush_page(std::uint64_t where);
  /// Entries of one address space; `where` says which.
  void flush_space(std::uint64_t where);
  void flush_all_spaces();
  /// Entries of the nested TLB too.
  void flush_everything();

  /// All but the walks by size, which are the TLB's to count.
  [[nodiscard]] tlb_walk_counts counts() const;
  void add_to(digest& sum) const;

 private:
  /// No place has its low bit set.
  static constexpr std::uint64_t no_place = 1;

  struct cache {
    unsigned level;  ///< of its entries: 1 for PDEs, 2 for PDPTEs, ...
    /// The place of the last entry used or added, which is the most recent of its set: to use it
    /// again changes nothing.
    std::uint64_t last;
    std::uint64_t mask;
    entry_table entries;
  };

  unsigned walk_with_caches(std::uint64_t where, page_size size);
  [[nodiscard]] std::uint64_t entries() const;
  [[nodiscard]] unsigned walk_host();
  [[nodiscard]] unsigned walk_host_for(std::uint64_t where, unsigned known, unsigned leaf);
  [[nodiscard]] unsigned translate_table(std::uint64_t where, unsigned level);

  unsigned levels_;
  bool plain_;         // no caches, no hypervisor
  page_size largest_;  // translation that a TLB may keep
  walk_cache_flush on_page_flush_;
  // From the lowest level up. Level 0 is that of PTEs, which only a TLB keeps.
  std::vector<cache> caches_;
  std::array<unsigned, page_sizes> first_cache_{};  // above the leaf, by its size
  // By the level of the leaf and the lowest level whose entry was at hand; what was read, found and
  // added follows from these.
  std::array<std::array<std::uint64_t, max_table_levels + 1>, page_sizes> walks_{};
  std::uint64_t nested_inserted_ = 0;
  tlb_walk_counts other_{};

  std::optional<nested_paging> nested_;
  std::optional<entry_table> nested_tlb_;
};

}  // namespace memsim::detail
