// SPDX-License-Identifier: Apache-2.0
#include "policy/secret_pages.hpp"

#include <algorithm>

#include <memsim/arch/direct_map.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim::detail {
namespace {

constexpr frame_count chunk_frames = pageblock_frames;

// What was absent has an entry already: to make it present takes no memory, unless a merge policy
// merged absent entries.
void map_again(const secret_machine& on, context& ctx, pfn first, frame_count count) {
  if (auto mapped = on.map.change(ctx, first, count, make_default); !mapped) {
    throw_usage("frames {} to {} cannot be mapped again: {}", first, first + (count - 1),
                mapped.error());
  }
}

}  // namespace

std::expected<pfn, error> single_pages::take(context& ctx) {
  const auto page = on_.memory.alloc(ctx, order{0}, gfp_highuser | gfp_flag::zero);
  if (!page) return page;
  if (auto gone = on_.map.change(ctx, *page, 1, make_invalid); !gone) {
    on_.memory.free(ctx, *page, order{0});
    return std::unexpected{gone.error()};
  }
  on_.map.flush(ctx, *page, 1);
  return page;
}

void single_pages::put(context& ctx, pfn page) {
  map_again(on_, ctx, page, 1);
  ++ctx.done.pages_zeroed;
  on_.memory.free(ctx, page, order{0});
}

void single_pages::undo(context& ctx, pfn page) {
  if (on_.how.undo == secretmem_undo::map_then_free) return put(ctx, page);
  on_.memory.free(ctx, page, order{0});
  map_again(on_, ctx, page, 1);
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
  if (!on_.how.unmaps_chunks) map_again(on_, ctx, page, 1);
  of->free.insert(page);
  ++on_.counts.unused_chunk_pages;
}

void chunk_pages::end(context& ctx) {
  for (const auto& c : chunks_) {
    if (on_.how.unmaps_chunks) map_again(on_, ctx, c.first, chunk_frames);
    ctx.done.pages_zeroed += chunk_frames;
    free_chunk(ctx, c.first);
  }
  on_.counts.chunks -= chunks_.size();
  on_.counts.unused_chunk_pages -= chunks_.size() * chunk_frames;
  chunks_.clear();
}

// Modelling assumption: a page is zeroed by a mapping of its own, when it comes and when it goes.
std::expected<pfn, error> grouped_pages::take(context& ctx) {
  auto page = pool_.alloc(ctx);
  if (page) ++ctx.done.pages_zeroed;
  return page;
}

void grouped_pages::put(context& ctx, pfn page) {
  ++ctx.done.pages_zeroed;
  if (auto given = pool_.free(ctx, page); !given) {
    throw_usage("frame {} cannot be given back: {}", page, given.error());
  }
}

}  // namespace memsim::detail
