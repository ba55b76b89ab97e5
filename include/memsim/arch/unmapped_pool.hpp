// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Pages that are absent from the direct map, taken together: three designs of `__GFP_UNMAPPED`.
///
/// Secret memory, private guest memory and code want pages that the kernel itself cannot reach.
/// Taken one by one from all over memory they split large mappings everywhere. Each design groups
/// them:
///
/// | design          | takes                         | pages that wait are     | gives back       |
/// |-----------------|-------------------------------|-------------------------|------------------|
/// | none            | single pages                  | (none wait)             | each page        |
/// | pageblock_type  | the free pages of a pageblock | mapped by 4 KiB entries | nothing          |
/// | unmapped_cache  | 2 MiB, else the largest block | unmapped                | by shrink()      |
/// | allocator_block | whole pageblocks only         | unmapped                | a pageblock free |
///
/// Sources: Mike Rapoport's RFCs of January 2022 (a migratetype) and March 2023 (a cache), and the
/// integration into the page allocator proposed in 2026, of which only the outline is known here.
///
/// Modelling assumption: the pool stands beside the page allocator, and pageblock_type has no
/// migratetype of its own. What is free in a claimed pageblock is taken at once, as in the RFC;
/// what is in use then goes back to the ordinary lists when it is freed, not to the pool.

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

class direct_map;
class page_allocator;

enum class unmapped_design : unsigned char {
  none,             ///< every page by itself, as secretmem in Linux 5.14 to 6.12
  pageblock_type,   ///< RFC of 2022
  unmapped_cache,   ///< RFC of 2023
  allocator_block,  ///< 2026
};

inline constexpr std::array all_unmapped_designs{
    unmapped_design::none, unmapped_design::pageblock_type, unmapped_design::unmapped_cache,
    unmapped_design::allocator_block};

[[nodiscard]] std::string to_text(unmapped_design);

struct unmapped_counts {
  std::uint64_t pages_out = 0;
  std::uint64_t pages_waiting = 0;
  std::uint64_t refills = 0;
  std::uint64_t pages_taken = 0;
  std::uint64_t pages_returned = 0;

  friend bool operator==(const unmapped_counts&, const unmapped_counts&) = default;
};

inline constexpr std::array unmapped_statistics{
    statistic<unmapped_counts>{"unmapped_pages_out", "pages", "absent pages in use now",
                               &unmapped_counts::pages_out},
    statistic<unmapped_counts>{"unmapped_pages_waiting", "pages",
                               "pages that only requests for absent pages can get now",
                               &unmapped_counts::pages_waiting},
    statistic<unmapped_counts>{"unmapped_refills", "events", "times the pool took memory",
                               &unmapped_counts::refills},
    statistic<unmapped_counts>{"unmapped_pages_taken", "pages", "pages that the pool took",
                               &unmapped_counts::pages_taken},
    statistic<unmapped_counts>{"unmapped_pages_returned", "pages", "pages that the pool gave back",
                               &unmapped_counts::pages_returned},
};

/// A source of absent pages.
///
/// Modelling assumption, for all designs: pages that wait are handed out last in, first out.
class unmapped_pool {
 public:
  /// \param memory, map  must outlive the pool
  unmapped_pool(unmapped_design design, page_allocator& memory, direct_map& map);

  /// A fork, for copies of the memory and the map.
  unmapped_pool(const unmapped_pool& other, page_allocator& memory, direct_map& map);
  unmapped_pool(const unmapped_pool&) = delete;
  unmapped_pool& operator=(const unmapped_pool&) = delete;
  unmapped_pool(unmapped_pool&&) noexcept = default;
  unmapped_pool& operator=(unmapped_pool&&) = delete;
  ~unmapped_pool() = default;

  /// Takes a page that no kernel mapping reaches; TLBs have been flushed of it.
  /// \return errc::no_memory if there is none, or no frame for a page table
  [[nodiscard]] std::expected<pfn, error> alloc(context& ctx);

  /// Gives back a page that alloc() returned.
  /// \return errc::no_memory if mapping it again takes a page table that cannot be had, which only
  ///         happens where a merge policy merged absent pages; then it is still in use
  /// \throws usage_error if it is not in use
  [[nodiscard]] std::expected<void, error> free(context& ctx, pfn page);

  /// Gives memory back that waits, in blocks as they were taken, until so many pages are returned
  /// or no block waits as a whole. Only unmapped_cache has memory to give; a shrinker calls this.
  /// \return pages returned
  frame_count shrink(context& ctx, frame_count wanted);

  [[nodiscard]] unmapped_design design() const { return design_; }
  [[nodiscard]] const unmapped_counts& counts() const { return counts_; }
  [[nodiscard]] digest state_digest() const;

 private:
  // A block that the pool took from the page allocator.
  struct block {
    order size{};
    std::vector<bool> out{};  // a page each: whether it is in use
    frame_count in_use = 0;
  };
  using blocks = std::map<pfn, block>;

  [[nodiscard]] std::expected<void, error> refill(context& ctx);
  [[nodiscard]] std::expected<void, error> prepare(context& ctx, pfn first, order size);
  void keep(pfn first, order size);
  [[nodiscard]] std::expected<void, error> give_back(context& ctx, blocks::iterator at);
  [[nodiscard]] blocks::iterator block_of(pfn page);
  [[nodiscard]] std::expected<void, error> unmap(context& ctx, pfn first, frame_count count);

  unmapped_design design_;
  page_allocator* memory_;
  direct_map* map_;
  blocks blocks_;
  std::vector<pfn> waiting_;  // the last goes first
  unmapped_counts counts_;
};

}  // namespace memsim
