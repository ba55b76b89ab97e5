// SPDX-License-Identifier: Apache-2.0
// The direct map that a kernel boots with (D1).
#include <algorithm>

#include <memsim/arch/direct_map.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {
namespace {

constexpr pfn low_memory_end{256};  // 1 MiB

// Adds [first, last) in pages of one size.
void add(std::vector<mapped_run>& runs, pfn first, pfn last, page_size size) {
  if (first >= last) return;
  if (!runs.empty() && runs.back().end() == first && runs.back().how.size == size) {
    runs.back().count += last - first;
  } else {
    runs.push_back({first, last - first, {size, default_mapping}});
  }
}

pfn rounded_up(pfn frame, frame_count to) { return pfn{(frame.value() + to - 1) / to * to}; }
pfn rounded_down(pfn frame, frame_count to) { return pfn{frame.value() / to * to}; }

// Pages of the size in the middle of [first, last), smaller ones at both ends.
void add_by_size(std::vector<mapped_run>& runs, pfn first, pfn last, page_size size) {
  if (size == page_size::k4) return add(runs, first, last, size);
  const auto smaller = static_cast<page_size>(static_cast<unsigned>(size) - 1);
  const pfn begin = rounded_up(first, frames_of(size));
  const pfn end = rounded_down(last, frames_of(size));
  if (begin >= end) return add_by_size(runs, first, last, smaller);
  add_by_size(runs, first, begin, smaller);
  add(runs, begin, end, size);
  add_by_size(runs, end, last, smaller);
}

}  // namespace

std::vector<mapped_run> boot_layout(const memory_map& memory, page_size largest) {
  std::vector<mapped_run> runs;
  add(runs, pfn{0}, std::min(low_memory_end, memory.end()), page_size::k4);
  for (const auto& region : memory.regions()) {
    if (region.kind != region_kind::ram) continue;
    add_by_size(runs, std::max(region.first, low_memory_end), region.end(), largest);
  }
  return runs;
}

}  // namespace memsim
