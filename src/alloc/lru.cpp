// SPDX-License-Identifier: Apache-2.0
// The LRU lists, and the batches in which pages wait for them.
#include <algorithm>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

lru_kind lru_of(page_flags flags) {
  if (flags.has_any(page_flag::unevictable)) return lru_kind::unevictable;
  const bool active = flags.has_any(page_flag::active);
  if (flags.has_any(page_flag::swap_backed)) {
    return active ? lru_kind::active_anonymous : lru_kind::inactive_anonymous;
  }
  return active ? lru_kind::active_file : lru_kind::inactive_file;
}

// Only frames on a list have links worth copying.
lru_state::lru_state(const lru_state& other)
    : lists{other.lists}, batches{other.batches}, bypass{other.bypass}, frames_{other.frames_} {
  if (!other.links_) return;
  links_.emplace(frames_);
  for (const auto& list : lists) {
    for (auto frame = list.head(); frame != frame_list::none; frame = (*links_)[frame].next) {
      (*links_)[frame] = (*other.links_)[frame];
    }
  }
}

lru_state& lru_state::operator=(const lru_state& other) {
  if (this != &other) *this = lru_state{other};
  return *this;
}

frame_links& lru_state::links(const frame_table& frames) {
  if (!links_) {
    frames_ = frames.pageblocks() * pageblock_frames;
    links_.emplace(frames_);
  }
  return *links_;
}

frame_list& allocator_core::lru_list_of(page_flags flags) {
  return lru_.lists[static_cast<unsigned>(lru_of(flags))];
}

void allocator_core::set_flags(frame_index frame, page_flags flags) {
  auto page = frames_.info(frame);
  page.flags = flags;
  frames_.set_info(frame, page);
}

void allocator_core::put_on_lru(frame_index frame) {
  const auto flags = frames_.info(frame).flags;
  lru_list_of(flags).push_front(lru_.links(frames_), frame);
  set_flags(frame, (flags - page_flag::lru_pending) | page_flag::lru);
  flag_movable(frame, true);
}

// A page waits until its CPU's batch is full; until then it is on no list. Huge pages do not wait.
void allocator_core::add_to_lru(cpu_id cpu, frame_index frame) {
  if (order_of(frame) > 0) return put_on_lru(frame);
  set_flags(frame, frames_.info(frame).flags | page_flag::lru_pending);
  auto& batch = lru_.batches[cpu.value()];
  batch.push_back(frame);
  if (lru_.bypass > 0 || batch.size() >= profile_.lru_batch) flush_lru_batch(cpu);
}

void allocator_core::flush_lru_batch(cpu_id cpu) {
  auto& batch = lru_.batches[cpu.value()];
  for (const auto frame : batch) put_on_lru(frame);
  batch.clear();
}

void allocator_core::flush_lru_batches() {
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) flush_lru_batch(cpu_id{cpu});
}

void allocator_core::take_off_lru(frame_index frame) {
  const auto flags = frames_.info(frame).flags;
  if (flags.has_any(page_flag::lru)) {
    lru_list_of(flags).remove(lru_.links(frames_), frame);
    flag_movable(frame, false);
  } else if (flags.has_any(page_flag::lru_pending)) {
    for (auto& batch : lru_.batches) std::erase(batch, frame);
  } else {
    return;
  }
  set_flags(frame, flags - (page_flag::lru | page_flag::lru_pending));
}

}  // namespace memsim::detail
