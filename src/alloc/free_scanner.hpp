// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Finds free pages for compaction to move pages to: from a few looks at the free lists, or else
/// from the pageblocks at the end of the zone.

#include <array>
#include <deque>

#include "alloc/migration.hpp"

namespace memsim::detail {

/// What the searches of the free lists remember from zone to zone.
struct free_search {
  int order = 0;          ///< where the last search succeeded
  unsigned failures = 0;  ///< in a row, of either scanner
};

/// Entries of a free list that are looked at, fewer with each failure (A5.1).
[[nodiscard]] inline std::uint32_t search_limit(const free_search& search) {
  constexpr unsigned most_failures = 63;
  return static_cast<std::uint32_t>(32ULL >> std::min(search.failures, most_failures)) + 1;
}

/// Free pages on the way to becoming targets (A7.5, B9).
class target_pages {
 public:
  explicit target_pages(target_rule how) : how_{how} {}

  void add(frame_index block, unsigned order);
  /// The pages of the last search are now in their order of use.
  void end_search();
  [[nodiscard]] frame_index take(allocator_core& core);
  void give_back(frame_index page);
  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// Gives the rest back to the allocator.
  /// \return the highest frame of it, 0 if there is none
  std::uint64_t release(allocator_core& core, context& ctx);

 private:
  target_rule how_;
  std::uint64_t size_ = 0;
  std::array<std::deque<frame_index>, page_orders> blocks_{};  // by order; under pages, the first
  std::vector<std::pair<frame_index, unsigned>> found_;        // under pages: by this search
};

class free_scanner {
 public:
  struct settings {
    int order = -1;
    migration_mode mode = migration_mode::sync;
    bool direct = false;
    bool ignores_hints = false;
    bool any_block = false;  ///< pageblocks of every type will do
  };

  free_scanner(allocator_core& core, context& ctx, zone& z, const settings& how,
               free_search& search, target_pages& targets)
      : core_{core}, ctx_{ctx}, z_{z}, how_{how}, search_{search}, targets_{targets} {}

  /// Finds targets, as many as are wanted if it can (A7).
  /// \param migrate   where the migrate scanner is
  /// \param position  where this scanner is; moved on
  void find(std::uint64_t migrate, std::uint64_t& position, std::uint64_t wanted);

 private:
  struct window;
  void search_lists(std::uint64_t migrate, std::uint64_t& position);
  frame_index search_list(unsigned order, window& w);
  int next_order(int order);
  void look_around(std::uint64_t frame);
  void scan_blocks(std::uint64_t migrate, std::uint64_t& position);
  std::uint64_t scan_block(std::uint64_t first, std::uint64_t last, std::uint64_t stride,
                           std::uint64_t& taken);
  [[nodiscard]] bool is_suitable_target(std::uint64_t block) const;
  bool take(frame_index block, unsigned order);
  void retype(frame_index block, unsigned order);
  [[nodiscard]] bool has_enough() const { return targets_.size() >= wanted_; }

  allocator_core& core_;
  context& ctx_;
  zone& z_;
  settings how_;
  free_search& search_;
  target_pages& targets_;
  std::uint64_t wanted_ = 0;
};

}  // namespace memsim::detail
