// SPDX-License-Identifier: Apache-2.0
// Pages that are used, changed and written; slots of swap.
#include "alloc/checks.hpp"
#include "alloc/hot_path.hpp"

namespace memsim {
namespace detail {
namespace {

frame_index lru_page(const allocator_core& core, pfn page) {
  const auto frame = static_cast<frame_index>(page.value());
  constexpr auto known = page_flag::lru | page_flag::lru_pending;
  if (page >= core.frames_.end() || !core.frames_.info(frame).flags.has_any(known)) {
    throw_usage("frame {} is not a page on the LRU lists but {}", page, describe(core, page));
  }
  return frame;
}

}  // namespace

void allocator_core::begin_writeback(frame_index frame) {
  set_flags(frame, (frames_.info(frame).flags - page_flag::dirty) | page_flag::writeback);
}

// What reclaim waits for goes to the tail of its inactive list, unless it was changed meanwhile.
void allocator_core::end_writeback(frame_index frame) {
  const auto flags = frames_.info(frame).flags - page_flag::writeback;
  set_flags(frame, flags);
  if (!flags.has_any(page_flag::reclaim)) return;
  const auto now = flags - page_flag::reclaim;
  set_flags(frame, now);
  if (!flags.has_any(page_flag::lru) || flags.has_any(page_flag::dirty | page_flag::unevictable)) {
    return;
  }
  unlink_lru(frame, now);
  set_flags(frame, now - page_flag::active);
  link_lru(frame, now - page_flag::active, list_end::tail);
}

bool allocator_core::take_swap_slots(frame_count pages) {
  if (reclaim_.swap_slots - reclaim_.swap_used < pages) {
    ++reclaim_counts_.swap_full;
    return false;
  }
  reclaim_.swap_used += pages;
  return true;
}

}  // namespace detail

void page_allocator::mark_accessed(pfn page) {
  core_->mark_accessed(detail::lru_page(*core_, page));
}

void page_allocator::mark_dirty(pfn page) {
  const auto frame = detail::lru_page(*core_, page);
  core_->set_flags(frame, core_->frames_.info(frame).flags | page_flag::dirty);
}

void page_allocator::start_writeback(pfn page) {
  const auto frame = detail::lru_page(*core_, page);
  if (core_->frames_.info(frame).flags.has_any(page_flag::writeback)) {
    throw_usage("page {} is under writeback already", page);
  }
  core_->begin_writeback(frame);
}

void page_allocator::end_writeback(pfn page) {
  if (page >= core_->frames_.end()) {
    throw_usage("frame {} is beyond memory, which ends at {}", page, core_->frames_.end());
  }
  const auto frame = static_cast<detail::frame_index>(page.value());
  if (!core_->frames_.info(frame).flags.has_any(page_flag::writeback)) {
    throw_usage("frame {} is not under writeback: it is {}", page,
                core_->frames_.info(frame).flags);
  }
  core_->end_writeback(frame);
}

void page_allocator::set_swap(frame_count slots) {
  auto& swap = core_->reclaim_;
  if (slots < swap.swap_used) {
    throw_usage("a swap of {} pages, while {} are in use", slots, swap.swap_used);
  }
  swap.swap_slots = slots;
}

frame_count page_allocator::swap_size() const { return core_->reclaim_.swap_slots; }

frame_count page_allocator::free_swap() const {
  return core_->reclaim_.swap_slots - core_->reclaim_.swap_used;
}

void page_allocator::release_swap(frame_count slots) {
  auto& swap = core_->reclaim_;
  if (slots > swap.swap_used) {
    throw_usage("{} slots of swap are released, while {} are in use", slots, swap.swap_used);
  }
  swap.swap_used -= slots;
}

}  // namespace memsim
