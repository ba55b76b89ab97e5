// SPDX-License-Identifier: Apache-2.0
// Compaction ahead of need: a score of how little of the free memory can serve huge pages, and a
// daemon that keeps it low.
//
// Source: Linux 6.1 and 6.12 as described (every 500 ms; from the high limit down to the low one).
// No recording tells.
#include <algorithm>

#include "alloc/checks.hpp"
#include "alloc/compaction.hpp"

namespace memsim {
namespace detail {
namespace {

struct score_limits {
  unsigned low;
  unsigned high;
};

score_limits limits_of(unsigned proactiveness) {
  const unsigned low = std::max(100 - proactiveness, 5u);
  return {.low = low, .high = std::min(low + 10, 100u)};
}

}  // namespace

// The part of the zone's free pages in blocks below the order of a huge page, in percent.
unsigned allocator_core::external_fragmentation(const zone& z) {
  std::uint64_t free = 0;
  std::uint64_t useful = 0;
  for (unsigned o = 0; o < page_orders; ++o) {
    const auto pages = z.free_blocks_of(order{o}) << o;
    free += pages;
    if (o >= pageblock_order.value()) useful += pages;
  }
  return free == 0 ? 0 : static_cast<unsigned>((free - useful) * 100 / free);
}

// The same, weighted by the zone's part of the node.
unsigned allocator_core::fragmentation_score() const {
  std::uint64_t present = 0;
  for (const auto& z : zones_) present += z.extent.present;
  std::uint64_t score = 0;
  for (const auto& z : zones_) {
    score += z.extent.present * external_fragmentation(z) / (present + 1);
  }
  return static_cast<unsigned>(score);
}

bool allocator_core::compact_proactively(context& ctx) {
  const auto proactiveness = settings_.compaction_proactiveness;
  if (proactiveness == 0) return true;
  const auto limits = limits_of(proactiveness);
  const auto before = fragmentation_score();
  if (before <= limits.high) return true;
  compaction_run run{*this,
                     ctx,
                     {.scan = {.mode = migration_mode::sync_light, .ignores_hints = true},
                      .whole_zone = true,
                      .enough_at = limits.low}};
  for (auto& z : zones_) run.run(z);
  return fragmentation_score() < before;
}

}  // namespace detail

unsigned page_allocator::fragmentation_score() const { return core_->fragmentation_score(); }

bool page_allocator::compact_proactively(context& ctx) {
  detail::check_cpu(*core_, ctx.cpu);
  return core_->compact_proactively(ctx);
}

}  // namespace memsim
