// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The kernel's knobs, and what it works out from them at boot: watermarks, reserves, batches.
///
/// Source: docs/linux-rules/page-alloc.md, Constants. The kernel does this early, with slightly
/// smaller zones than it ends up with, so a captured machine's own numbers are better where known.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// Settings of /proc/sys/vm and of the build. The defaults are Linux's.
struct tuning {
  /// In KiB; unset: what the kernel would choose.
  std::optional<std::uint64_t> min_free_kbytes{};
  /// Raises the default min_free_kbytes on machines of 512 MiB and more.
  bool transparent_hugepages = true;
  /// Distance between watermarks in 1/10000 of a zone, 1 to 3000.
  unsigned watermark_scale_factor = 10;
  /// Largest boost in 1/10000 of the high watermark; 0 turns boosting off.
  unsigned watermark_boost_factor = 15000;
  /// Per-CPU high as a fraction of the zone: 0 (unset) or at least 8.
  unsigned percpu_pagelist_high_fraction = 0;
  /// Largest shift of a per-CPU batch (CONFIG_PCP_BATCH_SCALE_MAX), 0 to 6.
  unsigned pcp_batch_scale_max = 5;

  /// Fragmentation index, 0 to 1000, up to which memory counts as short rather than in pieces, so
  /// that compaction is not tried.
  unsigned extfrag_threshold = 500;
  /// How hard the compaction daemon tries to keep huge pages at hand, 0 (not at all) to 100.
  unsigned compaction_proactiveness = 20;

  /// How ready reclaim is to swap rather than to drop page cache, 0 to 200.
  unsigned swappiness = 60;
  /// Whether a request that may wait does what the kernel's slow path does: reclaim, compact, kill.
  /// Off: it fails where the kernel would start to, and no daemon is woken, as suits a replay whose
  /// recording has what came of that.
  rule slow_path = rule::on;

  friend bool operator==(const tuning&, const tuning&) = default;
};

/// Throws usage_error if a setting is out of its range.
void validate(const tuning&);

/// The min_free_kbytes that the kernel would choose, in KiB.
[[nodiscard]] std::uint64_t default_min_free_kbytes(std::span<const zone_extent> zones,
                                                    const tuning& settings);

/// Fills in marks, reserves, counter threshold, and for each CPU batch and highs, of zones whose
/// extents are set.
void tune(std::vector<zone_state>& zones, unsigned cpus, const tuning& settings,
          const kernel_profile& profile);

}  // namespace memsim
