// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/tuning.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <memsim/core/error.hpp>

namespace memsim {
namespace {

constexpr std::uint64_t kib_per_page = page_bytes / 1024;

// Memory that ordinary kernel allocations can use.
std::uint64_t lowmem_pages(std::span<const zone_extent> zones) {
  std::uint64_t pages = 0;
  for (const auto& z : zones) {
    if (z.type != zone_type::movable) pages += z.managed;
  }
  return pages;
}

std::uint64_t integer_square_root(std::uint64_t n) {
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));
  while (root * root > n) --root;
  while ((root + 1) * (root + 1) <= n) ++root;
  return root;
}

// The largest power of two that is not above b + b/2, less one.
std::uint32_t batch_of(frame_count managed) {
  const auto b = std::max<std::uint64_t>(std::min<std::uint64_t>(managed / 1024, 256) / 4, 1);
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(std::bit_floor(b + b / 2) - 1, 1));
}

// Beyond which a CPU's pending changes are added to the zone's counters.
std::uint32_t threshold_of(frame_count managed, unsigned cpus) {
  const auto fls = [](std::uint64_t n) { return static_cast<std::uint32_t>(std::bit_width(n)); };
  constexpr frame_count frames_per_128_mib = 32768;
  return std::min(125u, 2 * fls(cpus) * (1 + fls(managed / frames_per_128_mib)));
}

// `sharing`: pages of all zones that share the minimum.
void set_marks(zone_state& z, std::uint64_t min_free_pages, std::uint64_t sharing,
               const tuning& settings, const kernel_profile& profile) {
  const std::uint64_t managed = z.extent.managed;
  const std::uint64_t share = sharing == 0 ? 0 : min_free_pages * managed / sharing;
  const std::uint64_t gap = std::max(share / 4, managed * settings.watermark_scale_factor / 10000);
  const bool small_minimum =
      z.extent.type == zone_type::movable && profile.movable_zone_shares_minimum == rule::off;
  z.marks.min = small_minimum ? std::clamp<std::uint64_t>(managed / 1024, 32, 128) : share;
  z.marks.low = z.marks.min + gap;
  z.marks.high = z.marks.low + gap;
  z.boost = 0;
}

void set_page_set(pcp_state& pcp, const zone_state& z, unsigned cpus, const tuning& settings,
                  const kernel_profile& profile) {
  constexpr unsigned largest_high_fraction = 8;
  const auto pages_per_cpu = [&](std::uint64_t pages) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(pages / cpus, std::numeric_limits<std::int32_t>::max()));
  };
  pcp.batch = batch_of(z.extent.managed);
  const unsigned fraction = settings.percpu_pagelist_high_fraction;
  const auto usual = std::max(
      pages_per_cpu(fraction == 0 ? z.marks.low : z.extent.managed / fraction), 4 * pcp.batch);
  if (profile.pcp == pcp_rule::fixed_high) {
    pcp.high = usual;
    return;
  }
  pcp.high_min = usual;
  // A fraction set by hand also ends the tuning: both bounds are the same then.
  pcp.high_max = fraction != 0 ? usual
                               : std::max(pages_per_cpu(z.extent.managed / largest_high_fraction),
                                          4 * pcp.batch);
  pcp.high = pcp.high_min;
}

}  // namespace

void validate(const tuning& settings) {
  constexpr unsigned smallest_fraction = 8;
  constexpr unsigned largest_scale_factor = 3000;
  constexpr unsigned largest_batch_scale = 6;
  constexpr unsigned largest_swappiness = 200;
  if (settings.min_free_kbytes && *settings.min_free_kbytes < 1) {
    throw_usage("min_free_kbytes 0: it must be at least 1");
  }
  if (settings.watermark_scale_factor < 1 ||
      settings.watermark_scale_factor > largest_scale_factor) {
    throw_usage("watermark_scale_factor {}: allowed are 1 to {}", settings.watermark_scale_factor,
                largest_scale_factor);
  }
  if (settings.percpu_pagelist_high_fraction != 0 &&
      settings.percpu_pagelist_high_fraction < smallest_fraction) {
    throw_usage("percpu_pagelist_high_fraction {}: allowed are 0 and {} or more",
                settings.percpu_pagelist_high_fraction, smallest_fraction);
  }
  if (settings.pcp_batch_scale_max > largest_batch_scale) {
    throw_usage("pcp_batch_scale_max {}: allowed are 0 to {}", settings.pcp_batch_scale_max,
                largest_batch_scale);
  }
  if (settings.swappiness > largest_swappiness) {
    throw_usage("swappiness {}: allowed are 0 to {}", settings.swappiness, largest_swappiness);
  }
  constexpr unsigned whole_index = 1000;
  if (settings.extfrag_threshold > whole_index) {
    throw_usage("extfrag_threshold {}: allowed are 0 to {}", settings.extfrag_threshold,
                whole_index);
  }
  if (settings.compaction_proactiveness > 100) {
    throw_usage("compaction_proactiveness {}: allowed are 0 to 100",
                settings.compaction_proactiveness);
  }
}

std::uint64_t default_min_free_kbytes(std::span<const zone_extent> zones, const tuning& settings) {
  constexpr std::uint64_t smallest = 128;
  constexpr std::uint64_t largest = 262144;
  constexpr frame_count thp_machine = 512_MiB .frames();
  const std::uint64_t lowmem = lowmem_pages(zones);
  const auto base = std::clamp(integer_square_root(16 * lowmem * kib_per_page), smallest, largest);
  if (!settings.transparent_hugepages || lowmem < thp_machine) return base;
  // Two pageblocks a zone, and for each of three mobility types one to fall back to of each of
  // three; at most a twentieth of memory.
  constexpr std::uint64_t blocks_per_zone = 2 + 3 * 3;
  std::uint64_t populated = 0;
  for (const auto& z : zones) populated += z.type != zone_type::movable;
  const auto wanted = std::min(pageblock_frames * populated * blocks_per_zone, lowmem / 20);
  return std::max(base, wanted * kib_per_page);
}

void tune(std::vector<zone_state>& zones, unsigned cpus, const tuning& settings,
          const kernel_profile& profile) {
  validate(settings);
  std::vector<zone_extent> extents;
  for (const auto& z : zones) extents.push_back(z.extent);
  const auto min_free_kbytes =
      settings.min_free_kbytes.value_or(default_min_free_kbytes(extents, settings));
  frame_count sharing = lowmem_pages(extents);
  if (profile.movable_zone_shares_minimum == rule::on) {
    for (const auto& e : extents) sharing += e.type == zone_type::movable ? e.managed : 0;
  }

  constexpr std::array<std::uint64_t, zone_types> reserve_ratio{256, 256, 32, 0};
  for (auto& z : zones) {
    set_marks(z, min_free_kbytes / kib_per_page, sharing, settings, profile);
    z.counter_threshold = threshold_of(z.extent.managed, cpus);
    z.reserve = {};
    const auto own = static_cast<unsigned>(z.extent.type);
    frame_count above = 0;
    for (unsigned highest = own + 1; highest < zone_types; ++highest) {
      for (const auto& e : extents) {
        if (static_cast<unsigned>(e.type) == highest) above += e.managed;
      }
      if (reserve_ratio[own] != 0) z.reserve[highest] = above / reserve_ratio[own];
    }
    z.cpus.resize(cpus);
    for (auto& pcp : z.cpus) set_page_set(pcp, z, cpus, settings, profile);
  }
}

}  // namespace memsim
