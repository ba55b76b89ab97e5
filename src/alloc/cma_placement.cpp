// SPDX-License-Identifier: Apache-2.0
// Where a CMA area comes to lie that is asked for at boot.
#include <algorithm>
#include <optional>

#include <memsim/alloc/cma.hpp>
#include <memsim/frames/memory_map.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {
namespace {

constexpr pfn four_gib{(4ULL << 30) / page_bytes};

// The lowest or the highest aligned place for `count` frames within [first, last).
std::optional<pfn> place_within(pfn first, pfn last, frame_count count, frame_count align,
                                bool from_below) {
  const std::uint64_t lowest = (first.value() + align - 1) / align * align;
  if (last.value() < count || lowest > last.value() - count) return std::nullopt;
  if (from_below) return pfn{lowest};
  return pfn{(last.value() - count) / align * align};
}

}  // namespace

std::expected<cma_area, error> place_cma_area(const memory_map& memory, const cma_request& request,
                                              std::span<const cma_area> taken) {
  const frame_count count = request.size.frames();
  if (count == 0 || request.size.value() % page_bytes != 0 || count % pageblock_frames != 0) {
    throw_usage("a CMA area of {} bytes: the size must be a multiple of {}", request.size,
                pageblock_frames * page_bytes);
  }
  constexpr order largest_alignment{30};
  if (request.alignment < pageblock_order || request.alignment > largest_alignment) {
    throw_usage("a CMA area aligned to order {}: allowed are {} to {}", request.alignment,
                pageblock_order, largest_alignment);
  }
  if (request.per_bit > max_page_order) {
    throw_usage("a CMA area with 2^{} frames a bit: allowed are 2^0 to 2^{}", request.per_bit,
                max_page_order);
  }
  if (count % request.per_bit.frames() != 0) {
    throw_usage("a CMA area of {} frames with {} a bit: the size must be a multiple of that", count,
                request.per_bit.frames());
  }
  const pfn end = request.limit == pfn{0} ? memory.end() : std::min(request.limit, memory.end());
  const frame_count align = request.alignment.frames();
  // The free parts of RAM: within a region, a zone, and between areas.
  std::optional<pfn> below;
  for (const auto& zone : place_zones(memory)) {
    for (const auto& region : memory.regions()) {
      if (region.kind != region_kind::ram) continue;
      const pfn last = std::min({region.end(), zone.end(), end});
      for (pfn first = std::max(region.first, zone.start); first < last;) {
        pfn part_end = last;
        pfn next = last;
        for (const auto& area : taken) {
          if (area.end() <= first || area.base >= part_end) continue;
          part_end = std::max(area.base, first);
          next = area.end();
        }
        const bool high = first >= four_gib;
        if (const auto base = place_within(first, part_end, count, align, high)) {
          if (high) return cma_area{*base, count, request.per_bit};
          below = base;
        }
        first = std::max(next, first + 1);
      }
    }
  }
  if (below) return cma_area{*below, count, request.per_bit};
  return fail(errc::no_memory, "no {} frames of RAM aligned to {} below frame {} for a CMA area",
              count, align, end);
}

}  // namespace memsim
