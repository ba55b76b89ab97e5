// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/zones.hpp>

#include <algorithm>
#include <limits>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {
namespace {

constexpr pfn dma_end{4096};          // 16 MiB
constexpr pfn dma32_end{1ULL << 20};  // 4 GiB
constexpr pfn no_end{std::numeric_limits<std::uint64_t>::max()};

// The part of the map's described regions within [first, last), as a zone.
zone_extent extent_of(const memory_map& map, zone_type type, pfn first, pfn last) {
  zone_extent zone{.type = type};
  for (const auto& region : map.regions()) {
    if (region.kind == region_kind::undescribed) continue;
    const pfn begin = std::max(region.first, first);
    const pfn end = std::min(region.end(), last);
    if (begin >= end) continue;
    if (zone.spanned == 0) zone.start = begin;
    zone.spanned = end - zone.start;
    zone.present += end - begin;
    if (region.kind == region_kind::ram) zone.managed += end - begin;
  }
  return zone;
}

}  // namespace

std::string_view name_of(zone_type type) {
  static constexpr std::array<std::string_view, zone_types> names{"DMA", "DMA32", "Normal",
                                                                  "Movable"};
  return names[static_cast<unsigned>(type)];
}

std::string to_text(zone_type type) { return std::string{name_of(type)}; }

std::string to_text(const zone_extent& zone) {
  return fmt::format("{} [{}, {}) present {} managed {}", zone.type, zone.start, zone.end(),
                     zone.present, zone.managed);
}

std::vector<zone_extent> place_zones(const memory_map& map, frame_count movable) {
  std::vector<zone_extent> zones;
  const auto add = [&](zone_type type, pfn first, pfn last) {
    if (const auto zone = extent_of(map, type, first, last); zone.present != 0) {
      zones.push_back(zone);
    }
  };
  add(zone_type::dma, pfn{0}, dma_end);
  add(zone_type::dma32, dma_end, dma32_end);
  add(zone_type::normal, dma32_end, no_end);
  if (movable == 0) return zones;
  if (zones.empty()) throw_usage("a movable zone needs memory with descriptors");

  const auto donor = zones.back();
  const frame_count block = max_page_order.frames();
  const frame_count wanted = (movable + block - 1) / block * block;
  if (movable > donor.spanned || wanted + block > donor.spanned) {
    throw_usage("movable zone of {} frames leaves nothing of zone {}", movable, donor);
  }
  const pfn split{(donor.end().value() - movable + block - 1) / block * block};
  zones.pop_back();
  add(donor.type, donor.start, split);
  add(zone_type::movable, split, donor.end());
  return zones;
}

}  // namespace memsim
