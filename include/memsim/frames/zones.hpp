// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Zones: ranges of physical memory that differ in who can address or move them.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/core/types.hpp>

namespace memsim {

class memory_map;

/// The zones of x86-64 in index order. A request that may use one may use all below it.
enum class zone_type : unsigned char {
  dma,      ///< below 16 MiB: what ISA devices address
  dma32,    ///< below 4 GiB: what 32-bit devices address
  normal,   ///< everything else
  movable,  ///< the top of memory, for movable pages only; empty unless asked for
};

inline constexpr unsigned zone_types = 4;
inline constexpr std::array all_zone_types{zone_type::dma, zone_type::dma32, zone_type::normal,
                                           zone_type::movable};

/// As in /proc/zoneinfo: `DMA`, `DMA32`, `Normal`, `Movable`.
[[nodiscard]] std::string_view name_of(zone_type);
[[nodiscard]] std::string to_text(zone_type);

/// Where a zone lies and how much of it is there.
struct zone_extent {
  zone_type type{};
  pfn start{};
  frame_count spanned = 0;  ///< from the first frame to the last, holes included
  frame_count present = 0;  ///< frames with memory and a descriptor
  frame_count managed = 0;  ///< frames that the page allocator was given

  [[nodiscard]] pfn end() const { return start + spanned; }
  friend bool operator==(const zone_extent&, const zone_extent&) = default;
};

[[nodiscard]] std::string to_text(const zone_extent&);

/// Splits a memory map into zones, in ascending address order; zones without memory are left out.
///
/// Undescribed regions belong to no zone.
///
/// \param movable  frames at the top of the highest other zone that become ZONE_MOVABLE, rounded
///                 down to whole 4 MiB blocks
/// \throws usage_error if `movable` leaves that zone without memory
/// Source: x86-64 zone limits as documented for Linux 6.1 (docs/linux-rules/page-alloc.md).
[[nodiscard]] std::vector<zone_extent> place_zones(const memory_map& map, frame_count movable = 0);

}  // namespace memsim
