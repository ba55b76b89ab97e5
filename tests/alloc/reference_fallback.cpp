// SPDX-License-Identifier: Apache-2.0
// How a zone of the reference model takes blocks of another type (A8, A9, B5), and its lists.
#include <algorithm>
#include <cstdlib>

#include "alloc/reference_zone.hpp"

namespace memsim::reference {
namespace {

// A8: "9/2"
bool is_whole_block(unsigned found_order, migratetype wanted) {
  return found_order >= 4 || wanted == migratetype::unmovable || wanted == migratetype::reclaimable;
}

// A8.1: "with no-fragment, if the wanted order is below 9, only down to 9"
unsigned lowest_order(const attempt& a) { return a.no_fragment && a.order < 9 ? 9 : a.order; }

pfn pageblock_start(pfn frame) { return pfn{frame.value() / 512 * 512}; }
pfn pageblock_end(pfn frame) { return pageblock_start(frame) + 512; }

// A9.6, B5: pages of the pageblock that suit the requesting type as they are
std::int64_t alike_pages(migratetype wanted, migratetype pageblock, std::int64_t free,
                         std::int64_t movable) {
  if (wanted == migratetype::movable) return movable;
  return pageblock == migratetype::movable ? 512 - free - movable : 0;
}

}  // namespace

// "At each order the first non-empty list in the type's fallback order counts", and its head
std::optional<zone_model::found_block> zone_model::first_fallback(unsigned order,
                                                                  migratetype wanted) const {
  for (const auto type : fallbacks_of(wanted)) {
    const auto& list = lists_[order][static_cast<unsigned>(type)];
    if (!list.empty()) return found_block{order, type, list.front()};
  }
  return std::nullopt;
}

// A8
bool zone_model::fall_back_6_1(const attempt& a, std::vector<fallback_event>& log) {
  std::optional<found_block> found;
  for (unsigned order = page_orders; order-- > lowest_order(a) && !found;) {
    found = first_fallback(order, a.type);
  }
  if (!found) return false;
  bool whole = is_whole_block(found->order, a.type);
  if (!whole && a.type == migratetype::movable && found->order > a.order) {
    found.reset();
    for (unsigned order = a.order; order < page_orders && !found; ++order) {
      found = first_fallback(order, a.type);
    }
    whole = is_whole_block(found->order, a.type);
  }
  convert(*found, a, whole);
  log.push_back({.zone = type(),
                 .block = found->block,
                 .requested = order{a.order},
                 .found = order{found->order},
                 .wanted = a.type,
                 .found_type = found->list,
                 .pageblock_type = pageblock_type(found->block)});
  return true;
}

// A9. On 6.1 a move between lists of mergeable types changes no counter, so no CPU is charged.
void zone_model::convert(const found_block& found, const attempt& a, bool whole_block) {
  const auto move_alone = [&] {
    remove(found.block);
    put_tail(found.block, found.order, a.type);
  };
  const auto pageblock = pageblock_type(found.block);
  if (pageblock == migratetype::highatomic) return move_alone();  // A9.1
  if (found.order >= 9) {                                         // A9.2
    set_pageblock_types(found.block, found.order, a.type);
    return move_alone();
  }
  boost(a);                               // A9.3
  if (!whole_block) return move_alone();  // A9.4
  // A9.5
  pfn first = pageblock_start(found.block);
  const pfn last = pageblock_end(found.block);
  if (first < numbers_.extent.start) first = found.block;
  if (last > numbers_.extent.end()) return move_alone();
  const auto blocks = free_blocks_in(first, last);
  const auto f = pages_of(blocks);
  const auto v = movable_in(first, last);
  for (const pfn block : blocks) {
    const unsigned order = free_.at(block).order;
    remove(block);
    put_tail(block, order, a.type);
  }
  // A9.6
  if (f + alike_pages(a.type, pageblock, f, v) >= 256) {
    set_pageblock_types(found.block, found.order, a.type);
  }
}

// A9.3
void zone_model::boost(const attempt& a) {
  const std::uint64_t factor = settings_.watermark_boost_factor;
  if (factor == 0 || numbers_.extent.managed < 2048) return;
  const auto limit = std::max<std::uint64_t>(512, numbers_.marks.high * factor / 10000);
  numbers_.boost = std::min(numbers_.boost + 512, limit);
  if (a.wakes_reclaimer) numbers_.boosted = true;
}

// B5, claim
std::optional<taken_block> zone_model::claim(const attempt& a, unsigned cpu,
                                             std::vector<fallback_event>& log) {
  for (unsigned order = page_orders; order-- > lowest_order(a);) {
    const auto found = first_fallback(order, a.type);
    if (!found) continue;
    if (!is_whole_block(found->order, a.type)) return std::nullopt;
    const auto block = try_claim(*found, a, cpu);
    if (!block) continue;
    log.push_back({.zone = type(),
                   .block = block->block,
                   .requested = memsim::order{a.order},
                   .found = memsim::order{found->order},
                   .wanted = a.type,
                   .found_type = found->list,
                   .pageblock_type = pageblock_type(block->block)});
    return block;
  }
  return std::nullopt;
}

std::optional<taken_block> zone_model::try_claim(const found_block& found, const attempt& a,
                                                 unsigned cpu) {
  const auto pageblock = pageblock_type(found.block);
  if (pageblock == migratetype::highatomic) return std::nullopt;
  if (found.order >= 9) {
    const auto all = std::int64_t{1} << found.order;
    remove(found.block);
    account(-all, found.list, cpu);
    set_pageblock_types(found.block, found.order, a.type);
    split_down(found.block, found.order, a.order, a.type);
    account(all - (std::int64_t{1} << a.order), a.type, cpu);
    return taken_block{found.block, a.type};
  }
  boost(a);
  const pfn first = pageblock_start(found.block);
  const pfn last = pageblock_end(found.block);
  if (first < numbers_.extent.start || last > numbers_.extent.end()) return std::nullopt;
  const auto blocks = free_blocks_in(first, last);
  const auto f = pages_of(blocks);
  const auto v = movable_in(first, last);
  if (f + alike_pages(a.type, pageblock, f, v) < 256) return std::nullopt;
  for (const pfn block : blocks) move_to_tail(block, a.type, cpu);
  set_pageblock_types(found.block, found.order, a.type);
  return smallest_fit(a.order, a.type, cpu);
}

// B5, steal
std::optional<taken_block> zone_model::steal(const attempt& a, unsigned cpu,
                                             std::vector<fallback_event>& log) {
  for (unsigned order = a.order; order < page_orders; ++order) {
    const auto found = first_fallback(order, a.type);
    if (!found) continue;
    remove(found->block);
    split_down(found->block, found->order, a.order, found->list);
    account(-(std::int64_t{1} << a.order), found->list, cpu);
    log.push_back({.zone = type(),
                   .block = found->block,
                   .requested = memsim::order{a.order},
                   .found = memsim::order{found->order},
                   .wanted = a.type,
                   .found_type = found->list,
                   .pageblock_type = pageblock_type(found->block)});
    return taken_block{found->block, found->list};
  }
  return std::nullopt;
}

// A12, B9
void zone_model::reserve_highatomic(pfn block, unsigned order, unsigned cpu) {
  const auto hundredth = numbers_.extent.managed / 100;
  const pfn last = pageblock_end(block);
  pfn first = pageblock_start(block);
  if (kernel_ == kernel::v6_1) {
    if (numbers_.reserved_highatomic >= hundredth + 512) return;
    if (!is_mergeable(pageblock_type(block))) return;
    numbers_.reserved_highatomic += 512;
    set_pageblock_types(block, 0, migratetype::highatomic);
    // Clipped as in A9.5, of which this is the same move.
    if (first < numbers_.extent.start) first = block;
    if (last > numbers_.extent.end()) return;
  } else {
    if (hundredth < 512) return;
    const auto limit = (hundredth + 511) / 512 * 512;
    if (numbers_.reserved_highatomic >= limit) return;
    if (!is_mergeable(pageblock_type(block))) return;
    if (order >= 9) {
      set_pageblock_types(block, order, migratetype::highatomic);
      numbers_.reserved_highatomic += std::uint64_t{1} << order;
      return;
    }
    if (first < numbers_.extent.start || last > numbers_.extent.end()) return;
    set_pageblock_types(block, 0, migratetype::highatomic);
    numbers_.reserved_highatomic += 512;
  }
  for (const pfn free : free_blocks_in(first, last)) {
    move_to_tail(free, migratetype::highatomic, cpu);
  }
}

void zone_model::put_head(pfn block, unsigned order, migratetype list) {
  auto& l = lists_[order][static_cast<unsigned>(list)];
  free_[block] = {order, list, l.insert(l.begin(), block)};
}

void zone_model::put_tail(pfn block, unsigned order, migratetype list) {
  auto& l = lists_[order][static_cast<unsigned>(list)];
  free_[block] = {order, list, l.insert(l.end(), block)};
}

void zone_model::remove(pfn block) {
  const auto found = free_.find(block);
  const auto& [order, list, place] = found->second;
  lists_[order][static_cast<unsigned>(list)].erase(place);
  free_.erase(found);
}

// A move is -2^order, then +2^order, block by block (B3); on 6.1 it changes no counter.
void zone_model::move_to_tail(pfn block, migratetype list, unsigned cpu) {
  const auto [order, old_list, place] = free_.at(block);
  const auto pages = std::int64_t{1} << order;
  remove(block);
  if (kernel_ == kernel::v6_12) account(-pages, old_list, cpu);
  put_tail(block, order, list);
  if (kernel_ == kernel::v6_12) account(pages, list, cpu);
}

bool zone_model::is_free(pfn block, unsigned order) const {
  const auto found = free_.find(block);
  return found != free_.end() && found->second.order == order;
}

std::vector<pfn> zone_model::free_blocks_in(pfn first, pfn last) const {
  std::vector<pfn> blocks;
  for (auto i = free_.lower_bound(first); i != free_.end() && i->first < last; ++i) {
    blocks.push_back(i->first);
  }
  return blocks;
}

std::int64_t zone_model::pages_of(const std::vector<pfn>& blocks) const {
  std::int64_t pages = 0;
  for (const pfn block : blocks) pages += std::int64_t{1} << free_.at(block).order;
  return pages;
}

std::int64_t zone_model::movable_in(pfn first, pfn last) const {
  std::int64_t pages = 0;
  for (auto i = movable_.lower_bound(first); i != movable_.end() && *i < last; ++i) {
    const auto block = allocated_.find(*i);  // else a single page from before
    pages += block == allocated_.end() ? 1 : std::int64_t{1} << block->second;
  }
  return pages;
}

std::size_t zone_model::pageblock_index(pfn frame) const {
  return frame.value() / 512 - numbers_.extent.start.value() / 512;
}

migratetype zone_model::pageblock_type(pfn frame) const {
  return pageblocks_.at(pageblock_index(frame)).value();
}

void zone_model::set_pageblock_types(pfn block, unsigned order, migratetype type) {
  const std::size_t count = order <= 9 ? 1 : std::size_t{1} << (order - 9);
  for (std::size_t i = 0; i < count; ++i) pageblocks_.at(pageblock_index(block) + i) = type;
}

namespace {

// A13
void add_lagging(std::int64_t& global, std::int32_t& pending, std::int64_t change,
                 std::uint32_t threshold) {
  const std::int64_t sum = pending + change;
  if (std::abs(sum) > std::int64_t{threshold}) {
    global += sum;
    pending = 0;
  } else {
    pending = static_cast<std::int32_t>(sum);
  }
}

}  // namespace

void zone_model::change_free(std::int64_t pages, unsigned cpu) {
  add_lagging(numbers_.free_pages, cpus_[cpu].numbers.pending.free, pages,
              numbers_.counter_threshold);
}

void zone_model::change_cma(std::int64_t pages, unsigned cpu) {
  add_lagging(numbers_.free_cma, cpus_[cpu].numbers.pending.cma, pages, numbers_.counter_threshold);
}

void zone_model::account(std::int64_t pages, migratetype list, unsigned cpu) {
  change_free(pages, cpu);
  if (list == migratetype::cma) change_cma(pages, cpu);
  if (kernel_ == kernel::v6_12 && list == migratetype::highatomic) {
    numbers_.free_highatomic += static_cast<std::uint64_t>(pages);
  }
}

}  // namespace memsim::reference
