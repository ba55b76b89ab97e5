// SPDX-License-Identifier: Apache-2.0
// A request that reclaims by itself, from one priority to the next until it has enough.
#include "alloc/hot_path.hpp"
#include "alloc/reclaim.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {
namespace {

// Whether compaction could serve a costly order by now, so that there is no point in reclaiming on.
bool is_ready_for_compaction(const kernel_profile& profile, const zone& z, const request& wanted) {
  const auto margin = [&](std::uint64_t mark, attempt how) {
    return margin_above(profile, z, wanted.highest, how, mark + z.boost);
  };
  const std::int64_t needed = (std::int64_t{1} << wanted.order) - 1;
  const attempt plain{.mark = watermark::min};
  if (margin(z.marks.min, plain) > needed && has_block(z, wanted.order, plain)) return true;
  return margin(z.marks.high + (std::uint64_t{2} << wanted.order), plain) > 0;
}

}  // namespace

// Pages of a zone that reclaim might get.
frame_count allocator_core::reclaimable_pages(const zone& z) const {
  const auto& pages = lru_.pages[static_cast<unsigned>(z.extent.type)];
  const auto of = [&](lru_kind kind) { return pages[static_cast<unsigned>(kind)]; };
  auto sum = of(lru_kind::inactive_file) + of(lru_kind::active_file);
  if (reclaim_.swap_slots > reclaim_.swap_used) {
    sum += of(lru_kind::inactive_anonymous) + of(lru_kind::active_anonymous);
  }
  return sum;
}

frame_count allocator_core::reclaim_directly(context& ctx, const request& wanted) {
  ++reclaim_counts_.direct_reclaims;
  lru_reclaim run{*this,
                  ctx,
                  {.by = reclaimer::direct,
                   .highest = wanted.highest,
                   .may_use_io = wanted.flags.has_any(gfp_flag::io),
                   .may_use_fs = wanted.flags.has_any(gfp_flag::fs)}};
  const auto is_enough = [&] {
    if (run.reclaimed() >= run.wanted()) return true;
    if (wanted.order <= costly_order) return false;
    return std::ranges::any_of(zones_, [&](const zone& z) {
      return z.extent.type <= wanted.highest && is_ready_for_compaction(profile_, z, wanted);
    });
  };
  const auto try_all_priorities = [&] {
    for (unsigned priority = first_priority;; --priority) {
      run.pass(priority);
      if (is_enough()) return true;
      if (priority == 0) return run.reclaimed() > 0;
    }
  };
  bool progress = try_all_priorities();
  if (!progress && run.spared_active()) {
    run.force_ageing();
    progress = try_all_priorities();
  }
  if (progress) reclaim_.kswapd_failures = 0;
  return progress ? std::max<frame_count>(run.reclaimed(), 1) : 0;
}

}  // namespace memsim::detail
