// SPDX-License-Identifier: Apache-2.0
// How pages age on the LRU lists: what becomes active, what inactive, and how much is scanned.
#include <algorithm>
#include <cmath>

#include "alloc/hot_path.hpp"
#include "alloc/reclaim.hpp"

namespace memsim::detail {
namespace {

constexpr lru_kind inactive_of(lru_kind active) {
  return active == lru_kind::active_file ? lru_kind::inactive_file : lru_kind::inactive_anonymous;
}

// How many times as many pages may be active as inactive: the more memory, the more.
std::uint64_t active_per_inactive(frame_count pages) {
  constexpr frame_count per_gib = frame_count{1} << 18;
  const auto gib = pages / per_gib;
  if (gib == 0) return 1;
  return static_cast<std::uint64_t>(std::sqrt(static_cast<double>(10 * gib)));
}

}  // namespace

frame_count lru_reclaim::pages_on(lru_kind kind) const {
  frame_count pages = 0;
  for (unsigned zone = 0; zone <= static_cast<unsigned>(how_.highest); ++zone) {
    pages += core_.lru_.pages[zone][static_cast<unsigned>(kind)];
  }
  return pages;
}

bool lru_reclaim::has_few_inactive(lru_kind active) const {
  const auto of_active = pages_on(active);
  const auto of_inactive = pages_on(inactive_of(active));
  return of_inactive * active_per_inactive(of_active + of_inactive) < of_active;
}

bool lru_reclaim::may_age(lru_kind active) const { return forced_ || has_few_inactive(active); }

// Pages to scan of each list. Modelling assumption: both kinds cost the same to get back when they
// are wanted again; the kernel watches what did.
lru_reclaim::page_counts lru_reclaim::plan(unsigned priority) const {
  const auto& swap = core_.reclaim_;
  const bool may_swap = how_.may_swap && swap.swap_slots > swap.swap_used;
  const auto file = pages_on(lru_kind::inactive_file);
  const bool ages_file = may_age(lru_kind::active_file);

  // So little is left of the page cache that dropping it cannot be enough.
  const auto file_is_tiny = [&] {
    frame_count free = 0;
    frame_count high = 0;
    for (const auto& z : core_.zones_) {
      if (z.extent.type > how_.highest) continue;
      free += static_cast<frame_count>(std::max<std::int64_t>(z.free_pages, 0));
      high += z.marks.high + z.boost;
    }
    return file + pages_on(lru_kind::active_file) + free <= high &&
           !may_age(lru_kind::active_anonymous) &&
           pages_on(lru_kind::inactive_anonymous) >> priority > 0;
  };
  constexpr unsigned largest_swappiness = 200;
  unsigned anonymous_share = core_.settings_.swappiness;
  unsigned file_share = largest_swappiness - anonymous_share;
  if (!may_swap) {
    anonymous_share = 0;
    file_share = largest_swappiness;
  } else if (priority == 0 && core_.settings_.swappiness > 0) {
    anonymous_share = file_share = largest_swappiness;
  } else if (file_is_tiny()) {
    anonymous_share = largest_swappiness;
    file_share = 0;
  } else if (file >> priority > 0 && !ages_file) {
    anonymous_share = 0;
    file_share = largest_swappiness;
  }
  const auto scan = [&](lru_kind kind, unsigned share) {
    return (pages_on(kind) >> priority) * share / largest_swappiness;
  };
  page_counts pages{};
  for (const auto kind : {lru_kind::inactive_anonymous, lru_kind::active_anonymous}) {
    pages[static_cast<unsigned>(kind)] = scan(kind, anonymous_share);
  }
  for (const auto kind : {lru_kind::inactive_file, lru_kind::active_file}) {
    pages[static_cast<unsigned>(kind)] = scan(kind, file_share);
  }
  return pages;
}

// From the tail of an active list to the head of the inactive one, used meanwhile or not: there
// they have time to be used. Modelling assumption: no page is a program's text, which would stay.
void lru_reclaim::age(lru_kind active, frame_count pages) {
  core_.flush_lru_batch(ctx_.cpu);
  for (const auto frame : take_from_tail(active, pages)) {
    const auto page = core_.frames_.info(frame);
    if (auto* const owner = core_.owner_of(page); owner != nullptr) {
      static_cast<void>(owner->was_referenced(pfn{frame}, page.tag));
    }
    core_.set_flags(frame, page.flags - page_flag::active);
    core_.reclaim_counts_.pages_deactivated += pages_of(frame);
    put_back(frame);
  }
}

void allocator_core::activate(frame_index frame) {
  const auto flags = frames_.info(frame).flags;
  const bool listed = flags.has_any(page_flag::lru);
  if (listed) unlink_lru(frame, flags);
  const auto now = (flags | page_flag::active) - page_flag::referenced;
  set_flags(frame, now);
  if (listed) link_lru(frame, now, list_end::head);
  reclaim_counts_.pages_activated += 1u << order_of(frame);
}

// Modelling assumption: an activation takes effect at once, not with the next batch of them.
void allocator_core::mark_accessed(frame_index frame) {
  const auto flags = frames_.info(frame).flags;
  if (flags.has_any(page_flag::unevictable)) return;
  if (flags.has_any(page_flag::referenced) && !flags.has_any(page_flag::active)) {
    activate(frame);
  } else {
    set_flags(frame, flags | page_flag::referenced);
  }
}

}  // namespace memsim::detail
