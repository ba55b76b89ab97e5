// SPDX-License-Identifier: Apache-2.0
// Caches outside the LRU lists, made smaller by their shrinkers.
#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>

#include "alloc/allocator_core.hpp"

namespace memsim {
namespace detail {

frame_count allocator_core::pages_freed() const {
  frame_count pages = 0;
  for (unsigned o = 0; o < page_orders; ++o) pages += counts_.frees[o] << o;
  return pages;
}

// The share of a cache that is looked at grows as the priority falls, like that of the LRU lists.
// Modelling assumption: what does not fill a batch is not saved up for the next time.
frame_count allocator_core::shrink_caches(context& ctx, unsigned priority) {
  constexpr std::uint64_t batch = 128;
  constexpr std::uint64_t share_of_two_seeks = 4;
  const auto before = pages_freed();
  for (auto* const cache : shrinkers_) {
    const auto freeable = cache->count();
    if (freeable == 0) continue;
    const auto share = (freeable >> priority) * share_of_two_seeks / std::max(cache->seeks(), 1u);
    auto left = std::min(share, 2 * freeable);
    while (left > 0 && (left >= batch || left >= freeable)) {
      const auto looked_at = cache->scan(ctx, std::min(left, batch));
      if (looked_at == 0) break;
      reclaim_counts_.objects_scanned += looked_at;
      ctx.done.objects_shrunk += looked_at;
      left -= std::min(left, looked_at);
    }
  }
  const auto freed = pages_freed() - before;
  reclaim_counts_.pages_shrunk += freed;
  return freed;
}

}  // namespace detail

void page_allocator::add_shrinker(shrinker& cache) { core_->shrinkers_.push_back(&cache); }
void page_allocator::remove_shrinker(shrinker& cache) { std::erase(core_->shrinkers_, &cache); }

}  // namespace memsim
