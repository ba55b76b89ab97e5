// SPDX-License-Identifier: Apache-2.0
// The LRU lists, and the batches in which pages wait for them.
#include <algorithm>

#include "alloc/allocator_core.hpp"
#include "alloc/hot_path.hpp"

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
    : lists{other.lists},
      pages{other.pages},
      batches{other.batches},
      bypass{other.bypass},
      frames_{other.frames_} {
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

// On the list that its flags say.
void allocator_core::link_lru(frame_index frame, page_flags flags, list_end end) {
  auto& list = lru_list_of(flags);
  if (end == list_end::head) {
    list.push_front(lru_.links(frames_), frame);
  } else {
    list.push_back(lru_.links(frames_), frame);
  }
  lru_pages_of(frame, flags) += 1u << frames_.mark_at(pfn{frame}).order();
}

void allocator_core::unlink_lru(frame_index frame, page_flags flags) {
  lru_list_of(flags).remove(lru_.links(frames_), frame);
  lru_pages_of(frame, flags) -= 1u << frames_.mark_at(pfn{frame}).order();
}

std::uint64_t& allocator_core::lru_pages_of(frame_index frame, page_flags flags) {
  const auto zone = static_cast<unsigned>(zone_of(frame).extent.type);
  return lru_.pages[zone][static_cast<unsigned>(lru_of(flags))];
}

void allocator_core::put_on_lru(frame_index frame, list_end end) {
  const auto flags = frames_.info(frame).flags;
  link_lru(frame, flags, end);
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
    unlink_lru(frame, flags);
    flag_movable(frame, false);
  } else if (flags.has_any(page_flag::lru_pending)) {
    for (auto& batch : lru_.batches) std::erase(batch, frame);
  } else {
    return;
  }
  set_flags(frame, flags - (page_flag::lru | page_flag::lru_pending));
}

}  // namespace memsim::detail
