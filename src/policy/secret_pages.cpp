// SPDX-License-Identifier: Apache-2.0
#include "policy/secret_pages.hpp"

#include <algorithm>

#include <memsim/arch/direct_map.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim::detail {
namespace {

constexpr frame_count chunk_frames = pageblock_frames;

order order_of(const secret_block& block) {
  return block.frames == chunk_frames ? pageblock_order : order{0};
}

}  // namespace

// What was absent has an entry already: to make it present takes no memory, unless a merge policy
// merged absent entries.
bool give_back(const secret_machine& on, context& ctx, const secret_block& block) {
  if (block.from == secret_block::pool) return on.grouped->free(ctx, block.first).has_value();
  if (!on.map.change(ctx, block.first, block.frames, make_default)) return false;
  if (block.from == secret_block::area) {
    on.memory.cma_release(ctx, *on.how.cma_area, block.first, block.frames);
  } else {
    on.memory.free(ctx, block.first, order_of(block));
  }
  return true;
}

void give_back_or_keep(const secret_machine& on, context& ctx, const secret_block& block) {
  if (give_back(on, ctx, block)) return;
  on.stuck.push_back(block);
  on.counts.stuck_pages += block.frames;
}

std::expected<pfn, error> single_pages::take(context& ctx) {
  const auto page = on_.memory.alloc(ctx, order{0}, on_.how.page_flags | gfp_flag::zero);
  if (!page) return page;
  if (auto gone = on_.map.change(ctx, *page, 1, make_invalid); !gone) {
    on_.memory.free(ctx, *page, order{0});
    return std::unexpected{gone.error()};
  }
  on_.map.flush(ctx, *page, 1);
  return page;
}

void single_pages::put(context& ctx, pfn page) {
  ++ctx.done.pages_zeroed;
  give_back_or_keep(on_, ctx, {.first = page});
}

// Just now its mapping was split: there is an entry to be mapped again.
void single_pages::undo(context& ctx, pfn page) {
  if (on_.how.undo == secretmem_undo::map_then_free) return put(ctx, page);
  on_.memory.free(ctx, page, order{0});
  if (!on_.map.change(ctx, page, 1, make_default)) {
    throw_usage("frame {}, which is free by now, cannot be mapped again", page);
  }
}

std::expected<pfn, error> chunk_pages::get_chunk(context& ctx) {
  if (on_.how.cma_area) {
    return on_.memory.cma_alloc(ctx, *on_.how.cma_area, chunk_frames, on_.how.chunk_alignment);
  }
  return on_.memory.alloc(ctx, pageblock_order, on_.how.chunk_flags);
}

void chunk_pages::free_chunk(context& ctx, pfn first) {
  if (on_.how.cma_area) {
    on_.memory.cma_release(ctx, *on_.how.cma_area, first, chunk_frames);
  } else {
    on_.memory.free(ctx, first, pageblock_order);
  }
}

// The whole chunk is zeroed now and when it goes, and not between two users in one file.
std::expected<void, error> chunk_pages::grow(context& ctx) {
  const auto first = get_chunk(ctx);
  if (!first) return std::unexpected{first.error()};
  ctx.done.pages_zeroed += chunk_frames;
  if (on_.how.unmaps_chunks) {
    if (auto gone = on_.map.change(ctx, *first, chunk_frames, make_invalid); !gone) {
      free_chunk(ctx, *first);
      return gone;
    }
    on_.map.flush(ctx, *first, chunk_frames);
  }
  auto& made = chunks_.emplace_back(chunk{.first = *first});
  for (frame_count i = 0; i < chunk_frames; ++i) made.free.insert(made.free.end(), *first + i);
  ++on_.counts.chunks;
  on_.counts.unused_chunk_pages += chunk_frames;
  return {};
}

std::expected<pfn, error> chunk_pages::take_of_chunk(context& ctx) {
  const auto from = std::ranges::find_if(chunks_, [](const chunk& c) { return !c.free.empty(); });
  const auto page = *from->free.begin();
  if (!on_.how.unmaps_chunks) {
    if (auto gone = on_.map.change(ctx, page, 1, make_invalid); !gone) {
      return std::unexpected{gone.error()};
    }
    on_.map.flush(ctx, page, 1);
  }
  from->free.erase(from->free.begin());
  --on_.counts.unused_chunk_pages;
  return page;
}

std::expected<pfn, error> chunk_pages::take(context& ctx) {
  const bool has_page =
      on_.counts.unused_chunk_pages > 0 &&
      std::ranges::any_of(chunks_, [](const chunk& c) { return !c.free.empty(); });
  const bool uses_rest = on_.how.source != secretmem_source::literal_chunks_or_single;
  if (has_page && uses_rest) return take_of_chunk(ctx);
  auto refused = error{errc::no_memory};
  if (!has_page) {
    const auto grown = grow(ctx);
    if (grown) return take_of_chunk(ctx);
    refused = grown.error();
  }
  if (on_.how.source == secretmem_source::chunks) return std::unexpected{refused};
  const auto page = single_.take(ctx);
  if (!page) return page;
  fallback_.insert(*page);
  ++on_.counts.fallback_pages;
  return page;
}

void chunk_pages::put(context& ctx, pfn page) {
  if (fallback_.erase(page) > 0) return single_.put(ctx, page);
  const auto of = std::ranges::find_if(
      chunks_, [&](const chunk& c) { return c.first <= page && page < c.first + chunk_frames; });
  if (of == chunks_.end()) throw_usage("frame {} is of no chunk", page);
  if (!on_.how.unmaps_chunks && !on_.map.change(ctx, page, 1, make_default)) of->is_absent = true;
  of->free.insert(page);
  ++on_.counts.unused_chunk_pages;
}

void chunk_pages::undo(context& ctx, pfn page) {
  if (fallback_.erase(page) == 0) return put(ctx, page);
  single_.undo(ctx, page);
}

void chunk_pages::give_back_chunk(context& ctx, const chunk& c) {
  ctx.done.pages_zeroed += chunk_frames;
  --on_.counts.chunks;
  on_.counts.unused_chunk_pages -= chunk_frames;
  if (!on_.how.unmaps_chunks && !c.is_absent) return free_chunk(ctx, c.first);
  give_back_or_keep(on_, ctx,
                    {.first = c.first,
                     .frames = chunk_frames,
                     .from = on_.how.cma_area ? secret_block::area : secret_block::allocator});
}

void chunk_pages::end(context& ctx) {
  for (const auto& c : chunks_) give_back_chunk(ctx, c);
  chunks_.clear();
}

void chunk_pages::shrink(context& ctx) {
  const auto is_unused = [](const chunk& c) { return c.free.size() == chunk_frames; };
  for (const auto& c : chunks_) {
    if (is_unused(c)) give_back_chunk(ctx, c);
  }
  std::erase_if(chunks_, is_unused);
}

// Modelling assumption: a page is zeroed by a mapping of its own, when it comes and when it goes.
std::expected<pfn, error> grouped_pages::take(context& ctx) {
  auto page = on_.grouped->alloc(ctx);
  if (page) ++ctx.done.pages_zeroed;
  return page;
}

void grouped_pages::put(context& ctx, pfn page) {
  ++ctx.done.pages_zeroed;
  give_back_or_keep(on_, ctx, {.first = page, .from = secret_block::pool});
}

}  // namespace memsim::detail
