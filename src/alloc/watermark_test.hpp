// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether a zone has enough free pages for a request (A3, B1, B2).

#include <algorithm>

#include "alloc/counters.hpp"

namespace memsim::detail {

[[nodiscard]] inline std::uint64_t mark_of(const zone& z, watermark mark) {
  switch (mark) {
    case watermark::min: return z.marks.min;
    case watermark::low: return z.marks.low;
    case watermark::high: return z.marks.high;
  }
  std::unreachable();
}

/// Free pages that the attempt may count on, less the pages that lower zones keep back.
[[nodiscard]] inline std::int64_t usable_pages(const kernel_profile& profile, const zone& z,
                                               zone_type highest, attempt how) {
  std::int64_t usable = read_counter(z.free_pages);
  if (!how.has_reserves()) {
    usable -= static_cast<std::int64_t>(profile.highatomic == highatomic_deduction::reserved_pages
                                            ? z.reserved_highatomic
                                            : z.free_highatomic);
  }
  if (!how.cma) usable -= read_counter(z.free_cma);
  return usable - static_cast<std::int64_t>(z.reserve[static_cast<unsigned>(highest)]);
}

/// The mark as the attempt's rights lower it.
[[nodiscard]] inline std::int64_t lowered(std::uint64_t mark, attempt how) {
  auto floor = static_cast<std::int64_t>(mark);
  if (how.min_reserve) {
    floor -= floor / 2;
    if (how.non_blocking) floor -= floor / 4;
  }
  return floor;
}

/// Whether any list has a block of at least this order that the attempt may take.
[[nodiscard]] inline bool has_block(const zone& z, unsigned order, attempt how) {
  const auto orders_of = [&](migratetype type) {
    return z.free_orders[static_cast<unsigned>(type)];
  };
  std::uint32_t orders = orders_of(migratetype::unmovable) | orders_of(migratetype::movable) |
                         orders_of(migratetype::reclaimable);
  if (how.cma) orders |= orders_of(migratetype::cma);
  if (how.highatomic) orders |= orders_of(migratetype::highatomic);
  return orders >> order != 0;
}

/// Free pages beyond the mark and the reserve. A block of order o leaves the zone above both if
/// this exceeds 2^o - 1.
[[nodiscard]] inline std::int64_t margin_above(const kernel_profile& profile, const zone& z,
                                               zone_type highest, attempt how, std::uint64_t mark) {
  return usable_pages(profile, z, highest, how) - lowered(mark, how);
}

/// Where the margin above the low or the high mark is remembered.
[[nodiscard]] constexpr unsigned margin_entry(zone_type highest, bool cma, bool above_high) {
  return static_cast<unsigned>(highest) | (cma ? 4u : 0u) | (above_high ? 8u : 0u);
}

/// margin_above() for an attempt without rights, remembered until a counter changes.
[[nodiscard]] inline std::int64_t remembered_margin(const kernel_profile& profile, zone& z,
                                                    zone_type highest, attempt how,
                                                    watermark tested) {
  const unsigned entry = margin_entry(highest, how.cma, tested == watermark::high);
  auto& cache = z.margins;
  if ((cache.known >> entry & 1) == 0) {
    cache.margin[entry] = margin_above(profile, z, highest, how, mark_of(z, tested) + z.boost);
    cache.known |= 1u << entry;
    // In a boosted zone each request has a flag to clear (A14): none may take the short way.
    if (cache.margin[entry] > 0 && !z.boosted) cache.suffices_for_page |= 1u << entry;
  }
  return cache.margin[entry];
}

/// The second chance of an order-0 request at the min mark: without the boost (A3, B2).
[[nodiscard]] inline bool passes_unboosted(const kernel_profile& profile, const zone& z,
                                           const request& wanted, attempt how) {
  const bool exempt =
      profile.unboosted_retry == boost_exemption::atomic ? wanted.atomic : how.min_reserve;
  return wanted.order == 0 && exempt && z.boost != 0 && how.mark == watermark::min &&
         margin_above(profile, z, wanted.highest, how, z.marks.min) > 0;
}

/// Whether the zone has enough above a mark; that is the attempt's own, but for B1.
[[nodiscard]] inline bool passes(const kernel_profile& profile, zone& z, const request& wanted,
                                 attempt how, watermark tested) {
  const std::int64_t needed = (std::int64_t{1} << wanted.order) - 1;
  const bool cacheable = tested != watermark::min && !how.has_reserves();
  const std::int64_t margin =
      cacheable ? remembered_margin(profile, z, wanted.highest, how, tested)
                : margin_above(profile, z, wanted.highest, how, mark_of(z, tested) + z.boost);
  if (margin > needed) return wanted.order == 0 || has_block(z, wanted.order, how);
  return passes_unboosted(profile, z, wanted, how);
}

}  // namespace memsim::detail
