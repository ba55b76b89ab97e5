// SPDX-License-Identifier: Apache-2.0
// Per-CPU page sets: allocation and refill (A5, B4), frees, trimming and drains (A10, B6, B7).
#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/merging.hpp"

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
    derive_trim(a.z, pcp);
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
    ring.reserve_more(1);
    ring.push_back({block.frame, block.type});
    a.pcp.count += size;
    if (counts_at_once && block.type == migratetype::cma) change_cma(a, -std::int64_t{size});
  }
  if (counts_at_once) change_free(a, -std::int64_t{a.pcp.count - before});
}

// As many blocks of the request's own type as there are and are wanted.
void allocator_core::refill_by_run(actor& a, const request& wanted, page_ring& ring,
                                   std::uint32_t& blocks) {
  const unsigned order = wanted.order;
  ring.reserve_more(blocks);
  std::uint32_t taken = 0;
  while (taken < blocks) {
    const auto run = take_run(a, order, wanted.type, blocks - taken);
    if (run.count == 0) break;
    ring.append(run.count, [&, this](std::uint32_t i) {
      const frame_index frame = run.first + (i << order);
      frames_.mark(frame, order) = frame_mark::per_cpu(order);
      if (order == 0) __builtin_prefetch(frames_.pages_out() + frame / 64, 1);
      return packed_page{frame, wanted.type};
    });
    taken += run.count;
  }
  const std::int64_t size = std::int64_t{1} << order;
  a.pcp.count += taken << order;
  if (profile_.counters == counter_rule::per_block) change_free(a, -size, taken);
  blocks -= taken;
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
  auto a = act(ctx, zone_of(frame));
  const auto type = block_type(frame);
  if (frames_.info(frame) != page_info{}) forget_use(frame);
  const unsigned list = pcp_list_of(order, is_mergeable(type) ? type : migratetype::movable);
  if (list != pcp_lists && type != migratetype::isolate) {
    frames_.end_allocation(frame, order, frame_mark::per_cpu(order));
    return free_to_pcp(a, {frame, type}, order, list);
  }
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

// A10.1 and A10.2.
void allocator_core::free_to_pcp(actor& a, packed_page page, unsigned order, unsigned list) {
  auto& blocks = a.pcp.lists[list];
  blocks.reserve_more(1);
  blocks.push_front(page);
  a.pcp.count += 1u << order;
  const bool free_high = is_free_high(a.pcp, order, a.pcp.count);
  note_free(a.pcp, order);
  if (profile_.pcp == pcp_rule::fixed_high) {
    trim_to_fixed_high(a, list, free_high);
  } else {
    trim_to_adaptive_high(a, list, free_high);
  }
  derive_trim(a.z, a.pcp);
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
  pcp.high = clamped(pcp.high, pcp.high_min, pcp.high_max);
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
    set_below_high(a.z, false);
  }
}

// Brings what a bulk free will touch into the cache, some blocks ahead: the marks of the block and
// of nearly all buddies, and the place of what it will merge into. Inlined, because g++ takes a
// function that only prefetches for one without effect and drops the call.
[[gnu::always_inline]] inline void allocator_core::prefetch_for_free(const page_ring& ring,
                                                                     unsigned order) {
  constexpr std::uint32_t ahead = 16;
  if (ring.size() <= ahead) return;
  const frame_index frame = ring[ring.last() - 1 - ahead].frame();
  __builtin_prefetch(&frames_.mark(frame, order), 1);
  __builtin_prefetch(&frames_.place(frame, order), 1);
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
  const std::uint32_t size = 1u << order;
  const std::uint32_t blocks = std::min((pages + size - 1) / size, ring.size());
  if (a.z.isolated_blocks > 0 || capture_zone_ == &a.z) [[unlikely]] {
    free_blocks_watchfully(a, ring, blocks, order);
  } else {
    if (order == 0) {
      free_blocks(a, ring, blocks, 0);
    } else {
      free_blocks(a, ring, blocks, order);
    }
    change_free(a, size, blocks);
  }
  a.pcp.count -= blocks * size;
  return blocks * size;
}

// Inlined, so that there is code for single pages alone.
[[gnu::always_inline]] inline void allocator_core::free_blocks(actor& a, page_ring& ring,
                                                               std::uint32_t blocks,
                                                               unsigned order) {
  const bool by_noted_type = profile_.pcp_notes_migratetype == rule::on;
  merge_result all;
  for (; blocks != 0; --blocks) {
    prefetch_for_free(ring, order);
    const auto page = ring.pop_back();
    const auto frame = page.frame();
    const auto type = by_noted_type ? page.type() : block_type(frame);
    if (!is_mergeable(type)) count_special(a, std::int64_t{1} << order, type);
    frames_.mark(frame, order) = {};
    const auto one = merge(a, frame, order, type);
    all.merged += one.merged;
    all.listed += one.listed;
  }
  count_merges(a, all);
}

// The same, one by one, while pageblocks are isolated (contig A1) or a request waits for a block.
void allocator_core::free_blocks_watchfully(actor& a, page_ring& ring, std::uint32_t blocks,
                                            unsigned order) {
  const bool by_noted_type = profile_.pcp_notes_migratetype == rule::on && a.z.isolated_blocks == 0;
  for (; blocks != 0; --blocks) {
    const auto page = ring.pop_back();
    frames_.mark(page.frame(), order) = {};
    give_back(a, page.frame(), order, by_noted_type ? page.type() : block_type(page.frame()));
  }
}

void allocator_core::drain_zone_everywhere(context& ctx, zone& z) {
  for (unsigned cpu = 0; cpu < cpus_; ++cpu) drain_zone(ctx, z, cpu_id{cpu});
}

// A10, drain.
void allocator_core::drain_zone(context& ctx, zone& z, cpu_id cpu) {
  auto a = act_on(ctx, z, cpu);
  while (a.pcp.count > 0) {
    bulk_free(a, a.pcp.largest_batch, 0);
  }
}

}  // namespace memsim::detail
