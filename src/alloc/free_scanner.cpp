// SPDX-License-Identifier: Apache-2.0
// Where compaction finds free pages (compaction A7, B5 to B9).
#include "alloc/free_scanner.hpp"

#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {
namespace {

constexpr std::uint64_t block_size = pageblock_frames;
constexpr std::uint64_t widest_stride = 32;

constexpr std::uint64_t block_start(std::uint64_t frame) { return frame / block_size * block_size; }

}  // namespace

void target_pages::add(frame_index block, unsigned order) {
  size_ += std::uint64_t{1} << order;
  if (how_ == target_rule::pages) {
    found_.emplace_back(block, order);
  } else {
    blocks_[order].push_back(block);
  }
}

// A7.5: of the block taken last the highest page comes first.
void target_pages::end_search() {
  for (const auto& [block, order] : found_) {
    for (frame_index page = block; page < block + (1u << order); ++page) {
      blocks_[0].push_front(page);
    }
  }
  found_.clear();
}

frame_index target_pages::take(allocator_core& core, unsigned wanted) {
  unsigned order = wanted;
  while (order < page_orders && blocks_[order].empty()) ++order;
  if (order == page_orders) return no_frame;
  const auto page = blocks_[order].front();
  blocks_[order].pop_front();
  while (order > wanted) {
    --order;
    blocks_[order].push_front(page + (1u << order));
  }
  size_ -= std::uint64_t{1} << wanted;
  core.hand_out(page, wanted);
  return page;
}

void target_pages::give_back(frame_index block, unsigned order) {
  blocks_[order].push_front(block);
  size_ += std::uint64_t{1} << order;
}

std::uint64_t target_pages::release(allocator_core& core, context& ctx) {
  std::uint64_t highest = 0;
  for (unsigned order = 0; order < page_orders; ++order) {
    for (const auto block : blocks_[order]) {
      highest = std::max<std::uint64_t>(highest, block);
      core.hand_out(block, order);
      core.free_block(ctx, block, order);
    }
    blocks_[order].clear();
  }
  size_ = 0;
  return highest;
}

void free_scanner::find(std::uint64_t migrate, std::uint64_t& position, std::uint64_t wanted) {
  wanted_ = wanted;
  search_lists(migrate, position);
  if (targets_.size() == 0) scan_blocks(migrate, position);
  targets_.end_search();
}

// Where a search of the lists would like its block to be, and what it came upon.
struct free_scanner::window {
  std::uint64_t low;          // at or above this a block is taken at once
  std::uint64_t min;          // at or above this it will do
  std::uint64_t highest = 0;  // start of the highest pageblock seen
  std::uint32_t limit;        // entries to look at in one list
  bool has_best = false;      // one that will do was found
  std::uint64_t seen = 0;
};

// A7.1.
void free_scanner::search_lists(std::uint64_t migrate, std::uint64_t& position) {
  if (how_.order <= 0) return;
  const auto& profile = core_.profile_;
  const bool at_start = position >= z_.compaction.init_free;
  const std::uint64_t distance = position - migrate;
  window w{.low = block_start(position - (distance >> 2)),
           .min = block_start(position - (distance >> 1)),
           .limit = at_start ? static_cast<std::uint32_t>(block_size / 2)
                             : std::max(1u, search_limit(search_) / 2)};
  w.low = std::max(w.low, w.min);
  search_.order = std::min(how_.order - 1, search_.order);
  frame_index found = no_frame;
  for (int order = search_.order; found == no_frame && order >= 0; order = next_order(order)) {
    const auto o = static_cast<unsigned>(order);
    if (z_.free_blocks_of(memsim::order{o}) == 0) continue;
    w.seen = 0;
    found = search_list(o, w);
    if (found != no_frame && !take(found, o)) {
      // The watermark forbids this block, so it will any other.
      found = no_frame;
      order = search_.order + 1;
    }
    if (profile.target_search_ends_when_enough == rule::on && has_enough()) break;
    if (w.seen >= w.limit) w.limit = std::max(1u, w.limit / 2);
  }
  std::uint64_t around = found;
  bool looks = found != no_frame;
  if (!looks) {
    ++search_.failures;
    if (at_start) {
      if (w.highest >= w.min) {
        position = around = w.highest;
        looks = true;
      } else if (how_.direct && core_.has_descriptor(w.min)) {
        looks = core_.is_pageblock_of(z_, w.min) &&
                (profile.midway_pageblock_must_suit == rule::off || is_suitable_target(w.min));
        position = around = w.min;
      }
    }
  }
  if (w.highest != 0 && w.highest >= z_.compaction.free) {
    z_.compaction.free = w.highest - block_size;
  }
  if (looks) look_around(around);
}

// One list, from its tail.
frame_index free_scanner::search_list(unsigned order, window& w) {
  auto& list = z_.lists[list_number(order, migratetype::movable)];
  std::uint64_t best = 0;
  frame_index found = no_frame;
  auto stop = list.last();  // one past the entry that the search ended at
  bool ended = false;
  if (z_.free_blocks[order][static_cast<unsigned>(migratetype::movable)] == 0) return no_frame;
  free_list::position best_at = 0;
  for (auto at = list.last(); at != list.first();) {
    --at;
    if (!is_current(core_.frames_, list, at, order, migratetype::movable)) continue;
    const std::uint64_t frame = list[at];
    ++w.seen;
    stop = at;
    if (frame >= w.highest) {
      w.highest = std::max(block_start(frame), z_.extent.start.value());
    }
    if (frame >= w.low) {
      search_.failures = 0;
      search_.order = static_cast<int>(order);
      found = static_cast<frame_index>(frame);
      ended = true;
      break;
    }
    if (frame >= w.min && frame > best) {
      best = frame;
      best_at = at;
      w.limit >>= 1;
    }
    if (w.seen >= w.limit) {
      ended = true;
      break;
    }
  }
  if (found == no_frame && best != 0) {
    found = static_cast<frame_index>(best);
    stop = best_at;
    ended = true;
  }
  if (ended) core_.rotate(z_, order, migratetype::movable, stop);
  return found;
}

// The orders go down and round; passing the one that the search began with lowers it and ends.
int free_scanner::next_order(int order) {
  --order;
  if (order < 0) order = how_.order - 1;
  if (order != search_.order) return order;
  --search_.order;
  if (search_.order < 0) search_.order = how_.order - 1;
  return -1;
}

// The rest of the pageblock that a search of the lists came upon.
void free_scanner::look_around(std::uint64_t frame) {
  if (has_enough() || (how_.direct && how_.mode == migration_mode::async)) return;
  const auto first = std::max(block_start(frame), z_.extent.start.value());
  const auto last = std::min(block_start(frame) + block_size, z_.extent.end().value());
  if (!core_.is_pageblock_of(z_, first)) return;
  std::uint64_t taken = 0;
  const auto reached = scan_block(first, last, 1, taken);
  const bool exhausted = core_.profile_.surroundings == surroundings_hint::not_enough
                             ? !has_enough()
                             : reached == last;
  if (exhausted) core_.frames_.set_skip_hint(static_cast<frame_index>(frame / block_size));
}

// A7.2.
void free_scanner::scan_blocks(std::uint64_t migrate, std::uint64_t& position) {
  const bool passes = core_.profile_.cached_free_passes_pageblock == rule::on;
  std::uint64_t start = position;
  std::uint64_t block = block_start(position);
  std::uint64_t end = std::min(block + block_size, z_.extent.end().value());
  const std::uint64_t low = block_start(migrate) + block_size;
  std::uint64_t stride = how_.mode == migration_mode::async ? widest_stride : 1;
  for (; block >= low; end = block, block -= block_size, start = block) {
    const auto number = static_cast<frame_index>(block / block_size);
    if (!core_.is_pageblock_of(z_, block) || !is_suitable_target(block)) continue;
    if (!how_.ignores_hints && core_.frames_.skip_hint(number)) continue;
    std::uint64_t taken = 0;
    start = scan_block(start, end, stride, taken);
    if (start == end) {
      core_.frames_.set_skip_hint(number);
      auto& cached = z_.compaction.free;
      cached = std::min(cached, passes ? block - block_size : block);
    }
    if (has_enough()) {
      if (start >= end) start = block - block_size;
      break;
    }
    if (start < end) break;
    stride = taken != 0 ? 1 : std::min(widest_stride, stride * 2);
  }
  position = start;
}

// A7.3. 6.12 looks at the pages of a compound page that goes on in the next pageblock one by one
// (B7): none of them is free, so it comes to the same.
// \return where it stopped
std::uint64_t free_scanner::scan_block(std::uint64_t first, std::uint64_t last,
                                       std::uint64_t stride, std::uint64_t& taken) {
  std::uint64_t frame = first;
  for (; frame < last; frame += stride) {
    const auto mark = core_.frames_.mark_at(pfn{frame});
    const std::uint64_t size = std::uint64_t{1} << mark.order();
    if (mark.is_compound()) {
      frame += size - 1;
      continue;
    }
    if (mark.use() != frame_use::free) continue;
    if (!take(static_cast<frame_index>(frame), mark.order())) break;
    taken += size;
    if (has_enough()) {
      frame += size;
      break;
    }
    frame += size - 1;
  }
  const auto reached = std::min(frame, last);
  ctx_.done.pages_scanned += reached - first;
  core_.counts_.free_scanned += reached - first;
  core_.report_scan(scan_event::scanner::free, first, reached, taken);
  return reached;
}

bool free_scanner::is_suitable_target(std::uint64_t block) const {
  const auto mark = core_.frames_.mark_at(pfn{std::max(block, z_.extent.start.value())});
  unsigned largest = pageblock_order.value();
  if (core_.profile_.spares_wanted_order == rule::on && how_.order >= 0) {
    largest = static_cast<unsigned>(how_.order);
  }
  if (mark.use() == frame_use::free && mark.order() >= largest) return false;
  if (how_.any_block) return true;
  const auto type = core_.block_type(static_cast<frame_index>(block));
  return type == migratetype::movable || type == migratetype::cma;
}

// A7.4.
bool free_scanner::take(frame_index block, unsigned order) {
  const std::int64_t pages = std::int64_t{1} << order;
  const attempt how{.mark = watermark::min, .cma = true};
  const auto mark = z_.marks.min + static_cast<std::uint64_t>(pages);
  // As for a request that could use the lowest zone only: no zone keeps anything back from those.
  if (margin_above(core_.profile_, z_, zone_type::dma, how, mark) <= 0) return false;
  auto a = allocator_core::act(ctx_, z_);
  const auto type = core_.profile_.counters == counter_rule::per_block
                        ? static_cast<migratetype>(core_.frames_.mark(block, order).list())
                        : core_.block_type(block);
  core_.count_block(a, -pages, type);
  core_.remove(a, block, order);
  if (order >= pageblock_order.value() - 1) retype(block, order);
  targets_.add(block, order);
  return true;
}

// What is taken in large pieces will hold movable pages: its pageblocks become movable.
void free_scanner::retype(frame_index block, unsigned order) {
  auto a = allocator_core::act(ctx_, z_);
  const auto first = static_cast<frame_index>(block_start(block));
  for (frame_index b = first; b < block + (1u << order);
       b += static_cast<frame_index>(block_size)) {
    if (!is_mergeable(core_.block_type(b))) continue;
    if (core_.profile_.retyping_moves_blocks == rule::on) {
      if (!core_.pageblock_range(z_, b).whole) continue;
      core_.for_each_free_block(b, [&](frame_index frame, unsigned o) {
        core_.move_alone(a, frame, o, migratetype::movable);
      });
    }
    core_.set_block_type(b, migratetype::movable);
  }
}

}  // namespace memsim::detail
