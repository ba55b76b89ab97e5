// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/fragmentation.hpp>

#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/error.hpp>

#include "metrics/pageblock_summary.hpp"
#include "metrics/zone_blocks.hpp"

namespace memsim {
namespace {

fragmentation measure_zone(const zone& z, std::span<const detail::pageblock_summary> pageblocks,
                           const free_runs& runs) {
  fragmentation values{
      .free_blocks = detail::free_blocks_of(z),
      .pageblocks = detail::count_by_type(pageblocks),
      .frames = detail::total_frames(pageblocks),
      .mixed = detail::count_mixed(pageblocks),
      .runs = runs,
  };
  for (std::size_t i = 0; i < values.large.size(); ++i) {
    values.large[i] = detail::count_large(pageblocks, large_block_orders[i]);
  }
  return values;
}

template <class Array>
void add_each(Array& sum, const Array& values) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
}

void add(frame_totals& sum, const frame_totals& values) {
  sum.memory += values.memory;
  sum.free += values.free;
  sum.per_cpu += values.per_cpu;
  sum.movable += values.movable;
  sum.unmovable += values.unmovable;
}

void add(mixed_pageblocks& sum, const mixed_pageblocks& values) {
  sum.both += values.both;
  sum.movable_with_unmovable += values.movable_with_unmovable;
  sum.other_with_movable += values.other_with_movable;
}

void add(free_runs& sum, const free_runs& values) {
  sum.longest = std::max(sum.longest, values.longest);
  add_each(sum.frames_in, values.frames_in);
}

/// Everything that can be added up; the large blocks with memory or an unmovable frame cannot.
void add(fragmentation& sum, const fragmentation& values) {
  for (unsigned o = 0; o < page_orders; ++o) {
    add_each(sum.free_blocks[o], values.free_blocks[o]);
  }
  add_each(sum.pageblocks, values.pageblocks);
  add(sum.frames, values.frames);
  add(sum.mixed, values.mixed);
  add(sum.runs, values.runs);
  for (std::size_t i = 0; i < sum.large.size(); ++i) {
    sum.large[i].free_now += values.large[i].free_now;
    sum.large[i].free_if_moved += values.large[i].free_if_moved;
  }
}

}  // namespace

double share_of(std::uint64_t blocks, order size, frame_count memory) {
  if (memory == 0) return 0;
  return static_cast<double>(blocks) * static_cast<double>(size.frames()) /
         static_cast<double>(memory);
}

double free_runs::share_in(unsigned k) const {
  if (k >= run_orders) {
    throw_usage("no runs of 2^{} frames are counted: allowed are 0 to {}", k, run_orders - 1);
  }
  if (frames_in[0] == 0) return 0;
  return static_cast<double>(frames_in[k]) / static_cast<double>(frames_in[0]);
}

memory_measurement measure(const page_allocator& memory) {
  memory_measurement result;
  result.cma = memory.cma_areas().empty() ? rule::off : rule::on;

  std::vector<detail::pageblock_summary> all;
  all.reserve(memory.frames().pageblocks());
  for (const auto& z : memory.zones()) {
    const auto first = all.size();
    const auto runs = detail::summarize(memory, z.extent, all);
    result.zones.push_back({z.extent.type, measure_zone(z, std::span{all}.subspan(first), runs)});
    add(result.machine, result.zones.back().values);
  }
  for (std::size_t i = 0; i < result.machine.large.size(); ++i) {
    auto& blocks = result.machine.large[i];
    const auto across_zones = detail::count_large(all, large_block_orders[i]);
    blocks.size = across_zones.size;
    blocks.with_memory = across_zones.with_memory;
    blocks.with_unmovable = across_zones.with_unmovable;
  }
  return result;
}

}  // namespace memsim
