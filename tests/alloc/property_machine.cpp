// SPDX-License-Identifier: Apache-2.0
#include "alloc/property_machine.hpp"

#include <algorithm>
#include <optional>
#include <ostream>

#include <rapidcheck.h>

#include <fmt/format.h>

#include <memsim/core/random.hpp>

namespace memsim::properties {
namespace {

constexpr std::uint64_t dma_begin = 1;
constexpr std::uint64_t dma_end = 4096;
constexpr std::uint64_t normal_begin = 1u << 20;

// Zones of one pageblock run out within a few calls, zones of 200 MiB and more have a reserve for
// highatomic requests under every rule.
rc::Gen<std::uint32_t> any_length(std::uint32_t most_frames) {
  using namespace rc;
  const auto up_to = [&](std::uint32_t most) {
    return gen::inRange(1u, std::min(most, most_frames) + 1);
  };
  return gen::weightedOneOf<std::uint32_t>(
      {{3, gen::just(0u)},
       {3, up_to(1200)},
       {4, up_to(5000)},
       {4, up_to(32768)},
       {4, up_to(131072)},
       {4, gen::map(up_to(most_frames), [](auto n) { return n / 512 * 512; })}});
}

rc::Gen<stretch> any_stretch(std::uint32_t most_frames) {
  using namespace rc;
  return gen::build<stretch>(
      gen::set(&stretch::frames, any_length(most_frames)),
      gen::set(&stretch::offset,
               gen::weightedOneOf<std::uint32_t>(
                   {{6, gen::just(0u)}, {1, gen::inRange(0u, 1500u)}, {1, gen::just(512u)}})),
      gen::set(&stretch::gap_at, gen::inRange(0u, most_frames)),
      gen::set(&stretch::gap_frames,
               gen::weightedOneOf<std::uint32_t>(
                   {{2, gen::just(0u)}, {1, gen::inRange(0u, 1200u)}, {1, gen::inRange(0u, 20u)}})),
      gen::set(&stretch::gap,
               gen::element(region_kind::ram, region_kind::reserved, region_kind::undescribed)));
}

// A container hands its own size on to its elements: they set theirs back.
rc::Gen<tweak> any_tweak() {
  using namespace rc;
  return gen::resize(
      kNominalSize,
      gen::build<tweak>(
          gen::set(&tweak::what, gen::weightedOneOf<unsigned>({{3, gen::inRange(0u, 20u)},
                                                               {2, gen::just(15u)},
                                                               {1, gen::just(9u)},
                                                               {1, gen::inRange(18u, 20u)}})),
          gen::set(&tweak::zone, gen::inRange(0u, 4u)), gen::set(&tweak::cpu, gen::inRange(0u, 4u)),
          gen::set(&tweak::value, gen::oneOf(gen::inRange(0u, 16u), gen::inRange(0u, 3000u)))));
}

void add_stretch(std::vector<memory_region>& regions, const stretch& s, std::uint64_t begin,
                 std::uint64_t end) {
  begin += s.offset;
  end = std::min(end, begin + s.frames);
  if (begin >= end) return;
  const auto gap_begin = std::min(end, begin + s.gap_at);
  const auto gap_end = std::min(end, gap_begin + s.gap_frames);
  const auto add = [&](std::uint64_t first, std::uint64_t last, region_kind kind) {
    if (first < last) regions.push_back({pfn{first}, last - first, kind});
  };
  add(begin, gap_begin, region_kind::ram);
  if (s.gap != region_kind::ram) add(gap_begin, gap_end, s.gap);
  add(gap_end, end, region_kind::ram);
}

memory_map map_of(const machine& m) {
  if (m.whole_gib != 0) return memory_map::x86_64(bytes{std::uint64_t{m.whole_gib} << 30});
  std::vector<memory_region> regions;
  add_stretch(regions, m.dma, dma_begin, dma_end);
  add_stretch(regions, m.dma32, dma_end, normal_begin);
  add_stretch(regions, m.normal, normal_begin, max_frame_end.value());
  // A machine without RAM would be no test.
  if (std::ranges::none_of(
          regions, [](const auto& r) { return r.kind == region_kind::ram && r.count >= 1024; })) {
    regions.push_back({pfn{1u << 21}, 2048, region_kind::ram});
  }
  return memory_map{std::move(regions)};
}

// Pageblocks that are RAM throughout and in one zone.
std::vector<pfn> cma_places(const memory_map& map, const std::vector<zone_extent>& zones) {
  std::vector<pfn> places;
  for (const auto& zone : zones) {
    auto first = (zone.start.value() + 511) / 512 * 512;
    for (; first + 512 <= zone.end().value(); first += 512) {
      if (map.count(region_kind::ram, pfn{first}, pfn{first + 512}) == 512) {
        places.push_back(pfn{first});
      }
    }
  }
  return places;
}

}  // namespace

rc::Gen<machine> any_machine() {
  using namespace rc;
  const auto rarely = [](std::uint32_t usual, Gen<std::uint32_t> other) {
    return gen::weightedOneOf<std::uint32_t>({{3, gen::just(usual)}, {1, std::move(other)}});
  };
  return gen::resize(
      kNominalSize,
      gen::build<machine>(
          gen::set(&machine::cpus, gen::inRange(1u, 5u)),
          gen::set(&machine::dma, any_stretch(4095)),
          gen::set(&machine::dma32, any_stretch(131072)),
          gen::set(&machine::normal, any_stretch(131072)),
          gen::set(&machine::whole_gib, gen::weightedOneOf<std::uint32_t>(
                                            {{20, gen::just(0u)}, {1, gen::inRange(1u, 9u)}})),
          gen::set(&machine::movable_pageblocks, rarely(0, gen::inRange(1u, 24u))),
          gen::set(&machine::cma,
                   gen::weightedOneOf<std::vector<std::uint32_t>>(
                       {{2, gen::just(std::vector<std::uint32_t>{})},
                        {2, gen::resize(8, gen::container<std::vector<std::uint32_t>>(gen::resize(
                                               kNominalSize, gen::inRange(0u, 64u))))}})),
          gen::set(&machine::filled,
                   gen::weightedOneOf<unsigned>({{1, gen::just(0u)}, {1, gen::inRange(0u, 101u)}})),
          gen::set(&machine::observed, gen::arbitrary<bool>()),
          gen::set(&machine::min_free_kbytes, rarely(0, gen::inRange(1u, 6000u))),
          gen::set(&machine::boost_factor, rarely(15000, gen::element(0u, 7000u, 40000u))),
          gen::set(&machine::high_fraction, rarely(0, gen::element(8u, 30u, 1000u))),
          gen::set(&machine::batch_scale_max, rarely(5, gen::inRange(0u, 7u))),
          gen::set(&machine::tweaks,
                   gen::resize(8, gen::container<std::vector<tweak>>(any_tweak())))));
}

void showValue(const machine& m, std::ostream& out) {
  const auto show_stretch = [&](const char* name, const stretch& s) {
    out << fmt::format(" {} {}+{} frames, gap of {} {} at {};", name, s.offset, s.frames,
                       s.gap_frames, to_text(s.gap), s.gap_at);
  };
  out << fmt::format("{} CPUs, {};", m.cpus, m.observed ? "observed" : "unobserved");
  show_stretch("DMA", m.dma);
  show_stretch("DMA32", m.dma32);
  show_stretch("Normal", m.normal);
  out << fmt::format(
      " {} GiB; movable pageblocks {}; CMA at {}; filled to {} %; min_free {}; boost factor {}; "
      "high "
      "fraction {}; batch scale {}; tweaks",
      m.whole_gib, m.movable_pageblocks, fmt::join(m.cma, " "), m.filled, m.min_free_kbytes,
      m.boost_factor, m.high_fraction, m.batch_scale_max);
  for (const auto& t : m.tweaks) {
    out << fmt::format(" ({} zone {} cpu {} = {})", t.what, t.zone, t.cpu, t.value);
  }
}

page_allocator_config config_of(const machine& m, const kernel_profile& profile) {
  page_allocator_config config{.memory = map_of(m), .profile = profile, .cpus = m.cpus};
  const auto zones = place_zones(config.memory);
  const auto movable = std::uint64_t{m.movable_pageblocks} * 512;
  if (movable + 4096 < zones.back().spanned) config.movable_zone = movable;

  const auto places = cma_places(config.memory, place_zones(config.memory, config.movable_zone));
  for (const auto where : m.cma) {
    if (places.empty()) break;
    const pfn base = places[where % places.size()];
    if (std::ranges::none_of(config.cma_areas, [&](const auto& a) { return a.base == base; })) {
      config.cma_areas.push_back({base, 512});
    }
  }
  std::ranges::sort(config.cma_areas, {}, &cma_area::base);

  if (m.min_free_kbytes != 0) config.settings.min_free_kbytes = m.min_free_kbytes;
  config.settings.watermark_boost_factor = m.boost_factor;
  config.settings.percpu_pagelist_high_fraction = m.high_fraction;
  config.settings.pcp_batch_scale_max = m.batch_scale_max;
  // The model ends where the slow path begins.
  config.settings.slow_path = rule::off;
  return config;
}

namespace {

// Takes a free block of order 10 into use, as far as an earlier kernel's work left it: none of it
// comes back unless it is adopted.
std::optional<pfn> take_free_block(zone_state& z, std::uint32_t which) {
  auto& list = z.free_lists[max_page_order.value()][static_cast<unsigned>(migratetype::movable)];
  if (list.empty()) return std::nullopt;
  const auto at = list.begin() + which % static_cast<std::uint32_t>(list.size());
  const pfn block = *at;
  list.erase(at);
  z.free_pages -= 1024;
  return block;
}

std::size_t pageblock_index(const zone_state& z, pfn frame) {
  return frame.value() / 512 - z.extent.start.value() / 512;
}

// Litter of an earlier kernel in a pageblock pair of any type: a free block here and there between
// frames in use, of which some are movable.
void litter(zone_state& z, std::uint32_t value) {
  const auto block = take_free_block(z, value);
  if (!block) return;
  random_stream random{value, "litter"};
  const auto type = static_cast<migratetype>(random.below(mergeable_migratetypes));
  const double movable = random.unit();
  const double free = random.unit();
  const auto order = static_cast<unsigned>(random.below(9));
  const frame_count size = frame_count{1} << order;
  for (pfn at = *block; at < *block + 1024; at += size) {
    // Of two buddies at most one is free.
    if (at.value() / size % 2 == 0 && random.chance(free)) {
      z.free_lists[order][static_cast<unsigned>(type)].push_back(at);
      z.free_pages += static_cast<std::int64_t>(size);
      continue;
    }
    for (frame_count i = 0; i < size; ++i) {
      if (random.chance(movable)) z.movable_in_use.push_back(at + i);
    }
  }
  std::ranges::sort(z.movable_in_use);
  z.pageblocks[pageblock_index(z, *block)] = type;
  z.pageblocks[pageblock_index(z, *block + 512)] = type;
}

// A block in use whose two pageblocks differ in type.
void use_mixed_block(zone_state& z, std::uint32_t value, std::vector<memory_region>& in_use) {
  const auto block = take_free_block(z, value);
  if (!block) return;
  z.pageblocks[pageblock_index(z, *block + 512)] =
      value % 2 == 0 ? migratetype::unmovable : migratetype::reclaimable;
  in_use.push_back({*block, 1024, region_kind::reserved});
}

void apply(const tweak& t, const machine& m, pcp_rule rule, zone_state& z,
           std::vector<memory_region>& in_use) {
  const bool adaptive = rule == pcp_rule::adaptive_high;
  auto& set = z.cpus[t.cpu % z.cpus.size()];
  const auto factor = std::min(t.value, m.batch_scale_max);
  switch (t.what) {
    case 0: set.high = t.value; break;
    case 1: set.batch = std::clamp(t.value, 1u, 63u); break;
    case 2: set.high_min = set.high_max = t.value; break;
    case 3: set.high_max = set.high_min + t.value; break;
    case 4: set.free_factor = adaptive ? 0 : factor; break;
    case 5: set.alloc_factor = adaptive ? factor : 0; break;
    case 6: set.free_count = adaptive ? t.value : 0; break;
    case 7: set.previous_free_high_order = adaptive; break;
    case 8: set.free_high_batch = false; break;
    case 9: z.counter_threshold = t.value % 126; break;
    case 10: z.reclaim_active = true; break;
    case 11: z.below_high = true; break;
    case 12: z.boosted = true; break;
    case 13: z.boost = std::min(std::uint64_t{t.value}, z.marks.high); break;
    case 14: z.reserve.back() += t.value; break;
    case 15:
      // A low mark that is never reached leaves everything to second attempts.
      z.marks.low = std::max(z.marks.min, z.extent.managed * (t.value % 101) / 100);
      z.marks.high = z.marks.low + z.marks.min / 4;
      break;
    case 16: z.reserve[static_cast<unsigned>(zone_type::normal)] += t.value; break;
    case 17: set.high_min = std::min(t.value, set.high_max); break;
    case 18: litter(z, t.value); break;
    default: use_mixed_block(z, t.value, in_use); break;
  }
}

}  // namespace

beginning begin(const machine& m, const page_allocator_config& config,
                const page_allocator& booted) {
  beginning result{.state = booted.state(), .in_use = {}};
  for (const auto& region : config.memory.regions()) {
    if (region.kind == region_kind::reserved) result.in_use.push_back(region);
  }
  for (const auto& t : m.tweaks) {
    auto& z = result.state.zones[t.zone % result.state.zones.size()];
    apply(t, m, config.profile.pcp, z, result.in_use);
  }
  return result;
}

}  // namespace memsim::properties
