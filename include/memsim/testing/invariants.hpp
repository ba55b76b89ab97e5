// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What must hold of a page allocator between any two calls, and a function that looks.
///
/// - No frame is in two places: every frame is in at most one block, which is free, on a per-CPU
///   list or handed out, aligned, and within one zone.
/// - The free lists hold exactly the blocks that are marked free, each on the list that its mark
///   names, at the place that the frame table notes.
/// - The counters, with what every CPU has pending, are the sums of the lists.
/// - No two free buddies lie side by side that freeing would have merged.
/// - Free blocks are on the list of their pageblock's type, where the profile says so.
/// - The boost, the highatomic reserve and the pending differences are within their limits.
/// - What is derived, to be quick, is what it is derived from.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/tuning.hpp>
#include <memsim/alloc/zone.hpp>
#include <memsim/frames/frame_table.hpp>

namespace memsim {
class page_allocator;
}  // namespace memsim

namespace memsim::testing {

/// What is wrong, a sentence each that names the zone, the frame, and what was expected. Empty: all
/// is well. Beyond max_violations the rest is only counted.
///
///     CHECK(check_invariants(memory).empty());
///
/// Looks at every frame that was ever used: some 0.1 ms for 512 MiB.
[[nodiscard]] std::vector<std::string> check_invariants(const page_allocator&);

inline constexpr std::size_t max_violations = 32;

namespace detail {

/// The parts of an allocator that are looked at.
struct memory_view {
  std::span<const zone> zones;
  const frame_table& frames;
  std::function<migratetype(pfn)> pageblock_type;  ///< of the pageblock that holds a frame
  const kernel_profile& profile;
  const tuning& settings;
};

[[nodiscard]] std::vector<std::string> check_invariants(const memory_view&);

}  // namespace detail
}  // namespace memsim::testing
