// SPDX-License-Identifier: Apache-2.0
#include "metrics/pageblock_summary.hpp"

#include <algorithm>
#include <bit>

#include "metrics/frame_walk.hpp"

namespace memsim::detail {
namespace {

/// Sorts spans into the pageblocks that they cover.
class summary_builder {
 public:
  summary_builder(const page_allocator& memory, std::vector<pageblock_summary>& blocks)
      : memory_{memory}, blocks_{blocks}, first_{blocks.size()} {}

  void add(frame_span span) {
    while (span.count > 0) {
      const auto room = pageblock_frames - (span.first.value() % pageblock_frames);
      const auto part = std::min(room, span.count);
      field(block_at(span.first), span.kind) += static_cast<std::uint16_t>(part);
      span.first += part;
      span.count -= part;
    }
  }

 private:
  pageblock_summary& block_at(pfn frame) {
    const auto index = pageblock_of(frame);
    if (blocks_.size() == first_ || blocks_.back().index != index) {
      blocks_.push_back({.index = index, .type = memory_.pageblock_type(frame)});
    }
    return blocks_.back();
  }

  static std::uint16_t& field(pageblock_summary& block, span_kind kind) {
    switch (kind) {
      case span_kind::free: return block.free;
      case span_kind::per_cpu: return block.per_cpu;
      case span_kind::movable: return block.movable;
      default: return block.unmovable;
    }
  }

  const page_allocator& memory_;
  std::vector<pageblock_summary>& blocks_;
  std::size_t first_;  // of this zone
};

/// The parts of `blocks` that lie in one aligned block of `size`, as one summary.
struct large_block {
  frame_count memory = 0;
  frame_count free = 0;
  frame_count unmovable = 0;
};

bool is_movable_type(migratetype type) {
  return type == migratetype::movable || type == migratetype::cma;
}

}  // namespace

void run_collector::end_run() {
  if (open_ == 0) return;
  runs_.longest = std::max(runs_.longest, open_);
  const auto doublings = static_cast<unsigned>(std::bit_width(open_)) - 1;
  for (unsigned k = 0; k <= std::min(doublings, run_orders - 1); ++k) runs_.frames_in[k] += open_;
  open_ = 0;
}

free_runs summarize(const page_allocator& memory, const zone_extent& zone,
                    std::vector<pageblock_summary>& blocks) {
  summary_builder pageblocks{memory, blocks};
  run_collector runs;
  for_each_span(memory, zone, [&](const frame_span& span) {
    if (span.kind == span_kind::free) {
      runs.add_free(span.count);
    } else {
      runs.end_run();
    }
    if (span.kind != span_kind::hole) pageblocks.add(span);
  });
  runs.end_run();
  return runs.runs();
}

std::array<std::uint64_t, migratetypes> count_by_type(std::span<const pageblock_summary> blocks) {
  std::array<std::uint64_t, migratetypes> counts{};
  for (const auto& block : blocks) ++counts[static_cast<unsigned>(block.type)];
  return counts;
}

frame_totals total_frames(std::span<const pageblock_summary> blocks) {
  frame_totals totals;
  for (const auto& block : blocks) {
    totals.memory += block.memory();
    totals.free += block.free;
    totals.per_cpu += block.per_cpu;
    totals.movable += block.movable;
    totals.unmovable += block.unmovable;
  }
  return totals;
}

mixed_pageblocks count_mixed(std::span<const pageblock_summary> blocks) {
  mixed_pageblocks mixed;
  for (const auto& block : blocks) {
    const bool movable = block.movable > 0;
    const bool unmovable = block.unmovable > 0;
    if (movable && unmovable) ++mixed.both;
    if (is_movable_type(block.type) && unmovable) ++mixed.movable_with_unmovable;
    if (!is_movable_type(block.type) && movable) ++mixed.other_with_movable;
  }
  return mixed;
}

large_blocks count_large(std::span<const pageblock_summary> blocks, order size) {
  const auto shift = size.value() - pageblock_order.value();
  large_blocks counts{.size = size};
  for (auto block = blocks.begin(); block != blocks.end();) {
    const auto number = block->index >> shift;
    large_block whole;
    for (; block != blocks.end() && block->index >> shift == number; ++block) {
      whole.memory += block->memory();
      whole.free += block->free;
      whole.unmovable += block->unmovable;
    }
    const bool complete = whole.memory == size.frames();
    ++counts.with_memory;
    if (whole.unmovable > 0) ++counts.with_unmovable;
    if (complete && whole.free == size.frames()) ++counts.free_now;
    if (complete && whole.unmovable == 0) ++counts.free_if_moved;
  }
  return counts;
}

}  // namespace memsim::detail
