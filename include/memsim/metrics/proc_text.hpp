// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Free lists as Linux prints them, byte for byte, so that parsers of /proc/buddyinfo and
/// /proc/pagetypeinfo work on simulated machines too.

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/free_space.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/error.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

class page_allocator;

/// What these files tell of a zone.
struct zone_lists {
  zone_type zone{};
  free_block_matrix free_blocks{};
  /// Pageblocks that hold memory, by type.
  std::array<std::uint64_t, migratetypes> pageblocks{};

  friend bool operator==(const zone_lists&, const zone_lists&) = default;
};

/// The zones of a machine; needs no look at its frames.
[[nodiscard]] std::vector<zone_lists> lists_of(const page_allocator& memory);

/// /proc/buddyinfo.
[[nodiscard]] std::string buddyinfo_text(std::span<const zone_lists> zones);
[[nodiscard]] std::string buddyinfo_text(const page_allocator& memory);

/// Free blocks of a zone, by order alone.
struct zone_order_counts {
  zone_type zone{};
  order_counts free_blocks{};

  friend bool operator==(const zone_order_counts&, const zone_order_counts&) = default;
};

/// Reads /proc/buddyinfo of a machine of one node.
/// \param name  the file's, for messages
/// \return errc::malformed with file, line and text
[[nodiscard]] std::expected<std::vector<zone_order_counts>, error> parse_buddyinfo(
    std::string_view text, std::string_view name);

/// /proc/pagetypeinfo.
///
/// As Linux does since 5.4, counts lists only up to 100000 blocks and prints `>100000` from there.
///
/// \param cma_row  whether there is a row and a column for CMA, as in a kernel with CONFIG_CMA
[[nodiscard]] std::string pagetypeinfo_text(std::span<const zone_lists> zones, rule cma_row);
/// \param cma_row  unset: if the machine has a CMA area
[[nodiscard]] std::string pagetypeinfo_text(const page_allocator& memory,
                                            std::optional<rule> cma_row = {});

}  // namespace memsim
