// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Small files of /proc for tests, of a machine with one zone of memory and two CPUs.

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace memsim::test {

/// `text` with its only `from` replaced by `to`.
inline std::string with(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at == std::string::npos || text.find(from, at + 1) != std::string::npos) {
    throw std::logic_error{fmt::format("\"{}\" is not in the text exactly once", from)};
  }
  return text.replace(at, from.size(), to);
}

/// Zone DMA32 from 16 MiB on: 16384 frames (32 pageblocks) present, 16000 managed, 6740 free.
inline const std::string zoneinfo = R"(Node 0, zone      DMA
  pages free     0
        boost    0
        min      0
        low      0
        high     0
        spanned  0
        present  0
        managed  0
        cma      0
        protection: (0, 62, 62, 62)
Node 0, zone    DMA32
  per-node stats
      nr_inactive_anon 16737
      nr_mapped    4078
  pages free     6730
        boost    5
        min      105
        low      130
        high     155
        promo    180
        spanned  16384
        present  16384
        managed  16000
        cma      1024
        protection: (0, 0, 77, 88)
      nr_free_pages 6730
      nr_zone_inactive_anon 100
      nr_zone_active_anon 20
      nr_zone_inactive_file 3
      nr_zone_active_file 4
      nr_zone_unevictable 0
      nr_free_cma  520
      numa_hit     1
  pagesets
    cpu: 0
              count:    62
              high:     300
              batch:    63
              high_min: 250
              high_max: 1000
  vm stats threshold: 24
    cpu: 1
              count:    1
              high:     250
              batch:    63
              high_min: 250
              high_max: 1000
  vm stats threshold: 24
  node_unreclaimable:  0
  start_pfn:           4096
Node 0, zone   Normal
  pages free     0
        boost    0
        min      0
        low      0
        high     0
        spanned  0
        present  0
        managed  0
        cma      0
        protection: (0, 0, 0, 0)
Node 0, zone  Movable
  pages free     0
        boost    0
        min      32
        low      32
        high     32
        spanned  0
        present  0
        managed  0
        cma      0
        protection: (0, 0, 0, 0)
)";

/// 6740 pages.
inline const std::string buddyinfo =
    "Node 0, zone    DMA32     14      3      2      5      1      0      2      1      1      2   "
    "   5 \n";

inline const std::string pagetypeinfo = R"(Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10 
Node    0, zone    DMA32, type    Unmovable      4      1      0      1      0      0      1      1      0      1      1 
Node    0, zone    DMA32, type      Movable     10      2      2      3      0      0      1      0      1      0      4 
Node    0, zone    DMA32, type  Reclaimable      0      0      0      1      0      0      0      0      0      0      0 
Node    0, zone    DMA32, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0 
Node    0, zone    DMA32, type          CMA      0      0      0      0      1      0      0      0      0      1      0 
Node    0, zone    DMA32, type      Isolate      0      0      0      0      0      0      0      0      0      0      0 

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic          CMA      Isolate 
Node 0, zone    DMA32            7           21            1            1            2            0 
)";

}  // namespace memsim::test
