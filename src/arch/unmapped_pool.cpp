// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/unmapped_pool.hpp>

#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/direct_map.hpp>

namespace memsim {
namespace {

// What makes the designs different.
struct design_rules {
  const char* name;
  unsigned largest;         // order of the blocks that are taken, where there are any,
  unsigned least;           // and where there are none
  bool takes_whole_groups;  // and all else that is free in the pageblock
  bool waits_unmapped;      // pages leave the direct map with their block, not one by one
  bool returns_at_once;     // a block that nobody uses any more goes back
};

constexpr std::array rules{
    design_rules{"none", 0, 0, false, false, true},
    design_rules{"pageblock_type", pageblock_order.value(), 0, true, false, false},
    design_rules{"unmapped_cache", pageblock_order.value(), 0, false, true, false},
    design_rules{"allocator_block", pageblock_order.value(), pageblock_order.value(), false, true,
                 true},
};

const design_rules& rules_of(unmapped_design design) {
  return rules[static_cast<unsigned>(design)];
}

}  // namespace

std::string to_text(unmapped_design design) { return rules_of(design).name; }

unmapped_pool::unmapped_pool(unmapped_design design, page_allocator& memory, direct_map& map)
    : design_{design}, memory_{&memory}, map_{&map} {}

unmapped_pool::unmapped_pool(const unmapped_pool& other, page_allocator& memory, direct_map& map)
    : design_{other.design_},
      memory_{&memory},
      map_{&map},
      blocks_{other.blocks_},
      waiting_{other.waiting_},
      counts_{other.counts_} {}

std::expected<pfn, error> unmapped_pool::alloc(context& ctx) {
  if (waiting_.empty()) {
    // Who was killed for it may have given pages back to the pool itself.
    if (auto refilled = refill(ctx); !refilled && waiting_.empty()) {
      return std::unexpected{refilled.error()};
    }
  }
  const pfn page = waiting_.back();
  if (!rules_of(design_).waits_unmapped) {
    if (auto done = unmap(ctx, page, 1); !done) {
      if (rules_of(design_).returns_at_once) static_cast<void>(give_back(ctx, block_of(page)));
      return std::unexpected{done.error()};
    }
  }
  waiting_.pop_back();
  auto& [first, home] = *block_of(page);
  home.out[page - first] = true;
  ++home.in_use;
  --counts_.pages_waiting;
  ++counts_.pages_out;
  return page;
}

std::expected<void, error> unmapped_pool::free(context& ctx, pfn page) {
  const auto at = block_of(page);
  if (at == blocks_.end() || !at->second.out[page - at->first]) {
    throw_usage("free of frame {}: it is not a page of this pool that is in use", page);
  }
  if (!rules_of(design_).waits_unmapped) {
    if (auto mapped = map_->change(ctx, page, 1, make_default); !mapped) return mapped;
  }
  at->second.out[page - at->first] = false;
  --at->second.in_use;
  waiting_.push_back(page);
  ++counts_.pages_waiting;
  --counts_.pages_out;
  // A block that cannot be mapped again waits with the others.
  if (rules_of(design_).returns_at_once && at->second.in_use == 0) {
    static_cast<void>(give_back(ctx, at));
  }
  return {};
}

frame_count unmapped_pool::shrink(context& ctx, frame_count wanted) {
  if (design_ != unmapped_design::unmapped_cache) return 0;
  const auto before = counts_.pages_returned;
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    if (counts_.pages_returned - before >= wanted) break;
    const auto one = at++;
    if (one->second.in_use == 0) static_cast<void>(give_back(ctx, one));
  }
  return counts_.pages_returned - before;
}

// Takes the largest block there is, as the design allows.
std::expected<void, error> unmapped_pool::refill(context& ctx) {
  const auto& design = rules_of(design_);
  for (unsigned o = design.largest + 1; o-- > design.least;) {
    const order size{o};
    const auto found = memory_->alloc(ctx, size, gfp_kernel);
    if (!found) continue;
    if (auto done = prepare(ctx, *found, size); !done) {
      memory_->free(ctx, *found, size);
      return done;
    }
    ++counts_.refills;
    if (design.takes_whole_groups) {
      for (const auto& other : memory_->take_free_blocks(ctx, *found))
        keep(other.block, other.size);
    }
    keep(*found, size);
    return {};
  }
  return fail(errc::no_memory, "no block of order {} for pages outside the direct map",
              design.least);
}

// Does to the direct map what is done for the block as a whole.
std::expected<void, error> unmapped_pool::prepare(context& ctx, pfn first, order size) {
  if (rules_of(design_).waits_unmapped) return unmap(ctx, first, size.frames());
  // One entry that is small on purpose keeps its 2 MiB from being collapsed.
  if (design_ == unmapped_design::pageblock_type) return map_->change(ctx, first, 1, make_small);
  return {};
}

// The lowest page is handed out first.
void unmapped_pool::keep(pfn first, order size) {
  const auto pages = size.frames();
  blocks_.emplace(first, block{.size = size, .out = std::vector<bool>(pages)});
  for (frame_count i = pages; i-- > 0;) waiting_.push_back(first + i);
  counts_.pages_waiting += pages;
  counts_.pages_taken += pages;
}

std::expected<void, error> unmapped_pool::give_back(context& ctx, blocks::iterator at) {
  const auto& [first, home] = *at;
  const auto pages = home.size.frames();
  if (auto mapped = map_->change(ctx, first, pages, make_default); !mapped) return mapped;
  const pfn begin = first;
  std::erase_if(waiting_, [&](pfn page) { return page >= begin && page - begin < pages; });
  memory_->free(ctx, begin, home.size);
  counts_.pages_waiting -= pages;
  counts_.pages_returned += pages;
  blocks_.erase(at);
  return {};
}

unmapped_pool::blocks::iterator unmapped_pool::block_of(pfn page) {
  auto after = blocks_.upper_bound(page);
  if (after == blocks_.begin()) return blocks_.end();
  --after;
  return page - after->first < after->second.size.frames() ? after : blocks_.end();
}

std::expected<void, error> unmapped_pool::unmap(context& ctx, pfn first, frame_count count) {
  auto done = map_->change(ctx, first, count, make_invalid);
  if (done) map_->flush(ctx, first, count);
  return done;
}

digest unmapped_pool::state_digest() const {
  digest d;
  d.add(static_cast<unsigned>(design_)).add(blocks_.size());
  for (const auto& [first, home] : blocks_) {
    d.add(first.value()).add(home.size.value());
    for (const bool out : home.out) d.add(out ? 1u : 0u);
  }
  d.add(waiting_.size());
  for (const pfn page : waiting_) d.add(page.value());
  for (const auto& s : unmapped_statistics) d.add(counts_.*s.member);
  return d;
}

}  // namespace memsim
