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

// Each stretch in the largest pages that fit where it begins.
void add_by_size(std::vector<mapped_run>& runs, pfn first, pfn last, page_size largest) {
  while (first < last) {
    auto size = largest;
    auto larger = largest;
    while (size != page_size::k4 &&
           (first.value() % frames_of(size) != 0 || last - first < frames_of(size))) {
      larger = size;
      size = static_cast<page_size>(static_cast<unsigned>(size) - 1);
    }
    pfn end = first + (last - first) / frames_of(size) * frames_of(size);
    // From the next boundary on larger ones may fit.
    if (size != largest) end = std::min(end, rounded_up(first + 1, frames_of(larger)));
    add(runs, first, end, size);
    first = end;
  }
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
