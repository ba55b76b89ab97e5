// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What fragmentation looks like at one moment: everything that can be said of it by looking at the
/// frames.
///
///     const auto now = measure(memory);
///     fmt::print("{}", table_of(now));
///     fmt::print("{} frames in a row\n", now.machine.runs.longest);
///
/// Every frame of memory is one of four things:
///
/// | frame     | is                                                                              |
/// |-----------|---------------------------------------------------------------------------------|
/// | free      | in a block on a free list                                                       |
/// | per-CPU   | in a block on a per-CPU list: not free, but nobody's; a drain makes it free     |
/// | movable   | in use and flagged by page_allocator::set_movable. A block handed out moves as  |
/// |           | a whole: the flag of its first frame counts for all                             |
/// | unmovable | in use and not flagged: also what was in use before the allocator took up       |
///
/// Reclaimable pages in use (slab caches) are unmovable here: a frame does not say what it was
/// allocated for, and dropping a cache is not moving it.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <memsim/alloc/free_space.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

class page_allocator;

/// Frames by what they are. Memory is the sum of the other four.
struct frame_totals {
  frame_count memory = 0;
  frame_count free = 0;
  frame_count per_cpu = 0;
  frame_count movable = 0;
  frame_count unmovable = 0;

  friend bool operator==(const frame_totals&, const frame_totals&) = default;
};

/// Pageblocks that fail at what they are for: keeping pages of one mobility together.
///
/// What a frame in use was allocated as is known only as far as movable or not, so a reclaimable
/// page in an unmovable pageblock is not seen as mixing.
struct mixed_pageblocks {
  /// Hold movable and unmovable frames in use, whatever their own type.
  std::uint64_t both = 0;
  /// Are of type movable or CMA, and hold an unmovable frame in use.
  std::uint64_t movable_with_unmovable = 0;
  /// Are of another type, and hold a movable frame in use.
  std::uint64_t other_with_movable = 0;

  friend bool operator==(const mixed_pageblocks&, const mixed_pageblocks&) = default;
};

/// The sizes that hardware and kernels care about: a huge page, what arm64 groups by contiguous
/// entries of 2 MiB, and a gigantic page.
inline constexpr std::array large_block_orders{order{9}, order{13}, order{18}};

/// Aligned blocks of one size.
struct large_blocks {
  order size{};
  /// Hold memory at all.
  std::uint64_t with_memory = 0;
  /// Hold an unmovable frame in use: no compaction will ever make them free.
  std::uint64_t with_unmovable = 0;
  /// Are memory throughout and free throughout.
  std::uint64_t free_now = 0;
  /// Are memory throughout and would be free if every movable page were moved out and the per-CPU
  /// lists drained. Taken alone: whether there is room elsewhere for what they hold is not asked.
  std::uint64_t free_if_moved = 0;

  friend bool operator==(const large_blocks&, const large_blocks&) = default;
};

/// Frames in `blocks` blocks as a share of `memory` frames; 0 where there is no memory.
[[nodiscard]] double share_of(std::uint64_t blocks, order size, frame_count memory);

/// 2^0 to 2^18 frames: 4 KiB to 1 GiB.
inline constexpr unsigned run_orders = 19;

/// How long the stretches of free frames are. A run may cross blocks of any order, but ends at the
/// end of its zone: no allocation crosses it.
struct free_runs {
  frame_count longest = 0;
  /// Free frames in runs of at least 2^k frames; [0] is all free frames.
  std::array<frame_count, run_orders> frames_in{};

  /// The contiguity CDF: the part of the free frames that is in runs of at least 2^k; 0 if nothing
  /// is free.
  /// \throws usage_error if `k` is run_orders or more
  [[nodiscard]] double share_in(unsigned k) const;

  friend bool operator==(const free_runs&, const free_runs&) = default;
};

/// A zone, or all zones together.
struct fragmentation {
  free_block_matrix free_blocks{};
  /// Pageblocks that hold memory, by their type.
  std::array<std::uint64_t, migratetypes> pageblocks{};
  frame_totals frames{};
  mixed_pageblocks mixed{};
  std::array<large_blocks, large_block_orders.size()> large{};
  free_runs runs{};

  friend bool operator==(const fragmentation&, const fragmentation&) = default;
};

struct zone_fragmentation {
  zone_type zone{};
  fragmentation values{};

  friend bool operator==(const zone_fragmentation&, const zone_fragmentation&) = default;
};

/// A machine at one moment. A plain value: it does not look at the allocator again.
struct memory_measurement {
  std::vector<zone_fragmentation> zones{};  ///< in ascending address order
  /// The sum of the zones, except that a large block that lies in two zones is one block with
  /// memory here, and with an unmovable frame if either part has one.
  fragmentation machine{};
  /// Whether the machine has an area of contiguous memory (CMA).
  rule cma = rule::off;

  friend bool operator==(const memory_measurement&, const memory_measurement&) = default;
};

/// Looks at every frame; pageblocks that no small block ever touched cost a few instructions.
[[nodiscard]] memory_measurement measure(const page_allocator& memory);

/// Tables for a person: where memory is, what large pages could be had, the free lists with both
/// indices, and how contiguous free memory is.
[[nodiscard]] std::string table_of(const memory_measurement&);

/// The same as JSON, with a schema version and units.
[[nodiscard]] std::string json_of(const memory_measurement&);

}  // namespace memsim
