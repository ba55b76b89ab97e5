// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The LRU lists as the allocator keeps them.

#include <array>
#include <optional>
#include <vector>

#include <memsim/frames/frame_list.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim::detail {

enum class lru_kind : unsigned char {
  inactive_anonymous,
  active_anonymous,
  inactive_file,
  active_file,
  unevictable,
};

inline constexpr unsigned lru_kinds = 5;

/// The list that a page belongs on.
[[nodiscard]] lru_kind lru_of(page_flags flags);

/// Lists of one node, and for each CPU the pages that wait to join them.
struct lru_state {
  explicit lru_state(unsigned cpus) : batches(cpus) {}
  lru_state(const lru_state& other);
  lru_state& operator=(const lru_state& other);
  lru_state(lru_state&&) noexcept = default;
  lru_state& operator=(lru_state&&) noexcept = default;
  ~lru_state() = default;

  /// The links, made when first asked for.
  [[nodiscard]] frame_links& links(const frame_table& frames);
  /// The frame after one that is on a list.
  [[nodiscard]] frame_links::node next(frame_links::node frame) const {
    return (*links_)[frame].next;
  }

  std::array<frame_list, lru_kinds> lists{};
  /// Pages of each zone on each list, by the zone's type: blocks count with all of theirs.
  std::array<std::array<std::uint64_t, lru_kinds>, zone_types> pages{};
  std::vector<std::vector<frame_links::node>> batches;
  unsigned bypass = 0;  ///< while not 0, pages join the lists at once

 private:
  std::optional<frame_links> links_;
  std::size_t frames_ = 0;
};

}  // namespace memsim::detail
