// SPDX-License-Identifier: Apache-2.0
// Per-CPU page sets: allocation and refill (A5, B4), frees, trimming and drains (A10, B6, B7).
#include <algorithm>

#include "alloc/counters.hpp"
#include "alloc/free_lists.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {
namespace {

// What a huge page or an order above the costly one never does: free_high.
bool is_high_order(unsigned order) { return order >= 1 && order <= costly_order; }

std::uint32_t clamped(std::uint32_t value, std::uint32_t low, std::uint32_t high) {
  return std::min(std::max(value, low), high);
}

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
  std::int64_t pages = 0;
  auto mode = search_mode::normal;
  for (std::uint32_t n = refill_size(a, wanted.order); n > 0; --n) {
    const auto block = choose(a, wanted, how, mode);
    if (!block) break;
    frames_.mark(block.frame, wanted.order) = frame_mark::per_cpu(wanted.order);
    ring.push_back({block.frame, block.type});
    a.pcp.count += size;
    pages += size;
    if (counts_at_once && block.type == migratetype::cma) change_cma(a, -std::int64_t{size});
  }
  if (counts_at_once) change_free(a, -pages);
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
  auto a = act(ctx, *zone_of(frame));
  const auto type = block_type(frame);
  const auto listed = is_mergeable(type) ? type : migratetype::movable;
  if (const unsigned list = pcp_list_of(order, listed); list != pcp_lists) {
    return free_to_pcp(a, frame, order, type, list);
  }
  frames_.mark(frame, order) = {};
  ++a.done.zone_lock_acquisitions;
  if (order > pageblock_order.value() && profile_.frees_by_pageblock == rule::on) {
    for (frame_index i = 0; i < 1u << order; i += block_frames) {
      give_back(a, frame + i, pageblock_order.value(), block_type(frame + i));
    }
  } else {
    give_back(a, frame, order, type);
  }
}

// A10.1.
void allocator_core::free_to_pcp(actor& a, frame_index frame, unsigned order, migratetype type,
                                 unsigned list) {
  frames_.mark(frame, order) = frame_mark::per_cpu(order);
  a.pcp.lists[list].push_front({frame, type});
  a.pcp.count += 1u << order;
  if (profile_.pcp == pcp_rule::fixed_high) {
    trim(a, order, list);
  } else {
    trim_adaptive(a, order, list);
  }
}

// A10.2 to A10.4.
void allocator_core::trim(actor& a, unsigned order, unsigned list) {
  auto& pcp = a.pcp;
  const bool free_high = pcp.free_factor > 0 && is_high_order(order);
  const std::uint32_t limit = free_high              ? 0
                              : a.z.reclaim_active ? std::min(4 * pcp.batch, pcp.high)
                                                     : pcp.high;
  if (pcp.count < limit) return;
  if (free_high) return bulk_free(a, pcp.count, list);
  if (limit < pcp.batch) return bulk_free(a, 1, list);
  const std::uint32_t most = limit - pcp.batch;
  const std::uint32_t pages = pcp.batch << pcp.free_factor;
  if (pages < most && pcp.free_factor < settings_.pcp_batch_scale_max) ++pcp.free_factor;
  bulk_free(a, clamped(pages, pcp.batch, most), list);
}

// B6: the limit follows the load.
void allocator_core::trim_adaptive(actor& a, unsigned order, unsigned list) {
  auto& pcp = a.pcp;
  const std::uint32_t largest_batch = pcp.batch << settings_.pcp_batch_scale_max;
  pcp.alloc_factor >>= 1;
  const bool free_high = is_high_order(order) && pcp.free_count >= pcp.batch &&
                         pcp.previous_free_high_order &&
                         (!pcp.free_high_batch || pcp.count >= pcp.batch);
  pcp.previous_free_high_order = is_high_order(order);
  if (pcp.free_count < largest_batch) pcp.free_count += 1u << order;

  const std::uint32_t high = clamped(pcp.high, pcp.high_min, pcp.high_max);
  const std::uint32_t freed_lately = std::max(pcp.free_count, pcp.batch);
  std::uint32_t limit = high;
  pcp.high = high;
  if (free_high) {
    pcp.high = reduced(high, largest_batch, pcp.high_min);
    limit = 0;
  } else if (a.z.reclaim_active) {
    pcp.high = reduced(high, freed_lately, pcp.high_min);
    limit = std::min(4 * pcp.batch, pcp.high);
  } else if (pcp.high_min != pcp.high_max) {
    if (a.z.below_high) {
      pcp.high = reduced(high, freed_lately, pcp.high_min);
      limit = std::max(pcp.count, pcp.high_min);
    } else if (pcp.count >= high && high < pcp.free_count + pcp.batch) {
      pcp.high = clamped(pcp.free_count + pcp.batch, pcp.high_min, pcp.high_max);
    }
  }
  if (pcp.count < limit) return;

  if (free_high) {
    bulk_free(a, std::min(pcp.count, largest_batch), list);
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

// A10.5, B7: from the tails, list after list, beginning with the one just used.
void allocator_core::bulk_free(actor& a, std::uint32_t pages, unsigned list) {
  auto& pcp = a.pcp;
  pages = std::min(pages, pcp.count);
  if (pages == 0) return;
  ++a.done.pcp_drains;
  ++a.done.zone_lock_acquisitions;
  const std::uint32_t before = pcp.count;
  for (auto left = static_cast<std::int64_t>(pages); left > 0;) {
    while (pcp.lists[list].empty()) list = (list + 1) % pcp_lists;
    const unsigned order = pcp_order_of(list);
    const auto page = pcp.lists[list].pop_back();
    const auto type = profile_.pcp_notes_migratetype == rule::on ? page.type()
                                                                 : block_type(page.frame());
    frames_.mark(page.frame(), order) = {};
    pcp.count -= 1u << order;
    left -= 1u << order;
    give_back(a, page.frame(), order, type);
  }
  if (observers_.empty()) return;
  const pcp_drain_event event{a.z.extent.type, a.cpu, before - pcp.count};
  for (auto* observer : observers_) observer->on_pcp_drain(event);
}

// A10, drain.
void allocator_core::drain_zone(context& ctx, zone& z, cpu_id cpu) {
  auto a = act_on(ctx, z, cpu);
  while (a.pcp.count > 0) {
    bulk_free(a, a.pcp.batch << settings_.pcp_batch_scale_max, 0);
  }
}

}  // namespace memsim::detail
