// SPDX-License-Identifier: Apache-2.0
// A machine's memory as it boots.
#include <algorithm>
#include <bit>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/state.hpp"

namespace memsim::detail {
namespace {

constexpr unsigned most_cpus = 4096;

// The largest aligned block at `first` that ends by `last`.
unsigned largest_order_at(frame_index first, frame_index last) {
  const auto alignment =
      first == 0 ? max_page_order.value() : static_cast<unsigned>(std::countr_zero(first));
  const auto fits = static_cast<unsigned>(std::bit_width(last - first)) - 1;
  return std::min({alignment, fits, max_page_order.value()});
}

// The zone in which an area lies, after checking that it does in one.
void check_cma_area(const std::vector<zone_extent>& zones, const memory_map& memory,
                    const cma_area& area) {
  if (area.count == 0 || area.base.value() % pageblock_frames != 0 ||
      area.count % pageblock_frames != 0) {
    throw_usage("cma_areas: {} is not made of whole pageblocks of {} frames", area,
                pageblock_frames);
  }
  if (area.per_bit > max_page_order || area.count % area.per_bit.frames() != 0) {
    throw_usage("cma_areas: a bit of {} stands for {} frames: allowed are powers of two up to {}",
                area, area.per_bit.frames(), max_page_order.frames());
  }
  const bool within_a_zone = std::ranges::any_of(zones, [&](const zone_extent& z) {
    return z.start <= area.base && area.base < z.end() && area.count <= z.end() - area.base;
  });
  if (!within_a_zone) throw_usage("cma_areas: {} does not lie within one zone", area);
  if (memory.count(region_kind::ram, area.base, area.end()) != area.count) {
    throw_usage("cma_areas: {} is not all RAM", area);
  }
}

std::vector<cma_area> checked_areas(const std::vector<zone_extent>& zones,
                                    const page_allocator_config& config) {
  auto areas = config.cma_areas;
  std::ranges::sort(areas, {}, &cma_area::base);
  for (std::size_t i = 0; i < areas.size(); ++i) {
    check_cma_area(zones, config.memory, areas[i]);
    if (i > 0 && areas[i].base < areas[i - 1].end()) {
      throw_usage("cma_areas: {} and {} overlap", areas[i - 1], areas[i]);
    }
  }
  return areas;
}

// As memblock gives memory over: maximal aligned blocks in ascending order, each to the tail, so
// that the lowest addresses are handed out first.
void free_range(allocator_core& core, actor& a, frame_index first, frame_index last,
                migratetype type) {
  a.z.lists[list_number(max_page_order.value(), type)].reserve_more((last - first) >>
                                                                    max_page_order.value());
  while (first < last) {
    const unsigned order = largest_order_at(first, last);
    if (order < pageblock_order.value()) {
      core.frames_.touch(first / static_cast<frame_index>(pageblock_frames));
    }
    core.insert(a, first, order, type, list_end::tail);
    a.z.free_pages += std::int64_t{1} << order;
    if (type == migratetype::cma) a.z.free_cma += std::int64_t{1} << order;
    first += 1u << order;
  }
}

// Calls f(first, last) for the parts of [first, last) outside every area.
template <class F>
void outside_areas(const std::vector<cma_area>& areas, pfn first, pfn last, F f) {
  for (const auto& area : areas) {
    if (area.end() <= first || area.base >= last) continue;
    if (first < area.base) f(first, area.base);
    first = std::min(area.end(), last);
  }
  if (first < last) f(first, last);
}

frame_index index_of(pfn frame) { return static_cast<frame_index>(frame.value()); }

}  // namespace

std::unique_ptr<allocator_core> boot(const page_allocator_config& config) {
  if (config.cpus < 1 || config.cpus > most_cpus) {
    throw_usage("cpus {}: allowed are 1 to {}", config.cpus, most_cpus);
  }
  const auto extents = place_zones(config.memory, config.movable_zone);
  if (extents.empty()) throw_usage("memory: no region has frame descriptors");
  const auto areas = checked_areas(extents, config);

  std::vector<zone_state> states;
  for (const auto& extent : extents) states.push_back({.extent = extent});
  tune(states, config.cpus, config.settings, config.profile);
  auto core = std::make_unique<allocator_core>(config.memory, config.profile, config.settings,
                                               config.cpus, zones_of(states, config.profile));
  core->set_cma_areas(areas);

  context boot_cpu;
  for (auto& z : core->zones_) {
    auto a = allocator_core::act(boot_cpu, z);
    for (const auto& region : config.memory.regions()) {
      const pfn first = std::max(region.first, z.extent.start);
      const pfn last = std::min(region.end(), z.extent.end());
      if (region.kind != region_kind::ram || first >= last) continue;
      outside_areas(areas, first, last, [&](pfn from, pfn to) {
        free_range(*core, a, index_of(from), index_of(to), migratetype::movable);
      });
    }
    // Modelling assumption: CMA pageblocks come after all others, in ascending order.
    for (auto area = areas.begin(); area != areas.end(); ++area) {
      if (area->base < z.extent.start || area->base >= z.extent.end()) continue;
      const pfn base = area->base;
      // Neighbours are freed as one: their blocks merge.
      while (std::next(area) != areas.end() && std::next(area)->base == area->end()) ++area;
      const pfn end = std::min(area->end(), z.extent.end());
      for (pfn block = base; block < end; block += pageblock_frames) {
        core->set_block_type(index_of(block), migratetype::cma);
      }
      free_range(*core, a, index_of(base), index_of(end), migratetype::cma);
    }
  }
  return core;
}

}  // namespace memsim::detail
