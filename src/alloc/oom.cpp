// SPDX-License-Identifier: Apache-2.0
// The OOM killer: whom it chooses.
#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/error.hpp>

#include "alloc/allocator_core.hpp"

namespace memsim {

std::int64_t oom_points(const oom_usage& usage, int adjustment, frame_count total) {
  return static_cast<std::int64_t>(usage.total()) +
         adjustment * (static_cast<std::int64_t>(total) / 1000);
}

namespace detail {

// Among equals the one that was added last. Modelling assumption: who has nothing is not worth
// killing; the kernel would, in a list of such alone.
bool allocator_core::kill_largest(context& ctx) {
  frame_count total = reclaim_.swap_slots;
  for (const auto& z : zones_) total += z.extent.managed;
  oom_entry* chosen = nullptr;
  std::int64_t most = 0;
  for (auto& entry : oom_candidates_) {
    const int adjustment = entry.candidate->score_adjustment();
    const auto usage = entry.candidate->usage();
    if (entry.killed || adjustment == oom_candidate::never || usage.total() == 0) continue;
    const auto points = oom_points(usage, adjustment, total);
    if (chosen != nullptr && points < most) continue;
    chosen = &entry;
    most = points;
  }
  if (chosen == nullptr) {
    ++reclaim_counts_.oom_without_victim;
    return false;
  }
  ++reclaim_counts_.oom_kills;
  chosen->killed = true;
  chosen->candidate->killed(ctx);
  return true;
}

}  // namespace detail

void page_allocator::add_oom_candidate(oom_candidate& candidate) {
  core_->oom_candidates_.push_back({&candidate, false});
}

bool page_allocator::kill_for_fault(context& ctx) { return core_->kill_largest(ctx); }

void page_allocator::remove_oom_candidate(oom_candidate& candidate) {
  std::erase_if(core_->oom_candidates_,
                [&](const detail::oom_entry& entry) { return entry.candidate == &candidate; });
}

}  // namespace memsim
