// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a pageblock holds, in five numbers. Every measurement but the runs is a sum over these.

#include <cstdint>
#include <span>
#include <vector>

#include <memsim/metrics/fragmentation.hpp>

namespace memsim::detail {

struct pageblock_summary {
  std::uint32_t index = 0;  ///< first frame / pageblock_frames
  migratetype type{};
  // Frames; what is missing to pageblock_frames is a hole, or another zone's.
  std::uint16_t free = 0;
  std::uint16_t per_cpu = 0;
  std::uint16_t movable = 0;
  std::uint16_t unmovable = 0;

  [[nodiscard]] unsigned memory() const {
    return static_cast<unsigned>(free) + per_cpu + movable + unmovable;
  }
  [[nodiscard]] unsigned in_use() const { return static_cast<unsigned>(movable) + unmovable; }
};

/// Collects the lengths of runs of free frames that are added in ascending order.
class run_collector {
 public:
  void add_free(frame_count frames) { open_ += frames; }
  void end_run();
  [[nodiscard]] const free_runs& runs() const { return runs_; }

 private:
  frame_count open_ = 0;
  free_runs runs_{};
};

/// Adds summaries of a zone's pageblocks that hold memory, in ascending order.
/// \return its runs of free frames
free_runs summarize(const page_allocator& memory, const zone_extent& zone,
                    std::vector<pageblock_summary>& blocks);

[[nodiscard]] std::array<std::uint64_t, migratetypes> count_by_type(
    std::span<const pageblock_summary> blocks);
[[nodiscard]] frame_totals total_frames(std::span<const pageblock_summary> blocks);
[[nodiscard]] mixed_pageblocks count_mixed(std::span<const pageblock_summary> blocks);
/// Aligned blocks of `size`, at least pageblock_order.
[[nodiscard]] large_blocks count_large(std::span<const pageblock_summary> blocks, order size);

}  // namespace memsim::detail
