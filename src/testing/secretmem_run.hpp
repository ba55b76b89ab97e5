// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The direct map under programs with secret memory, as far as a recording tells what they did.
///
/// A page's frame leaves the direct map when the page comes. Where the recording names the frame,
/// what that splits is simulated. Where it does not, all that is known is how many entries may have
/// been split; which they were shows later, if at all.

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include <boost/icl/interval_set.hpp>

#include "testing/direct_map_run.hpp"
#include "testing/golden_score.hpp"

namespace memsim::testing {

/// Pages of the programs' files; secretmem_replay.cpp numbers them.
using page_numbers = boost::icl::interval_set<std::uint64_t>;
using page_range = page_numbers::interval_type;

struct secretmem_step {
  std::string_view operation;
  page_range pages{};                   ///< that a touch, fill or writefrom is about
  std::optional<pfn> frame{};           ///< that a touched page has now
  std::optional<std::uint64_t> done{};  ///< pages that a fill reached, if it says so
  recorded_mappings counters{};         ///< after the step
};

/// Entries of the direct map that were split.
struct split_counts {
  std::uint64_t m2 = 0;
  std::uint64_t g1 = 0;

  friend bool operator==(const split_counts&, const split_counts&) = default;
};

class secretmem_run {
 public:
  /// \throws usage_error if the layout is impossible
  secretmem_run(std::span<const mapped_run> layout, bytes memory, const recorded_mappings& start)
      : run_{layout, memory, start} {}

  /// Does the step. Its counters are compared; or adopted, if what is known leaves them open and
  /// they are possible.
  /// \throws usage_error if a frame is not mapped
  [[nodiscard]] std::expected<void, error> follow(const secretmem_step& step, std::uint64_t line,
                                                  golden_score& score);
  [[nodiscard]] digest state_digest() const;

 private:
  /// What can be said of the splits of a step beforehand.
  struct split_bounds {
    split_counts least{};
    split_counts most{};

    [[nodiscard]] bool are_exact() const { return least == most; }
    [[nodiscard]] bool allow(const split_counts& splits) const;
  };

  [[nodiscard]] split_bounds bounds_of(const secretmem_step& step, const recorded_mappings& before,
                                       const split_counts& here) const;
  [[nodiscard]] split_bounds bounds_of_touch(const page_range& page,
                                             const split_counts& here) const;
  [[nodiscard]] split_bounds bounds_of_unnamed(const secretmem_step& step,
                                               const recorded_mappings& before) const;
  void note_pages(const secretmem_step& step);
  void settle(const recorded_mappings& after, const split_counts& splits, const split_counts& here);

  direct_map_run run_;
  page_numbers present_;   // pages that have a frame; there may be others
  split_counts unplaced_;  // splits that the kernel did and the map has not: nobody knows where
};

}  // namespace memsim::testing
