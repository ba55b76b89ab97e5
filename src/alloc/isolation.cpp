// SPDX-License-Identifier: Apache-2.0
// Pageblocks withheld from allocation, and given back (contig A1 to A4, A8, B2).
#include "alloc/isolation.hpp"

#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/merging.hpp"

namespace memsim::detail {
namespace {

constexpr auto block_size = static_cast<frame_index>(pageblock_frames);
constexpr auto huge = pageblock_order.value();

}  // namespace

range_isolation::range_isolation(allocator_core& core, context& ctx, zone& z, frame_index first,
                                 frame_index last, migratetype type)
    : core_{core},
      a_{allocator_core::act(ctx, z)},
      first_{first},
      last_{last},
      start_{first / block_size * block_size},
      end_{(last + block_size - 1) / block_size * block_size},
      type_{type} {}

// A4.1: the ends first, then what is between.
bool range_isolation::isolate() {
  const frame_index final_block = end_ - block_size;
  if (!isolate_block(start_, start_, start_ + block_size)) return false;
  if (!split_at(start_)) {
    release_block(start_);
    return false;
  }
  if (final_block != start_ && !isolate_block(final_block, final_block, end_)) {
    release_block(start_);
    return false;
  }
  if (!split_at(end_)) {
    release_block(start_);
    if (final_block != start_) release_block(final_block);
    return false;
  }
  for (frame_index block = start_ + block_size; block < final_block; block += block_size) {
    if (isolate_block(block, std::max(block, first_), std::min(block + block_size, last_))) {
      continue;
    }
    for (frame_index done = start_; done < block; done += block_size) release_block(done);
    release_block(final_block);
    return false;
  }
  return true;
}

// A8.
void range_isolation::release() {
  for (frame_index block = start_; block < end_; block += block_size) release_block(block);
}

// A2: whether the pages of a block between two frames are free, or can be got out of the way. A pin
// is not seen here.
bool range_isolation::can_be_emptied(frame_index first, frame_index last) const {
  const auto& frames = core_.frames_;
  const auto type = core_.block_type(first);
  if (type == migratetype::cma) return type_ == migratetype::cma;
  constexpr unsigned top = max_page_order.value();
  const auto around = frames.mark(first & ~((1u << top) - 1), top);
  if (first % (1u << top) != 0 && around.order() == top) {
    // The latter half of a block: if it is not compound, its pages count no references.
    if (around.use() == frame_use::free) return true;
    if (around.use() == frame_use::allocated) return !around.is_compound() || around.movable();
  }
  for (frame_index frame = first; frame < last;) {
    const auto mark = frames.mark_at(pfn{frame});
    switch (mark.use()) {
      case frame_use::free: frame += 1u << mark.order(); break;
      case frame_use::per_cpu: frame += 1u << mark.order(); break;
      case frame_use::allocated:
        if (!mark.movable()) return false;
        frame += 1u << mark.order();
        break;
      case frame_use::none:
        if (!is_free_of_references(frame)) return false;
        ++frame;
        break;
    }
  }
  return true;
}

// Of a frame that begins no block: in use since before the allocator, or no memory.
bool range_isolation::is_free_of_references(frame_index frame) const {
  return core_.frames_.mark_at(pfn{frame}).movable() ||
         core_.frames_.info(frame).flags.has_any(page_flag::tail);
}

// A3, B2.
bool range_isolation::isolate_block(frame_index block, frame_index first, frame_index last) {
  if (!core_.is_described_in(a_.z, std::max(block, zone_first()))) return false;
  const bool whole = core_.pageblock_range(a_.z, block).whole;
  const auto old_type = core_.block_type(block);
  if (old_type == migratetype::isolate) return false;
  if (core_.profile_.isolation == isolation_rule::split_blocks && !whole) return false;
  if (!can_be_emptied(first, last)) return false;
  ++a_.done.zone_lock_acquisitions;
  if (core_.profile_.isolation == isolation_rule::split_blocks) {
    retype(block, migratetype::isolate);
  } else {
    core_.set_block_type(block, migratetype::isolate);
    if (whole) {
      const auto moved = move_free(block, migratetype::isolate);
      core_.count_block(a_, -moved, old_type);
    }
  }
  ++a_.z.isolated_blocks;
  return true;
}

void range_isolation::release_block(frame_index block) {
  if (core_.block_type(block) != migratetype::isolate) return;
  ++a_.done.zone_lock_acquisitions;
  const auto mark = core_.frames_.mark(block, huge);
  const frame_index buddy = block ^ block_size;
  const bool merges = mark.is_free(huge) && core_.frames_.mark(buddy, huge).is_free(huge) &&
                      core_.block_type(buddy) != migratetype::isolate;
  if (merges) {
    core_.remove(a_, block, huge);
    core_.set_block_type(block, type_);
    core_.count_block(a_, std::int64_t{block_size}, type_);
    core_.merge_large(a_, block, huge, type_, list_end::tail);
  } else if (core_.profile_.isolation == isolation_rule::split_blocks) {
    retype(block, type_);
  } else {
    const bool whole = core_.pageblock_range(a_.z, block).whole;
    if (whole) core_.count_block(a_, move_free(block, type_), type_);
    core_.set_block_type(block, type_);
  }
  --a_.z.isolated_blocks;
}

// A3.3: the free blocks that begin in a pageblock, ascending, to the tails of a type's lists; their
// pages, which are not counted.
std::int64_t range_isolation::move_free(frame_index block, migratetype type) {
  std::int64_t pages = 0;
  core_.for_each_free_block(block, [&](frame_index frame, unsigned order) {
    core_.remove(a_, frame, order);
    core_.insert(a_, frame, order, type, list_end::tail);
    pages += std::int64_t{1} << order;
  });
  a_.done.pages_scanned += block_size;
  return pages;
}

// B2: the pageblock and its free blocks get another type; a free block larger than it falls in two.
void range_isolation::retype(frame_index block, migratetype type) {
  constexpr unsigned top = max_page_order.value();
  const frame_index head = block & ~((1u << top) - 1);
  const auto mark = core_.frames_.mark(head, top);
  if (mark.is_free(top)) {
    core_.remove(a_, head, top);
    core_.count_block(a_, -(std::int64_t{1} << top), static_cast<migratetype>(mark.list()));
    core_.set_block_type(block, type);
    for (const frame_index half : {head, head + block_size}) {
      core_.give_back(a_, half, huge, core_.block_type(half));
    }
    return;
  }
  core_.for_each_free_block(
      block, [&](frame_index frame, unsigned order) { core_.move_alone(a_, frame, order, type); });
  a_.done.pages_scanned += block_size;
  core_.set_block_type(block, type);
}

// A4.2: a free block across the boundary of two pageblocks becomes two; false if one in use is
// there.
bool range_isolation::split_at(frame_index boundary) {
  if (core_.profile_.isolation == isolation_rule::split_blocks) return true;
  constexpr unsigned top = max_page_order.value();
  if (boundary % (1u << top) == 0) return true;
  const frame_index head = boundary - block_size;
  const auto mark = core_.frames_.mark(head, top);
  if (mark.is_compound() && mark.order() == top) return false;
  if (!mark.is_free(top)) return true;
  const auto head_type = core_.block_type(head);
  core_.count_block(a_, -(std::int64_t{1} << top), head_type);
  core_.remove(a_, head, top);
  for (const frame_index half : {head, boundary}) {
    core_.give_back(a_, half, huge, core_.block_type(half));
  }
  return true;
}

}  // namespace memsim::detail
