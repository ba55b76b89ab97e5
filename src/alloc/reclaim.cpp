// SPDX-License-Identifier: Apache-2.0
// Inactive pages from the tail of their lists: kept, made active, written, or taken back.
#include "alloc/reclaim.hpp"

#include <algorithm>

#include "alloc/hot_path.hpp"

namespace memsim {

std::string_view name_of(reclaimer by) {
  static constexpr std::array<std::string_view, 2> names{"direct", "kswapd"};
  return names[static_cast<unsigned>(by)];
}

std::string to_text(reclaimer by) { return std::string{name_of(by)}; }

namespace detail {
namespace {

constexpr bool is_active(lru_kind kind) {
  return kind == lru_kind::active_anonymous || kind == lru_kind::active_file;
}

constexpr bool is_nobodys_clean_file(page_info page) {
  return page.owner == 0 && !page.flags.has_any(page_flag::swap_backed | page_flag::dirty);
}

}  // namespace

// Modelling assumption: once enough is reclaimed the rest of the plan is dropped, where the kernel
// cuts it down to the share of the list that it has scanned least of. A request's first pass comes
// to its end in both.
void lru_reclaim::pass(unsigned priority) {
  auto left = plan(priority);
  const auto before = reclaimed_;
  const bool whole = how_.by == reclaimer::direct && priority == first_priority;
  const auto pages_of_kind = [&](lru_kind kind) -> frame_count& {
    return left[static_cast<unsigned>(kind)];
  };
  while (pages_of_kind(lru_kind::inactive_anonymous) > 0 ||
         pages_of_kind(lru_kind::active_file) > 0 || pages_of_kind(lru_kind::inactive_file) > 0) {
    for (unsigned kind = 0; kind < left.size(); ++kind) {
      const auto pages = std::min(left[kind], reclaim_batch);
      left[kind] -= pages;
      if (pages > 0) shrink_list(static_cast<lru_kind>(kind), pages);
    }
    if (reclaimed_ - before >= how_.wanted && !whole) break;
  }
  if (core_.reclaim_.swap_slots > 0 && has_few_inactive(lru_kind::active_anonymous)) {
    age(lru_kind::active_anonymous, reclaim_batch);
  }
  reclaimed_ += core_.shrink_caches(ctx_, priority);
}

void lru_reclaim::shrink_list(lru_kind kind, frame_count pages) {
  if (!is_active(kind)) return shrink_inactive(kind, pages);
  if (may_age(kind)) return age(kind, pages);
  spared_active_ = true;
}

void lru_reclaim::shrink_inactive(lru_kind kind, frame_count pages) {
  core_.flush_lru_batch(ctx_.cpu);
  const auto batch = take_from_tail(kind, pages);
  dirty_.clear();
  std::vector<frame_index> staying;
  for (const auto frame : batch) {
    const auto count = pages_of(frame);
    scanned_ += count;
    (how_.by == reclaimer::direct ? core_.reclaim_counts_.pages_scanned_direct
                                  : core_.reclaim_counts_.pages_scanned_kswapd) += count;
    const auto end = judge(frame);
    if (end == fate::gone) continue;
    if (end == fate::activate) {
      core_.set_flags(frame, core_.frames_.info(frame).flags | page_flag::active);
      core_.reclaim_counts_.pages_activated += count;
    }
    staying.push_back(frame);
  }
  for (const auto frame : staying) put_back(frame);
  // Nothing but dirty pages: whoever writes them back has fallen behind, and is woken.
  if (!batch.empty() && dirty_.size() == batch.size() && how_.may_write) write_back(dirty_);
}

// Up to `most` pages of zones that help; the others go to the head meanwhile.
std::vector<frame_index> lru_reclaim::take_from_tail(lru_kind kind, frame_count most) {
  const auto& list = core_.lru_.lists[static_cast<unsigned>(kind)];
  std::vector<frame_index> taken;
  std::vector<frame_index> skipped;
  for (frame_count pages = 0; pages < most && !list.empty();) {
    const auto frame = list.tail();
    if (core_.zone_of(frame).extent.type > how_.highest) {
      core_.take_off_lru(frame);
      skipped.push_back(frame);
      continue;
    }
    pages += pages_of(frame);
    core_.take_for_move(frame);
    taken.push_back(frame);
  }
  for (const auto frame : skipped) core_.put_on_lru(frame);
  ctx_.done.lru_pages_scanned += taken.size();
  return taken;
}

void lru_reclaim::put_back(frame_index frame) {
  core_.set_flags(frame, core_.frames_.info(frame).flags - page_flag::isolated);
  core_.put_on_lru(frame);
}

lru_reclaim::fate lru_reclaim::judge(frame_index frame) {
  const auto page = core_.frames_.info(frame);
  auto* const owner = core_.owner_of(page);
  if (page.flags.has_any(page_flag::unevictable)) return fate::keep;
  if (owner == nullptr && !is_nobodys_clean_file(page)) return fate::keep;
  if (page.flags.has_any(page_flag::writeback)) {
    core_.set_flags(frame, page.flags | page_flag::reclaim);
    return fate::activate;
  }
  // Used once since it was last looked at, it has another round; used again, it is active.
  const bool noted = page.flags.has_any(page_flag::referenced);
  core_.set_flags(frame, page.flags - page_flag::referenced);
  if (owner != nullptr && owner->was_referenced(pfn{frame}, page.tag)) {
    core_.set_flags(frame, page.flags | page_flag::referenced);
    return noted ? fate::activate : fate::keep;
  }
  if (page.flags.has_any(page_flag::pinned)) {
    ++core_.reclaim_counts_.pages_kept_pinned;
    return fate::keep;
  }
  return owner == nullptr ? drop(frame) : judge_unused(frame, *owner);
}

// A page that nobody used through a mapping, and that is not pinned.
lru_reclaim::fate lru_reclaim::judge_unused(frame_index frame, page_owner& owner) {
  auto flags = core_.frames_.info(frame).flags;
  const bool to_swap = flags.has_any(page_flag::swap_backed);
  if (to_swap && !flags.has_any(page_flag::swap_cached)) {
    if (!how_.may_use_io) return fate::keep;
    if (!core_.take_swap_slots(pages_of(frame))) return fate::activate;
    flags = flags | page_flag::swap_cached | page_flag::dirty;
    core_.set_flags(frame, flags);
  }
  if (!flags.has_any(page_flag::dirty)) return drop(frame);
  if (!to_swap) {
    // Files are written by those whose work that is; the page comes back when it is clean.
    core_.set_flags(frame, flags | page_flag::reclaim);
    dirty_.push_back(frame);
    return fate::activate;
  }
  const bool may_start = (how_.may_use_fs || how_.may_use_io) && how_.may_write;
  return may_start ? swap_out(frame, owner) : fate::keep;
}

lru_reclaim::fate lru_reclaim::swap_out(frame_index frame, page_owner& owner) {
  const auto page = core_.frames_.info(frame);
  const auto outcome = owner.swaps_out(pfn{frame}, page.tag);
  if (outcome == write_outcome::refused) {
    core_.reclaim_.swap_used -= pages_of(frame);
    core_.set_flags(frame, page.flags - page_flag::swap_cached - page_flag::dirty);
    return fate::activate;
  }
  core_.reclaim_counts_.swap_outs += pages_of(frame);
  ctx_.done.pages_swapped_out += pages_of(frame);
  core_.set_flags(frame, page.flags - page_flag::dirty);
  if (outcome == write_outcome::written) return drop(frame);
  core_.set_flags(frame,
                  (page.flags - page_flag::dirty) | page_flag::writeback | page_flag::reclaim);
  return fate::keep;
}

lru_reclaim::fate lru_reclaim::drop(frame_index frame) {
  if (!core_.is_given_up(frame)) return fate::keep;
  const auto order = core_.frames_.mark_at(pfn{frame}).order();
  const auto pages = frame_count{1} << order;
  reclaimed_ += pages;
  (how_.by == reclaimer::direct ? core_.reclaim_counts_.pages_reclaimed_direct
                                : core_.reclaim_counts_.pages_reclaimed_kswapd) += pages;
  ctx_.done.pages_reclaimed += pages;
  core_.frames_.set_info(frame, {});
  core_.free_block(ctx_, frame, order);
  for (auto* observer : core_.observers_) {
    observer->on_reclaim({pfn{frame}, memsim::order{order}, how_.by});
  }
  return fate::gone;
}

// Modelling assumption: the writers that are woken begin with just these pages.
void lru_reclaim::write_back(const std::vector<frame_index>& pages) {
  for (const auto frame : pages) {
    const auto page = core_.frames_.info(frame);
    const auto outcome = core_.owner_of(page)->writes(pfn{frame}, page.tag);
    if (outcome == write_outcome::refused) continue;
    ++core_.reclaim_counts_.writes_started;
    ctx_.done.pages_written_back += pages_of(frame);
    core_.begin_writeback(frame);
    if (outcome == write_outcome::written) core_.end_writeback(frame);
  }
}

}  // namespace detail
}  // namespace memsim
