// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/page_pool.hpp>

#include <algorithm>
#include <limits>

namespace memsim {

page_pool::page_pool(page_source& source, const page_pool_config& how) : source_{&source} {
  counts_.overcommit = how.overcommit;
}

std::expected<void, error> page_pool::add(context& ctx) {
  const auto page = source_->get(ctx);
  if (!page) return std::unexpected{page.error()};
  free_.push_back(*page);
  ++counts_.total;
  ++counts_.free;
  return {};
}

void page_pool::destroy_free(context& ctx) {
  source_->put(ctx, free_.back());
  free_.pop_back();
  --counts_.total;
  --counts_.free;
}

std::expected<void, error> page_pool::reserve(context& ctx, std::uint64_t pages) {
  if (pages > std::numeric_limits<std::int64_t>::max()) {
    return fail(errc::no_memory, "{} pages to be reserved", pages);
  }
  std::uint64_t made = 0;
  // As the kernel's counters, these may have gone below zero.
  const auto is_short = [&] {
    return static_cast<std::int64_t>(counts_.reserved + pages - counts_.free) > 0;
  };
  while (is_short()) {
    const auto more =
        may_make_surplus() ? add(ctx) : fail(errc::no_memory, "no more surplus pages allowed");
    if (!more) {
      for (; made > 0; --made) {
        destroy_free(ctx);
        --counts_.surplus;
      }
      return fail(errc::no_memory, "{} pages to be reserved, with {} of {} free ones promised: {}",
                  pages, counts_.reserved, counts_.free, more.error());
    }
    ++counts_.surplus;
    ++made;
  }
  counts_.reserved += pages;
  // With a count below zero there may be less than what is promised.
  if (pages > counts_.free) {
    unreserve(ctx, pages);
    return fail(errc::no_memory, "{} pages to be reserved, and {} are free", pages, counts_.free);
  }
  return {};
}

void page_pool::unreserve(context& ctx, std::uint64_t pages) {
  counts_.reserved -= pages;
  for (auto n = std::min(pages, counts_.surplus); n > 0 && counts_.surplus > 0 && counts_.free > 0;
       --n) {
    destroy_free(ctx);
    --counts_.surplus;
  }
}

std::expected<pfn, error> page_pool::take(context& ctx, const page_claim& who) {
  if (counts_.free > 0 && (who.entitled || has_unpromised())) {
    const auto page = free_.back();
    free_.pop_back();
    --counts_.free;
    counts_.reserved -= who.entitled;
    return page;
  }
  if (!may_make_surplus()) {
    return fail(errc::no_space, "{} of {} pages are free, and {} promised", counts_.free,
                counts_.total, counts_.reserved);
  }
  const auto page = source_->get(ctx);
  if (!page) return fail(errc::no_space, "no surplus page: {}", page.error());
  ++counts_.total;
  ++counts_.surplus;
  counts_.reserved -= who.entitled && !who.spares_reserve;
  return *page;
}

void page_pool::put(context& ctx, pfn page, after_use use) {
  if (counts_.free == counts_.total) {
    throw_usage("frame {} is put back into a pool whose {} pages are all free", page,
                counts_.total);
  }
  counts_.reserved += use == after_use::reserved;
  if (counts_.surplus > 0) {
    source_->put(ctx, page);
    --counts_.total;
    --counts_.surplus;
    return;
  }
  free_.push_back(page);
  ++counts_.free;
}

void page_pool::lose() {
  if (counts_.free == counts_.total) {
    throw_usage("a page in use is lost of a pool whose {} pages are all free", counts_.total);
  }
  --counts_.total;
  counts_.surplus = std::min(counts_.surplus, counts_.total);
}

bool page_pool::promise() {
  if (static_cast<std::int64_t>(counts_.free - counts_.reserved) <= 0) return false;
  ++counts_.reserved;
  return true;
}

std::uint64_t page_pool::resize(context& ctx, std::uint64_t pages) {
  const auto own = [&] { return counts_.total - counts_.surplus; };
  for (; counts_.surplus > 0 && pages > own(); --counts_.surplus) {
  }
  while (pages > own() && add(ctx)) {
  }
  const auto least = std::max(pages, counts_.reserved + counts_.total - counts_.free);
  while (own() > least && counts_.free > 0) destroy_free(ctx);
  for (; own() > pages && counts_.surplus < counts_.total; ++counts_.surplus) {
  }
  return own();
}

std::expected<void, error> page_pool::set_overcommit(std::uint64_t pages) {
  if (!source_->has_surplus()) {
    return fail(errc::invalid, "an overcommit of {}: these pages cannot be surplus", pages);
  }
  counts_.overcommit = pages;
  return {};
}

}  // namespace memsim
