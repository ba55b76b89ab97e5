// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The frames of a machine that are in use and belong to no block that the replay knows of.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>

namespace memsim {
class page_allocator;
}

namespace memsim::detail {

class prior_use {
 public:
  /// All frames of `memory` that are RAM and neither free nor part of an allocated block.
  prior_use(const page_allocator& memory, std::uint64_t seed);

  /// Takes [block, block + 2^size) out, if all of it is in.
  [[nodiscard]] bool take(pfn block, order size);

  /// Takes out some block of the size instead of one at `wanted`: of the same pageblock if it has
  /// one; else of the same zone, from a random place upward; else of another zone, the highest
  /// first. Modelling assumption: this is about as good as the block that is meant.
  [[nodiscard]] std::optional<pfn> take_other(pfn wanted, order size);

 private:
  struct zone_range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::array<bool, page_orders> exhausted{};
  };

  void insert(std::uint64_t frame) { words_[frame / 64] |= std::uint64_t{1} << frame % 64; }
  [[nodiscard]] bool contains(std::uint64_t first, std::uint64_t count) const;
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t first, std::uint64_t last,
                                                  unsigned order) const;
  [[nodiscard]] std::optional<std::uint64_t> find_in_zone(zone_range& zone, unsigned order);

  std::uint64_t end_;
  lazy_array<std::uint64_t> words_;  // a bit a frame
  std::vector<zone_range> zones_;
  random_stream random_;
};

}  // namespace memsim::detail
