// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/metrics/time_series.hpp>

namespace memsim {
namespace {

double mebibytes(frame_count frames) {
  return static_cast<double>(frames) * page_bytes / (1024.0 * 1024.0);
}

double pageblocks(const fragmentation& v, migratetype type) {
  return static_cast<double>(v.pageblocks[static_cast<unsigned>(type)]);
}

template <unsigned Order>
double unusable(const fragmentation& v, const allocator_counts&) {
  return unusable_fraction(total_by_order(v.free_blocks), order{Order});
}

template <std::size_t Size>
double with_unmovable(const fragmentation& v, const allocator_counts&) {
  return static_cast<double>(v.large[Size].with_unmovable);
}

template <std::size_t Size>
double free_now(const fragmentation& v, const allocator_counts&) {
  return share_of(v.large[Size].free_now, v.large[Size].size, v.frames.memory);
}

template <std::size_t Size>
double free_if_moved(const fragmentation& v, const allocator_counts&) {
  return share_of(v.large[Size].free_if_moved, v.large[Size].size, v.frames.memory);
}

using counts_of = allocator_counts;

constexpr std::array metrics{
    metric{"free", "MiB", "memory on free lists",
           [](const fragmentation& v, const counts_of&) { return mebibytes(v.frames.free); }},
    metric{"per_cpu", "MiB", "memory on per-CPU lists",
           [](const fragmentation& v, const counts_of&) { return mebibytes(v.frames.per_cpu); }},
    metric{"movable", "MiB", "memory in use that can be moved",
           [](const fragmentation& v, const counts_of&) { return mebibytes(v.frames.movable); }},
    metric{"unmovable", "MiB", "memory in use that cannot be moved",
           [](const fragmentation& v, const counts_of&) { return mebibytes(v.frames.unmovable); }},
    metric{"unusable_order_3", "1", "part of free memory in blocks below 32 KiB", unusable<3>},
    metric{"unusable_order_6", "1", "part of free memory in blocks below 256 KiB", unusable<6>},
    metric{"unusable_order_9", "1", "part of free memory in blocks below 2 MiB", unusable<9>},
    metric{"unusable_order_10", "1", "part of free memory in blocks below 4 MiB", unusable<10>},
    metric{"fragmentation_order_9", "1",
           "fragmentation index for 2 MiB; -1: a request would not fail",
           [](const fragmentation& v, const counts_of&) {
             return *fragmentation_fraction(total_by_order(v.free_blocks), order{9});
           }},
    metric{"allocatable_2MiB", "1", "part of memory free in aligned 2 MiB", free_now<0>},
    metric{"allocatable_2MiB_if_moved", "1",
           "part of memory free in aligned 2 MiB if every movable page were moved",
           free_if_moved<0>},
    metric{"allocatable_1GiB", "1", "part of memory free in aligned 1 GiB", free_now<2>},
    metric{"allocatable_1GiB_if_moved", "1",
           "part of memory free in aligned 1 GiB if every movable page were moved",
           free_if_moved<2>},
    metric{"unmovable_2MiB_blocks", "blocks", "2 MiB blocks that hold an unmovable page",
           with_unmovable<0>},
    metric{"unmovable_32MiB_blocks", "blocks", "32 MiB blocks that hold an unmovable page",
           with_unmovable<1>},
    metric{"unmovable_1GiB_blocks", "blocks", "1 GiB blocks that hold an unmovable page",
           with_unmovable<2>},
    metric{
        "mixed_pageblocks", "blocks", "pageblocks with movable and unmovable pages",
        [](const fragmentation& v, const counts_of&) { return static_cast<double>(v.mixed.both); }},
    metric{"unmovable_pageblocks", "blocks", "pageblocks of type unmovable",
           [](const fragmentation& v, const counts_of&) {
             return pageblocks(v, migratetype::unmovable);
           }},
    metric{"movable_pageblocks", "blocks", "pageblocks of type movable",
           [](const fragmentation& v, const counts_of&) {
             return pageblocks(v, migratetype::movable);
           }},
    metric{"reclaimable_pageblocks", "blocks", "pageblocks of type reclaimable",
           [](const fragmentation& v, const counts_of&) {
             return pageblocks(v, migratetype::reclaimable);
           }},
    metric{"longest_free_run", "MiB", "longest stretch of free memory",
           [](const fragmentation& v, const counts_of&) { return mebibytes(v.runs.longest); }},
    metric{
        "fallbacks", "events", "requests so far that took memory of another migratetype",
        [](const fragmentation&, const counts_of& c) { return static_cast<double>(c.fallbacks); }},
};

}  // namespace

std::span<const metric> default_metrics() { return metrics; }

std::vector<series_column> columns_of(std::span<const metric> list) {
  std::vector<series_column> columns;
  for (const auto& m : list) {
    columns.push_back({std::string{m.name}, std::string{m.unit}, std::string{m.description}});
  }
  return columns;
}

std::vector<double> values_of(std::span<const metric> list, const page_allocator& memory) {
  const auto now = measure(memory);
  std::vector<double> values;
  values.reserve(list.size());
  for (const auto& m : list) values.push_back(m.value(now.machine, memory.counts()));
  return values;
}

}  // namespace memsim
