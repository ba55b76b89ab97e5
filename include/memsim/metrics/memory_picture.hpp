// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Memory as a picture: a cell for each pageblock, that says what it is for and how full it is.

#include <cstdint>
#include <span>
#include <vector>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

class page_allocator;

/// A pageblock, or several drawn as one.
struct picture_cell {
  migratetype type{};
  bool memory = false;       ///< false: a hole
  std::uint16_t in_use = 0;  ///< of pageblock_frames; holes within the pageblock count as free

  friend bool operator==(const picture_cell&, const picture_cell&) = default;
};

/// The pageblocks of a machine from frame 0 up to its end.
struct memory_picture {
  std::uint64_t pageblocks_per_cell = 1;
  std::vector<picture_cell> cells{};

  friend bool operator==(const memory_picture&, const memory_picture&) = default;
};

/// Per-CPU pages are drawn as free.
[[nodiscard]] memory_picture take_picture(const page_allocator& memory);

/// The same picture in at most `cells` cells, each of a power of two pageblocks: the type is the
/// one that most of them have, and of two equally frequent the first; the fill is their average.
/// \throws usage_error if `cells` is 0
[[nodiscard]] memory_picture reduced(const memory_picture& picture, std::size_t cells);

}  // namespace memsim
