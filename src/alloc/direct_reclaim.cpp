// SPDX-License-Identifier: Apache-2.0
// A request that reclaims by itself, and pages reclaimed because somebody says so: from one
// priority to the next until it has enough.
#include <algorithm>

#include "alloc/checks.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/reclaim.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim {
namespace detail {
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

namespace {

// From one priority to the next until it is enough, and once more if that got nothing and active
// pages were spared. False: there is nothing to be got.
template <class Enough>
bool reclaim_by_priorities(lru_reclaim& run, Enough is_enough) {
  const auto try_all_priorities = [&] {
    for (unsigned priority = first_priority;; --priority) {
      run.pass(priority);
      if (is_enough()) return true;
      if (priority == 0) return run.reclaimed() > 0;
    }
  };
  if (try_all_priorities()) return true;
  if (!run.spared_active()) return false;
  run.force_ageing();
  return try_all_priorities();
}

}  // namespace

frame_count allocator_core::reclaim_directly(context& ctx, const request& wanted) {
  ++reclaim_counts_.direct_reclaims;
  lru_reclaim run{*this,
                  ctx,
                  {.by = reclaimer::direct,
                   .highest = wanted.highest,
                   .may_use_io = wanted.flags.has_any(gfp_flag::io),
                   .may_use_fs = wanted.flags.has_any(gfp_flag::fs)}};
  const bool progress = reclaim_by_priorities(run, [&] {
    if (run.reclaimed() >= run.wanted()) return true;
    if (wanted.order <= costly_order) return false;
    return std::ranges::any_of(zones_, [&](const zone& z) {
      return z.extent.type <= wanted.highest && is_ready_for_compaction(profile_, z, wanted);
    });
  });
  if (progress) reclaim_.kswapd_failures = 0;
  return progress ? std::max<frame_count>(run.reclaimed(), 1) : 0;
}

// Modelling assumption: a quarter of what is left at a time, so that little more is taken than was
// asked for.
frame_count allocator_core::reclaim_proactively(context& ctx, frame_count pages) {
  frame_count reclaimed = 0;
  while (reclaimed < pages) {
    lru_reclaim run{*this,
                    ctx,
                    {.by = reclaimer::direct,
                     .wanted = std::max((pages - reclaimed) / 4, reclaim_batch),
                     .highest = zone_type::movable}};
    if (!reclaim_by_priorities(run, [&] { return run.reclaimed() >= run.wanted(); })) break;
    reclaimed += run.reclaimed();
  }
  if (reclaimed > 0) reclaim_.kswapd_failures = 0;
  return reclaimed;
}

}  // namespace detail

frame_count page_allocator::reclaim(context& ctx, frame_count pages) {
  detail::check_cpu(*core_, ctx.cpu);
  return core_->reclaim_proactively(ctx, pages);
}

}  // namespace memsim
