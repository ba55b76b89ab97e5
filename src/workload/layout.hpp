// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Finds places for a zone's pageblocks and free blocks, of which only the numbers are known.
///
/// From the largest blocks to the smallest. What is not (part of) a free block is a slot: a range
/// of some order that must not become one free block of that order, or it would have merged.
/// Placing a free block of order k uses up a slot of order k + 1: one half is the block, the other
/// half is a slot of order k. A slot that is not used splits into two of order k. So the number of
/// slots at every order is settled by the numbers of larger blocks, whichever places were chosen,
/// and taking any place that fits never spoils the rest.

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/core/error.hpp>
#include <memsim/workload/machine_description.hpp>

namespace memsim {
class trace_hints;
}

namespace memsim::detail {

/// Free memory of one migratetype: blocks of each order, or only how many pages there are, in
/// blocks as large as fit.
struct free_demand {
  block_counts blocks{};
  std::optional<std::uint64_t> pages{};
};

struct layout_request {
  zone_type type{};
  pfn start{};
  frame_count spanned = 0;
  std::array<std::uint64_t, migratetypes> pageblocks{};  ///< with memory, of each type
  std::array<free_demand, migratetypes> free{};
  /// Whether a free block must be on the list of its pageblock's type.
  rule lists_follow_pageblocks = rule::on;
};

struct zone_layout {
  /// As zone_state::pageblocks and zone_state::free_lists.
  std::vector<std::optional<migratetype>> pageblocks{};
  std::array<std::array<std::vector<pfn>, migratetypes>, page_orders> free_lists{};
  /// Frames that are not free, by the type of their pageblock.
  std::array<std::vector<std::uint32_t>, migratetypes> in_use{};
  std::optional<cma_area> cma{};
};

/// \return errc::inconsistent if there is no such layout; errc::unsupported if more than 1 TiB is
/// not
///         free, as each frame of that is looked at
[[nodiscard]] std::expected<zone_layout, error> lay_out(const layout_request& request,
                                                        std::uint64_t seed,
                                                        const trace_hints* hints);

}  // namespace memsim::detail
