// SPDX-License-Identifier: Apache-2.0
// How a zone of the reference model takes pages back (A10, A11, B6 to B8).
#include <algorithm>

#include "alloc/reference_zone.hpp"

namespace memsim::reference {

// A10, B6
void zone_model::free(pfn block, unsigned order, unsigned cpu) {
  allocated_.erase(block);
  movable_.erase(block);
  const auto type = pageblock_type(block);
  if (order > 3 && order != 9) {
    if (kernel_ == kernel::v6_12 && order == 10) {
      merge_and_list(block, 9, type, cpu);
      merge_and_list(block + 512, 9, pageblock_type(block + 512), cpu);
    } else {
      merge_and_list(block, order, type, cpu);
    }
    return;
  }
  // A10.1: "Types above 2 (CMA, highatomic) use the movable list"
  const auto list_type = type > migratetype::reclaimable ? migratetype::movable : type;
  const unsigned list = order == 9 ? (list_type == migratetype::movable ? 13 : 12)
                                   : 3 * order + static_cast<unsigned>(list_type);
  auto& set = cpus_[cpu];
  set.lists[list].push_front({block, type});
  set.numbers.count += 1u << order;
  if (kernel_ == kernel::v6_1) {
    free_per_cpu_6_1(set, list, order, cpu);
  } else {
    free_per_cpu_6_12(set, list, order, cpu);
  }
}

// A10.2 to A10.4
void zone_model::free_per_cpu_6_1(page_set& set, unsigned list, unsigned order, unsigned cpu) {
  auto& s = set.numbers;
  const std::int64_t count = s.count;
  const std::int64_t batch = s.batch;
  const bool free_high = s.free_factor > 0 && order >= 1 && order <= 3;
  std::int64_t limit = s.high;
  if (numbers_.reclaim_active) limit = std::min(4 * batch, limit);
  if (free_high) limit = 0;
  if (count < limit) return;
  std::int64_t n = 0;
  if (free_high) {
    n = count;
  } else if (limit < batch) {
    n = 1;
  } else {
    const std::int64_t x = batch << s.free_factor;
    if (x < limit - batch && s.free_factor < settings_.pcp_batch_scale_max) ++s.free_factor;
    n = std::min(std::max(x, batch), limit - batch);
  }
  bulk_free(set, n, list, cpu);
}

// B6
void zone_model::free_per_cpu_6_12(page_set& set, unsigned list, unsigned order, unsigned cpu) {
  auto& s = set.numbers;
  const std::int64_t count = s.count;
  const std::int64_t batch = s.batch;
  const std::int64_t most = batch << settings_.pcp_batch_scale_max;
  s.alloc_factor /= 2;

  bool free_high = false;
  if (order >= 1 && order <= 3) {
    free_high = s.free_count >= batch && s.previous_free_high_order &&
                (!s.free_high_batch || count >= batch);
    s.previous_free_high_order = true;
  } else {
    s.previous_free_high_order = false;
  }
  if (s.free_count < most) s.free_count += 1u << order;

  const std::int64_t high_min = s.high_min;
  const std::int64_t high_max = s.high_max;
  const std::int64_t free_count = s.free_count;
  const std::int64_t high = kernel_clamp(s.high, high_min, high_max);
  const auto set_high = [&](std::int64_t value) { s.high = static_cast<std::uint32_t>(value); };
  set_high(high);
  std::int64_t limit = 0;
  if (free_high) {
    set_high(std::max(high - most, high_min));
    limit = 0;
  } else if (numbers_.reclaim_active) {
    set_high(std::max(high - std::max(free_count, batch), high_min));
    limit = std::min<std::int64_t>(4 * batch, s.high);
  } else if (high_min == high_max) {
    limit = high;
  } else if (numbers_.below_high) {
    set_high(std::max(high - std::max(free_count, batch), high_min));
    limit = std::max(count, high_min);
  } else {
    limit = high;
    if (count >= limit && high < free_count + batch) {
      set_high(kernel_clamp(free_count + batch, high_min, high_max));
    }
  }
  if (count < limit) return;

  std::int64_t n = 0;
  if (free_high) {
    n = std::min(count, most);
  } else if (limit < batch) {
    n = 1;
  } else {
    n = std::min(std::max(free_count, batch), limit - batch);
  }
  bulk_free(set, n, list, cpu);
  if (numbers_.below_high && above_high_again()) numbers_.below_high = false;
}

// B6, last sentence: "order 0, no flags, zone index 3"
bool zone_model::above_high_again() const {
  return above(static_cast<std::int64_t>(numbers_.marks.high + numbers_.boost),
               attempt{.order = 0, .highest_zone = 3});
}

// A10.5, B7
void zone_model::bulk_free(page_set& set, std::int64_t pages, unsigned first_list, unsigned cpu) {
  pages = std::min<std::int64_t>(pages, set.numbers.count);
  for (unsigned list = first_list; pages > 0; list = (list + 1) % pcp_lists) {
    auto& blocks = set.lists[list];
    const unsigned order = list < 12 ? list / 3 : 9;
    while (pages > 0 && !blocks.empty()) {
      const auto [block, noted] = blocks.back();
      blocks.pop_back();
      pages -= std::int64_t{1} << order;
      set.numbers.count -= 1u << order;
      merge_and_list(block, order, kernel_ == kernel::v6_1 ? noted : pageblock_type(block), cpu);
    }
  }
}

void zone_model::drain(unsigned owner, unsigned actor) {
  auto& set = cpus_[owner];
  while (set.numbers.count > 0) {
    const auto most = std::int64_t{set.numbers.batch} << settings_.pcp_batch_scale_max;
    bulk_free(set, std::min<std::int64_t>(set.numbers.count, most), 0, actor);
  }
}

// A11, B8
void zone_model::merge_and_list(pfn block, unsigned order, migratetype type, unsigned cpu) {
  account(std::int64_t{1} << order, type, cpu);  // A11.1
  // A11.2
  std::uint64_t p = block.value();
  for (; order < 10; ++order) {
    const pfn buddy{p ^ (std::uint64_t{1} << order)};
    if (!is_free(buddy, order)) break;
    if (order >= 9) {
      const auto buddy_type = pageblock_type(buddy);
      if (buddy_type != type) {
        if (!is_mergeable(type) || !is_mergeable(buddy_type)) break;
        if (kernel_ == kernel::v6_12) set_pageblock_types(buddy, order, type);  // B8
      }
    }
    remove(buddy);
    p &= ~(std::uint64_t{1} << order);
  }
  // A11.3
  const std::uint64_t c = p & ~(std::uint64_t{1} << order);
  const std::uint64_t h = c ^ (std::uint64_t{1} << (order + 1));
  if (order <= 8 && is_free(pfn{h}, order + 1)) {
    put_tail(pfn{p}, order, type);
  } else {
    put_head(pfn{p}, order, type);
  }
}

}  // namespace memsim::reference
