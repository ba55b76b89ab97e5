// SPDX-License-Identifier: Apache-2.0
// The zone's request side: state, watermarks, taking, per-CPU lists. See reference_fallback.cpp and
// reference_free.cpp for the rest.
#include "alloc/reference_zone.hpp"

#include <algorithm>

namespace memsim::reference {

zone_model::zone_model(const zone_state& state, kernel version, const tuning& settings)
    : kernel_{version},
      settings_{settings},
      numbers_{state},
      pageblocks_{state.pageblocks},
      movable_{state.movable_in_use.begin(), state.movable_in_use.end()} {
  for (const auto& in_use : state.allocated) allocated_[in_use.block] = in_use.size.value();
  for (unsigned order = 0; order < page_orders; ++order) {
    for (const auto type : all_migratetypes) {
      for (const pfn block : state.free_lists[order][static_cast<unsigned>(type)]) {
        put_tail(block, order, type);
      }
    }
  }
  for (const auto& set : state.cpus) {
    auto& mine = cpus_.emplace_back();
    mine.numbers = set;
    mine.numbers.lists = {};
    for (unsigned i = 0; i < pcp_lists; ++i) {
      mine.lists[i].assign(set.lists[i].begin(), set.lists[i].end());
    }
  }
  numbers_.free_lists = {};
  numbers_.cpus.clear();
  numbers_.pageblocks.clear();
  numbers_.movable_in_use.clear();
  numbers_.allocated.clear();
}

zone_state zone_model::state() const {
  auto result = numbers_;
  result.pageblocks = pageblocks_;
  result.movable_in_use.assign(movable_.begin(), movable_.end());
  for (const auto& [block, order] : allocated_) {
    result.allocated.push_back({block, memsim::order{order}});
  }
  for (unsigned order = 0; order < page_orders; ++order) {
    for (unsigned type = 0; type < migratetypes; ++type) {
      result.free_lists[order][type].assign(lists_[order][type].begin(), lists_[order][type].end());
    }
  }
  for (const auto& set : cpus_) {
    auto& theirs = result.cpus.emplace_back(set.numbers);
    for (unsigned i = 0; i < pcp_lists; ++i) {
      theirs.lists[i].assign(set.lists[i].begin(), set.lists[i].end());
    }
  }
  return result;
}

bool zone_model::contains(pfn frame) const {
  return frame >= numbers_.extent.start && frame < numbers_.extent.end();
}

void zone_model::split(pfn block, unsigned from, unsigned to) {
  const auto size = frame_count{1} << to;
  const bool movable = movable_.contains(block);
  for (frame_count i = 0; i < frame_count{1} << from; i += size) {
    allocated_[block + i] = to;
    if (movable) movable_.insert(block + i);
  }
}

void zone_model::set_movable(pfn frame, bool movable) {
  if (movable) {
    movable_.insert(frame);
  } else {
    movable_.erase(frame);
  }
}

// A3: "global counters of the zone, which lag behind. Negative reads as 0."
std::int64_t zone_model::seen_free() const {
  return std::max<std::int64_t>(numbers_.free_pages, 0);
}
std::int64_t zone_model::seen_cma() const { return std::max<std::int64_t>(numbers_.free_cma, 0); }

std::uint64_t zone_model::mark_of(watermark mark) const {
  switch (mark) {
    case watermark::min: return numbers_.marks.min;
    case watermark::low: return numbers_.marks.low;
    case watermark::high: break;
  }
  return numbers_.marks.high;
}

// A3, first bullet; B2, first sentence
std::int64_t zone_model::unusable(const attempt& a) const {
  std::int64_t pages = (std::int64_t{1} << a.order) - 1;
  if (!a.non_blocking && !a.min_reserve && !a.highatomic) {
    pages += static_cast<std::int64_t>(kernel_ == kernel::v6_1 ? numbers_.reserved_highatomic
                                                               : numbers_.free_highatomic);
  }
  if (!a.cma_allowed) pages += seen_cma();
  return pages;
}

// A3, third bullet
bool zone_model::above(std::int64_t mark, const attempt& a) const {
  const std::int64_t f = seen_free() - unusable(a);
  std::int64_t m = mark;
  if (a.min_reserve) {
    m -= m / 2;
    if (a.non_blocking) m -= m / 4;
  }
  if (f <= m + static_cast<std::int64_t>(numbers_.reserve[a.highest_zone])) return false;
  if (a.order == 0) return true;
  for (unsigned order = a.order; order < page_orders; ++order) {
    const auto holds = [&](migratetype type) {
      return !lists_[order][static_cast<unsigned>(type)].empty();
    };
    if (holds(migratetype::unmovable) || holds(migratetype::movable) ||
        holds(migratetype::reclaimable)) {
      return true;
    }
    if (a.cma_allowed && holds(migratetype::cma)) return true;
    if (a.highatomic && holds(migratetype::highatomic)) return true;
  }
  return false;
}

// A3
bool zone_model::passes(watermark which, const attempt& a) const {
  const auto mark = static_cast<std::int64_t>(mark_of(which) + numbers_.boost);
  const auto reserve = static_cast<std::int64_t>(numbers_.reserve[a.highest_zone]);
  if (a.order == 0) {
    const auto free = seen_free();
    if (free - std::min(free, unusable(a)) > mark + reserve) return true;
  }
  if (above(mark, a)) return true;
  // The second chance without boost: A3 last bullet, B2. What counts is the attempt's own mark,
  // also while the high mark is tested.
  const bool exempt = kernel_ == kernel::v6_1 ? a.atomic : a.min_reserve;
  if (a.order == 0 && exempt && numbers_.boost > 0 && a.mark == watermark::min) {
    return above(static_cast<std::int64_t>(numbers_.marks.min), a);
  }
  return false;
}

// A2 for one zone; B1; A14, B10
std::optional<pfn> zone_model::try_zone(const attempt& a, unsigned cpu,
                                        std::vector<fallback_event>& log) {
  bool go = false;
  if (kernel_ == kernel::v6_12 && !numbers_.below_high) {
    go = passes(watermark::high, a);
    if (!go) numbers_.below_high = true;
  }
  if (!go && !passes(a.mark, a)) return std::nullopt;
  const auto block = take(a, cpu, log);
  if (kernel_ == kernel::v6_1 || a.wakes_reclaimer) numbers_.boosted = false;
  if (block) allocated_[*block] = a.order;
  return block;
}

// A4
std::optional<pfn> zone_model::take(const attempt& a, unsigned cpu,
                                    std::vector<fallback_event>& log) {
  if (a.order <= 3 || a.order == 9) {
    if (const auto block = take_per_cpu(a, cpu, log)) return block;
  }
  return take_direct(a, cpu, log);
}

std::optional<pfn> zone_model::take_direct(const attempt& a, unsigned cpu,
                                           std::vector<fallback_event>& log) {
  auto mode = fallback_mode::normal;
  std::optional<taken_block> found;
  if (a.highatomic) found = smallest_fit(a.order, migratetype::highatomic, cpu);
  if (!found) found = take_block(a, cpu, mode, log);
  if (!found && a.non_blocking) found = smallest_fit(a.order, migratetype::highatomic, cpu);
  if (!found) return std::nullopt;
  if (kernel_ == kernel::v6_1) {  // on 6.12 the block was accounted when it left its list (B3)
    account(-(std::int64_t{1} << a.order), found->type, cpu);
  }
  return found->block;
}

// A5, with "Lists: order o in 0..3: 3*o + type. Order 9: one list for movable, one for the others"
static unsigned list_for(unsigned order, migratetype type) {
  if (order == 9) return type == migratetype::movable ? 13 : 12;
  return 3 * order + static_cast<unsigned>(type);
}

std::optional<pfn> zone_model::take_per_cpu(const attempt& a, unsigned cpu,
                                            std::vector<fallback_event>& log) {
  auto& set = cpus_[cpu];
  if (kernel_ == kernel::v6_1) {
    set.numbers.free_factor /= 2;
  } else {
    set.numbers.free_count /= 2;
  }
  auto& list = set.lists[list_for(a.order, a.type)];
  if (list.empty()) refill(list, a, cpu, log);
  if (list.empty()) return std::nullopt;
  const pfn block = list.front().block;
  list.pop_front();
  set.numbers.count -= 1u << a.order;
  return block;
}

// A5.2
std::int64_t zone_model::refill_blocks_6_1(const attempt& a, const pcp_state& set) const {
  const std::int64_t batch = set.batch;
  return batch > 1 ? std::max<std::int64_t>(batch >> a.order, 2) : batch;
}

// B4
std::int64_t zone_model::refill_blocks_6_12(const attempt& a, pcp_state& set) {
  set.high = static_cast<std::uint32_t>(kernel_clamp(set.high, set.high_min, set.high_max));
  std::int64_t high = set.high;
  const std::int64_t batch = set.batch;
  if (high < batch) return 1;
  std::int64_t b = a.order == 0 ? batch << set.alloc_factor : batch;
  if (set.high_min != set.high_max && !numbers_.below_high) {
    high = std::min<std::int64_t>(high + b, set.high_max);
    set.high = static_cast<std::uint32_t>(high);
  }
  if (a.order == 0) {
    const std::int64_t x = std::max(high - std::int64_t{set.count} - batch, batch);
    if (b <= x && set.alloc_factor < settings_.pcp_batch_scale_max) ++set.alloc_factor;
    b = std::min(b, x);
  }
  return b > 1 ? std::max<std::int64_t>(b >> a.order, 2) : b;
}

void zone_model::refill(std::deque<pcp_entry>& list, const attempt& a, unsigned cpu,
                        std::vector<fallback_event>& log) {
  auto& set = cpus_[cpu].numbers;
  const std::int64_t n =
      kernel_ == kernel::v6_1 ? refill_blocks_6_1(a, set) : refill_blocks_6_12(a, set);
  const std::int64_t size = std::int64_t{1} << a.order;
  auto mode = fallback_mode::normal;
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto found = take_block(a, cpu, mode, log);
    if (!found) break;
    list.push_back({found->block, found->type});
    sum += size;
    if (kernel_ == kernel::v6_1 && found->type == migratetype::cma) change_cma(-size, cpu);
  }
  set.count += static_cast<std::uint32_t>(sum);
  // 6.1: the free counter once, by the sum, after the loop. 6.12 did it page by page (B3).
  if (kernel_ == kernel::v6_1) change_free(-sum, cpu);
}

std::optional<taken_block> zone_model::take_block(const attempt& a, unsigned cpu,
                                                  fallback_mode& mode,
                                                  std::vector<fallback_event>& log) {
  return kernel_ == kernel::v6_1 ? take_block_6_1(a, cpu, log) : take_block_6_12(a, cpu, mode, log);
}

// A6.1
bool zone_model::cma_is_ahead(const attempt& a) const {
  return a.cma_allowed && seen_cma() > seen_free() / 2;
}

// A6
std::optional<taken_block> zone_model::take_block_6_1(const attempt& a, unsigned cpu,
                                                      std::vector<fallback_event>& log) {
  if (cma_is_ahead(a)) {
    if (const auto found = smallest_fit(a.order, migratetype::cma, cpu)) return found;
  }
  do {
    if (const auto found = smallest_fit(a.order, a.type, cpu)) return found;
    if (a.cma_allowed) {
      if (const auto found = smallest_fit(a.order, migratetype::cma, cpu)) return found;
    }
  } while (fall_back_6_1(a, log));
  return std::nullopt;
}

// B5
std::optional<taken_block> zone_model::take_block_6_12(const attempt& a, unsigned cpu,
                                                       fallback_mode& mode,
                                                       std::vector<fallback_event>& log) {
  if (cma_is_ahead(a)) {
    if (const auto found = smallest_fit(a.order, migratetype::cma, cpu)) return found;
  }
  const auto entry = mode;
  if (entry == fallback_mode::normal) {
    if (const auto found = smallest_fit(a.order, a.type, cpu)) return found;
  }
  if (entry != fallback_mode::steal && a.cma_allowed) {
    if (const auto found = smallest_fit(a.order, migratetype::cma, cpu)) {
      mode = fallback_mode::cma;
      return found;
    }
  }
  if (entry != fallback_mode::steal) {
    if (const auto found = claim(a, cpu, log)) {
      mode = fallback_mode::normal;
      return found;
    }
  }
  if (!a.no_fragment) {
    if (const auto found = steal(a, cpu, log)) {
      mode = fallback_mode::steal;
      return found;
    }
  }
  return std::nullopt;
}

// A7; on 6.12 with its one change of the counters (B3)
std::optional<taken_block> zone_model::smallest_fit(unsigned order, migratetype list,
                                                    unsigned cpu) {
  for (unsigned found = order; found < page_orders; ++found) {
    const auto& candidates = lists_[found][static_cast<unsigned>(list)];
    if (candidates.empty()) continue;
    const pfn block = candidates.front();
    remove(block);
    split_down(block, found, order, list);
    if (kernel_ == kernel::v6_12) account(-(std::int64_t{1} << order), list, cpu);
    return taken_block{block, list};
  }
  return std::nullopt;
}

// A7: the upper half goes to the head of the list one order lower, the lower half is kept
void zone_model::split_down(pfn block, unsigned from, unsigned to, migratetype list) {
  for (unsigned order = from; order > to; --order) {
    put_head(block + (frame_count{1} << (order - 1)), order - 1, list);
  }
}

}  // namespace memsim::reference
