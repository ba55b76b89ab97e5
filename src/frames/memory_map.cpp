// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/memory_map.hpp>

#include <algorithm>

#include <memsim/core/error.hpp>

namespace memsim {

std::string to_text(region_kind kind) {
  static constexpr const char* names[] = {"ram", "reserved", "undescribed"};
  return names[static_cast<unsigned>(kind)];
}

std::string to_text(const memory_region& region) {
  return fmt::format("[{}, {}) {}", region.first, region.end(), region.kind);
}

memory_map::memory_map(std::vector<memory_region> regions) {
  if (regions.empty()) throw_usage("a memory map needs at least one region");
  std::ranges::sort(regions, {}, &memory_region::first);
  for (const auto& region : regions) {
    if (region.count == 0) throw_usage("region {} is empty", region);
    if (region.first >= max_frame_end || region.count > max_frame_end - region.first) {
      throw_usage("region at frame {} with {} frames ends above frame {}", region.first,
                  region.count, max_frame_end);
    }
    if (!regions_.empty()) {
      auto& last = regions_.back();
      if (region.first < last.end()) throw_usage("regions {} and {} overlap", last, region);
      if (region.first == last.end() && region.kind == last.kind) {
        last.count += region.count;
        continue;
      }
    }
    regions_.push_back(region);
  }
}

memory_map memory_map::x86_64(bytes size) {
  constexpr pfn conventional_end{159};
  constexpr pfn high_memory{256};             // 1 MiB
  constexpr pfn device_hole{3u << 18};        // 3 GiB
  constexpr pfn above_device_hole{1u << 20};  // 4 GiB
  if (size < 2_MiB || size.value() % page_bytes != 0) {
    throw_usage("memory of {} is not a multiple of 4 KiB of at least 2 MiB", size);
  }
  const pfn top{size.frames()};
  std::vector<memory_region> regions{
      {pfn{1}, conventional_end - pfn{1}, region_kind::reserved},
      {high_memory, std::min(top, device_hole) - high_memory, region_kind::ram}};
  if (top > device_hole) {
    regions.push_back({above_device_hole, top - device_hole, region_kind::ram});
  }
  return memory_map{std::move(regions)};
}

const memory_region* memory_map::find(pfn frame) const {
  const auto after = std::ranges::upper_bound(regions_, frame, {}, &memory_region::first);
  if (after == regions_.begin()) return nullptr;
  const auto& candidate = *std::prev(after);
  return frame < candidate.end() ? &candidate : nullptr;
}

bool memory_map::has_descriptors(pfn first, pfn last) const {
  auto region = std::ranges::partition_point(
      regions_, [&](const memory_region& r) { return r.end() <= first; });
  for (; region != regions_.end() && region->first < last; ++region) {
    if (region->kind != region_kind::undescribed) return true;
  }
  return false;
}

frame_count memory_map::count(region_kind kind, pfn first, pfn last) const {
  frame_count total = 0;
  for (const auto& region : regions_) {
    const pfn begin = std::max(region.first, first);
    const pfn end = std::min(region.end(), last);
    if (region.kind == kind && begin < end) total += end - begin;
  }
  return total;
}

}  // namespace memsim
