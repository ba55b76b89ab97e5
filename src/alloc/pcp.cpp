// SPDX-License-Identifier: Apache-2.0
// Per-CPU page sets: allocation and refill (A5, B4), frees, trimming and drains (A10, B6, B7).
#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/hot_path.hpp"

namespace memsim::detail {
namespace {

// x - y, but not below the floor.
std::uint32_t reduced(std::uint32_t x, std::uint32_t y, std::uint32_t floor) {
  return std::max(x > y ? x - y : 0, floor);
}

}  // namespace

// A5.
frame_index allocator_core::allocate_from_pcp(actor& a, const request& wanted, attempt how,
                                              unsigned list) {
  auto& pcp = a.pcp;
  if (profile_.pcp == pcp_rule::fixed_high) {
    pcp.free_factor >>= 1;
  } else {
    pcp.free_count >>= 1;
  }
  auto& ring = pcp.lists[list];
  if (ring.empty()) {
    refill(a, wanted, how, ring);
    if (ring.empty()) return no_frame;
  }
  pcp.count -= 1u << wanted.order;
  return ring.pop_front().frame();
}

// A5.2: pages in the order found, the first at the head.
void allocator_core::refill(actor& a, const request& wanted, attempt how, page_ring& ring) {
  ++a.done.pcp_refills;
  ++a.done.zone_lock_acquisitions;
  const bool counts_at_once = profile_.counters == counter_rule::per_operation;
  const std::uint32_t size = 1u << wanted.order;
  const std::uint32_t before = a.pcp.count;
  std::uint32_t blocks = refill_size(a, wanted.order);
  auto mode = search_mode::normal;
  while (blocks > 0) {
    // Where no CMA page can come between, blocks of the own type come in runs.
    if (mode == search_mode::normal && (!how.cma || read_counter(a.z.free_cma) == 0)) {
      refill_by_run(a, wanted, ring, blocks);
      if (blocks == 0) break;
    }
    const auto block = choose(a, wanted, how, mode);
    if (!block) break;
    --blocks;
    frames_.mark(block.frame, wanted.order) = frame_mark::per_cpu(wanted.order);
    ring.push_back({block.frame, block.type});
    a.pcp.count += size;
    if (counts_at_once && block.type == migratetype::cma) change_cma(a, -std::int64_t{size});
  }
  if (counts_at_once) change_free(a, -std::int64_t{a.pcp.count - before});
}

// As many blocks of the request's own type as there are and are wanted.
void allocator_core::refill_by_run(actor& a, const request& wanted, page_ring& ring,
                                   std::uint32_t& blocks) {
  const std::uint32_t size = 1u << wanted.order;
  while (blocks > 0) {
    const auto run = take_run(a, wanted.order, wanted.type, blocks);
    if (run.count == 0) return;
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const frame_index frame = run.first + i * size;
      frames_.mark(frame, wanted.order) = frame_mark::per_cpu(wanted.order);
      ring.push_back({frame, wanted.type});
      if (profile_.counters == counter_rule::per_block) change_free(a, -std::int64_t{size});
    }
    a.pcp.count += run.count * size;
    blocks -= run.count;
  }
}

// A5.2, B4: how many blocks to refill.
std::uint32_t allocator_core::refill_size(actor& a, unsigned order) {
  auto& pcp = a.pcp;
  std::uint32_t blocks = pcp.batch;
  if (profile_.pcp == pcp_rule::adaptive_high) {
    pcp.high = clamped(pcp.high, pcp.high_min, pcp.high_max);
    if (pcp.high < pcp.batch) return 1;
    if (order == 0) blocks <<= pcp.alloc_factor;
    if (pcp.high_min != pcp.high_max && !a.z.below_high) {
      pcp.high = std::min(pcp.high + blocks, pcp.high_max);
    }
    if (order == 0) {
      const auto room = reduced(pcp.high, pcp.count + pcp.batch, pcp.batch);
      if (blocks <= room && pcp.alloc_factor < settings_.pcp_batch_scale_max) ++pcp.alloc_factor;
      blocks = std::min(blocks, room);
    }
  }
  return blocks > 1 ? std::max(blocks >> order, 2u) : 1;
}

// A10, B6.
void allocator_core::free(context& ctx, frame_index frame, unsigned order) {
  zone& z = zone_of(frame);
  const auto type = block_type(frame);
  const unsigned list = pcp_list_of(order, is_mergeable(type) ? type : migratetype::movable);
  if (list != pcp_lists) {
    frames_.end_allocation(frame, order, frame_mark::per_cpu(order));
    auto& pcp = z.cpus[ctx.cpu.value()];
    pcp.lists[list].reserve_slot();
    return free_to_pcp(ctx, z, pcp, {frame, type}, order, list);
  }
  auto a = act(ctx, z);
  frames_.end_allocation(frame, order, {});
  ++a.done.zone_lock_acquisitions;
  if (order > pageblock_order.value() && profile_.frees_by_pageblock == rule::on) {
    for (frame_index i = 0; i < 1u << order; i += block_frames) {
      give_back(a, frame + i, pageblock_order.value(), block_type(frame + i));
    }
  } else {
    give_back(a, frame, order, type);
  }
}

void allocator_core::trim(context& ctx, zone& z, unsigned list, bool free_high) {
  auto a = act(ctx, z);
  if (profile_.pcp == pcp_rule::fixed_high) {
    trim_to_fixed_high(a, list, free_high);
  } else {
    trim_to_adaptive_high(a, list, free_high);
  }
}

// A10.3 and A10.4.
void allocator_core::trim_to_fixed_high(actor& a, unsigned list, bool free_high) {
  auto& pcp = a.pcp;
  std::uint32_t limit = pcp.high;
  if (a.z.reclaim_active) limit = std::min(4 * pcp.batch, pcp.high);
  if (free_high) limit = 0;
  if (pcp.count < limit) return;
  if (free_high) return bulk_free(a, pcp.count, list);
  if (limit < pcp.batch) return bulk_free(a, 1, list);
  const std::uint32_t most = limit - pcp.batch;
  const std::uint32_t pages = pcp.batch << pcp.free_factor;
  if (pages < most && pcp.free_factor < settings_.pcp_batch_scale_max) ++pcp.free_factor;
  bulk_free(a, clamped(pages, pcp.batch, most), list);
}

// B6: the limit follows the load.
void allocator_core::trim_to_adaptive_high(actor& a, unsigned list, bool free_high) {
  auto& pcp = a.pcp;
  const std::uint32_t freed_lately = std::max(pcp.free_count, pcp.batch);
  std::uint32_t limit = pcp.high;
  if (free_high) {
    pcp.high = reduced(pcp.high, pcp.largest_batch, pcp.high_min);
    limit = 0;
  } else if (a.z.reclaim_active) {
    pcp.high = reduced(pcp.high, freed_lately, pcp.high_min);
    limit = std::min(4 * pcp.batch, pcp.high);
  } else if (pcp.high_min != pcp.high_max) {
    if (a.z.below_high) {
      pcp.high = reduced(pcp.high, freed_lately, pcp.high_min);
      limit = std::max(pcp.count, pcp.high_min);
    } else if (pcp.count >= pcp.high && pcp.high < pcp.free_count + pcp.batch) {
      pcp.high = clamped(pcp.free_count + pcp.batch, pcp.high_min, pcp.high_max);
    }
  }
  if (pcp.count < limit) return;

  if (free_high) {
    bulk_free(a, std::min(pcp.count, pcp.largest_batch), list);
  } else if (limit < pcp.batch) {
    bulk_free(a, 1, list);
  } else {
    bulk_free(a, clamped(pcp.free_count, pcp.batch, limit - pcp.batch), list);
  }
  if (a.z.below_high &&
      passes(profile_, a.z, {.highest = zone_type::movable}, {}, watermark::high)) {
    a.z.below_high = false;
  }
}

// Calls f with each block that a block, were it freed now, would merge with below pageblock order.
template <class F>
[[gnu::always_inline]] inline void for_each_merge(const frame_mark* marks, frame_index frame,
                                                  unsigned order, F f) {
  for (; order < pageblock_order.value(); ++order) {
    const frame_index buddy = frame ^ (1u << order);
    if (!marks[buddy].is_free(order)) return;
    f(buddy);
    frame &= buddy;
  }
}

// Brings what a bulk free will touch into the cache, some blocks ahead: first the marks, then the
// links of the blocks to merge with, then the links of their neighbours on the free lists. It reads
// and changes nothing that a decision depends on. Inlined, because g++ takes a function that only
// prefetches for one without effect and drops the call.
[[gnu::always_inline]] inline void allocator_core::prefetch_for_free(const page_ring& ring,
                                                                     unsigned order) const {
  constexpr std::uint32_t to_marks = 24;
  constexpr std::uint32_t to_links = 14;
  constexpr std::uint32_t to_neighbours = 6;
  if (order >= pageblock_order.value() || ring.size() <= to_marks) return;
  const auto* const marks = frames_.marks();
  const auto* const links = frames_.links(order);
  const auto ahead = [&](std::uint32_t n) { return ring[ring.size() - 1 - n].frame(); };

  __builtin_prefetch(&marks[ahead(to_marks)], 1);
  const frame_index next = ahead(to_links);
  __builtin_prefetch(&links[next], 1);
  for_each_merge(marks, next, order, [&](frame_index b) { __builtin_prefetch(&links[b], 1); });
  for_each_merge(marks, ahead(to_neighbours), order, [&](frame_index buddy) {
    __builtin_prefetch(&links[links[buddy].next], 1);
    __builtin_prefetch(&links[links[buddy].previous], 1);
  });
}

// A10.5, B7: from the tails, list after list, beginning with the one just used.
void allocator_core::bulk_free(actor& a, std::uint32_t pages, unsigned list) {
  const std::uint32_t before = a.pcp.count;
  pages = std::min(pages, before);
  if (pages == 0) return;
  ++a.done.pcp_drains;
  ++a.done.zone_lock_acquisitions;
  for (std::uint32_t freed = 0; freed < pages; list = (list + 1) % pcp_lists) {
    freed += free_from_tail(a, list, pages - freed);
  }
  if (observers_.empty()) return;
  const pcp_drain_event event{a.z.extent.type, a.cpu, before - a.pcp.count};
  for (auto* observer : observers_) observer->on_pcp_drain(event);
}

// Blocks of one list, until it is empty or so many pages have been freed; the last block may be
// more than was asked for.
std::uint32_t allocator_core::free_from_tail(actor& a, unsigned list, std::uint32_t pages) {
  auto& ring = a.pcp.lists[list];
  const unsigned order = pcp_order_of(list);
  const bool by_noted_type = profile_.pcp_notes_migratetype == rule::on;
  std::uint32_t freed = 0;
  for (; freed < pages && !ring.empty(); freed += 1u << order) {
    prefetch_for_free(ring, order);
    const auto page = ring.pop_back();
    const auto frame = page.frame();
    frames_.mark(frame, order) = {};
    give_back(a, frame, order, by_noted_type ? page.type() : block_type(frame));
  }
  a.pcp.count -= freed;
  return freed;
}

// A10, drain.
void allocator_core::drain_zone(context& ctx, zone& z, cpu_id cpu) {
  auto a = act_on(ctx, z, cpu);
  while (a.pcp.count > 0) {
    bulk_free(a, a.pcp.largest_batch, 0);
  }
}

}  // namespace memsim::detail
