// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Migratetypes: how a page can be got out of the way, and so which pageblock it should live in.

#include <array>
#include <string>
#include <string_view>

#include <memsim/core/format.hpp>

namespace memsim {

/// In the kernel's order. The first three can stand in for one another (see fallbacks_of).
enum class migratetype : unsigned char {
  unmovable,    ///< kernel data: stays where it is
  movable,      ///< user pages: can be migrated
  reclaimable,  ///< caches: can be dropped, not moved
  highatomic,   ///< reserved for high-order atomic requests
  cma,          ///< lent to movable pages until a device claims the area
  isolate,      ///< withheld from allocation while a range is being emptied
};

inline constexpr unsigned migratetypes = 6;
inline constexpr std::array all_migratetypes{migratetype::unmovable,   migratetype::movable,
                                             migratetype::reclaimable, migratetype::highatomic,
                                             migratetype::cma,         migratetype::isolate};

/// As in /proc/pagetypeinfo: `Unmovable`, `HighAtomic`.
[[nodiscard]] std::string_view name_of(migratetype);
[[nodiscard]] std::string to_text(migratetype);

/// Whether a type has per-CPU lists of its own, steals and is stolen from, and merges with the
/// others of its kind.
[[nodiscard]] constexpr bool is_mergeable(migratetype type) {
  return type <= migratetype::reclaimable;
}

inline constexpr unsigned mergeable_migratetypes = 3;

/// The types to take blocks from when one's own has run out, best first.
///
/// Source: docs/linux-rules/page-alloc.md, Constants.
[[nodiscard]] constexpr std::array<migratetype, 2> fallbacks_of(migratetype type) {
  using enum migratetype;
  constexpr std::array<std::array<migratetype, 2>, mergeable_migratetypes> table{{
      {reclaimable, movable},    // unmovable
      {reclaimable, unmovable},  // movable
      {unmovable, movable},      // reclaimable
  }};
  return table[static_cast<unsigned>(type)];
}

}  // namespace memsim
