// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The data TLBs of some server CPUs, each figure with its source.
///
/// No vendor says how its TLBs replace entries: LRU throughout is a modelling assumption. So is
/// every figure marked [A]; those not marked are in the document named. Where the model lacks
/// something that the CPU does, that is said too. A figure is changed by assigning to it:
///
///     auto geometry = presets::skylake_sp_tlb();
///     geometry.walk_caches.pde.ways = 0;

#include <memsim/arch/tlb_geometry.hpp>

namespace memsim::presets {

/// Intel Skylake-SP (2017), and Cascade Lake, which has the same core.
///
/// | structure     | entries                                | source                              |
/// |---------------|----------------------------------------|-------------------------------------|
/// | L1, 4 KiB     | 64, 4-way                              | Intel Optimization Reference Manual |
/// | L1, 2 MiB     | 32, 4-way                              | (248966), TLB parameters of Skylake |
/// | L1, 1 GiB     | 4, fully associative                   | "                                   |
/// | L2, 4K and 2M | 1536 shared, 12-way                    | "                                   |
/// | L2, 1 GiB     | 16, 4-way                              | "                                   |
/// | walk caches   | [A] PDE 32 4-way, PDPTE 4, PML4E 2     | not published; see docs/tlb.md      |
[[nodiscard]] tlb_geometry skylake_sp_tlb();

/// Intel Ice Lake-SP (2021).
///
/// | structure   | entries                              | source                                |
/// |-------------|--------------------------------------|---------------------------------------|
/// | L1, 4 KiB   | 64, 4-way                            | Intel Optimization Reference Manual   |
/// | L1, 2 MiB   | 32, 4-way                            | (248966), TLB parameters of Ice Lake; |
/// | L1, 1 GiB   | 8, fully associative                 | those of loads, stores have their own |
/// | L2          | 2048 shared, 16-way                  | "; see below                          |
/// | walk caches | [A] as Skylake                       | not published                         |
///
/// In the CPU 2 MiB pages may use 8 of the 16 ways and 1 GiB pages the other 8; here every size may
/// use all of them [A], so that a workload of large pages alone finds twice the room.
[[nodiscard]] tlb_geometry ice_lake_sp_tlb();

/// AMD Zen 4 (EPYC 9004, 2022).
///
/// | structure      | entries                               | source                              |
/// |----------------|---------------------------------------|-------------------------------------|
/// | L1, all sizes  | 72, fully associative                 | AMD Software Optimization Guide for |
/// | L2, 4K and 2M  | 3072, [A] 24-way                      | Zen 4 (57647)                       |
/// | PML4E, PDPTE   | [A] 16 and 48                         | guides of Zen say 64 shared by both |
/// | PDE            | [A] 64, fully associative             | in the CPU: within the L2 TLB       |
///
/// The CPU keeps a 1 GiB page in L2 as pieces of 2 MiB; here L2 does not keep it [A]. Neither does
/// the model coalesce neighbouring 4 KiB pages into one entry, as the CPU can.
[[nodiscard]] tlb_geometry zen4_tlb();

/// Arm Neoverse N1 (2019), with 4 KiB granules.
///
/// | structure      | entries                               | source                              |
/// |----------------|---------------------------------------|-------------------------------------|
/// | L1, 4K and 2M  | 48, fully associative                 | Arm Neoverse N1 Technical Reference |
/// | L2, all sizes  | 1280, 5-way                           | Manual (100616), MMU chapter        |
/// | walk caches    | [A] as Skylake's                      | not published                       |
///
/// The CPU puts a piece of a 1 GiB block in L1, for which it has no entries of that size; here L1
/// does not keep it [A]. A flush of one page drops the walk-cache entries on the way to it alone,
/// as TLBI VA does.
[[nodiscard]] tlb_geometry neoverse_n1_tlb();

}  // namespace memsim::presets
