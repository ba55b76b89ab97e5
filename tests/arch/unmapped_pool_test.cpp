// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/unmapped_pool.hpp>

#include <set>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/merge_policy.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct pooled_machine {
  explicit pooled_machine(unmapped_design design, bytes size = 4_GiB)
      : memory{{.memory = memory_map::x86_64(size)}},
        map{boot_layout(memory.memory()), memory, tlbs},
        pool{design, memory, map} {}

  bool is_absent(pfn page) const { return !map.at(page)->flags.has(mapping_flag::present); }
  std::uint64_t pages_in_use() {
    memory.drain_all(ctx);
    std::uint64_t pages = 0;
    for (const zone& z : memory.zones()) pages += z.extent.managed - z.exact_free_pages();
    return pages;
  }

  page_allocator memory;
  counting_flusher tlbs{1};
  direct_map map;
  unmapped_pool pool;
  context ctx{};
};

}  // namespace

SCENARIO("a page of the pool is absent while it is in use", "[arch][unmapped_pool]") {
  const auto design = GENERATE(unmapped_design::none, unmapped_design::pageblock_type,
                               unmapped_design::unmapped_cache, unmapped_design::allocator_block);
  CAPTURE(to_text(design));
  pooled_machine m{design};
  random_stream random{1, "test"};
  std::set<pfn> out;
  for (int i = 0; i < 5000; ++i) {
    if (out.empty() || random.chance(0.6)) {
      const auto page = m.pool.alloc(m.ctx);
      REQUIRE(page);
      REQUIRE(out.insert(*page).second);
      REQUIRE(m.is_absent(*page));
    } else {
      auto at = out.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random.below(out.size())));
      REQUIRE(m.pool.free(m.ctx, *at));
      CHECK_THROWS_AS(m.pool.free(m.ctx, *at), usage_error);
      out.erase(at);
    }
    REQUIRE(m.pool.counts().pages_out == out.size());
  }
  for (const pfn page : out) REQUIRE(m.is_absent(page));
  // Whoever else takes memory finds it mapped.
  for (int i = 0; i < 2000; ++i) {
    const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel);
    REQUIRE(page);
    REQUIRE(m.map.at(*page)->flags.has(mapping_flag::present));
  }
  const auto& counts = m.pool.counts();
  CHECK(m.pages_in_use() == counts.pages_out + counts.pages_waiting + 2000 + m.map.page_tables());
  CHECK(counts.pages_taken - counts.pages_returned == counts.pages_out + counts.pages_waiting);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("the designs cost the direct map differently", "[arch][unmapped_pool]") {
  // 600 pages, while the kernel takes twenty of its own between any two of them.
  const auto costs = [](unmapped_design design) {
    pooled_machine m{design};
    context other;
    for (int i = 0; i < 600; ++i) {
      REQUIRE(m.pool.alloc(m.ctx));
      for (int k = 0; k < 20; ++k) REQUIRE(m.memory.alloc(other, order{0}, gfp_kernel));
    }
    return std::pair{m.map.counts(), m.ctx.done};
  };
  const auto [none, none_work] = costs(unmapped_design::none);
  const auto [type, type_work] = costs(unmapped_design::pageblock_type);
  const auto [cache, cache_work] = costs(unmapped_design::unmapped_cache);
  const auto [block, block_work] = costs(unmapped_design::allocator_block);
  // Two pageblocks hold 600 pages; one by one they are spread over 600 * 21 / 512.
  CHECK(none.m2_splits >= 600 * 21 / 512);
  CHECK(type.m2_splits == 2);
  CHECK(cache.m2_splits == 0);
  CHECK(block.m2_splits == 0);
  // A flush for each page, or one for each pageblock.
  CHECK(none_work.tlb_page_flushes == 600);
  CHECK(type_work.tlb_page_flushes == 600);
  CHECK(cache_work.tlb_page_flushes == 0);
  CHECK(cache_work.tlb_full_flushes == cache.g1_splits + 2);
  CHECK(block_work.tlb_full_flushes == block.g1_splits + 2);
}

SCENARIO("only the design that says so gives memory back", "[arch][unmapped_pool]") {
  const auto design = GENERATE(unmapped_design::none, unmapped_design::pageblock_type,
                               unmapped_design::unmapped_cache, unmapped_design::allocator_block);
  CAPTURE(to_text(design));
  pooled_machine m{design};
  std::vector<pfn> pages;
  for (int i = 0; i < 1000; ++i) pages.push_back(m.pool.alloc(m.ctx).value());
  for (const pfn page : pages) REQUIRE(m.pool.free(m.ctx, page));
  const bool at_once =
      design == unmapped_design::none || design == unmapped_design::allocator_block;
  CHECK(m.pool.counts().pages_waiting == (at_once ? 0u : 1024u));
  const bool shrinks = design == unmapped_design::unmapped_cache;
  CHECK(m.pool.shrink(m.ctx, 1) == (shrinks ? 512u : 0u));
  CHECK(m.pool.shrink(m.ctx, 10'000) == (shrinks ? 512u : 0u));
  CHECK(m.pool.counts().pages_waiting == (design == unmapped_design::pageblock_type ? 1024u : 0u));
  for (const pfn page : pages) REQUIRE_FALSE(m.is_absent(page));
}

SCENARIO("fragmented memory is taken as the design can", "[arch][unmapped_pool]") {
  const auto design = GENERATE(unmapped_design::none, unmapped_design::pageblock_type,
                               unmapped_design::unmapped_cache, unmapped_design::allocator_block);
  CAPTURE(to_text(design));
  pooled_machine m{design, 64_MiB};
  // Every other page is in use.
  std::vector<pfn> pages;
  while (const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel)) pages.push_back(*page);
  for (const pfn page : pages) {
    if (page.value() % 2 == 0) m.memory.free(m.ctx, page, order{0});
  }
  m.memory.drain_all(m.ctx);
  order largest{};  // of what the watermarks kept
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const zone& z : m.memory.zones()) {
      if (z.free_blocks_of(order{o}) > 0) largest = order{o};
    }
  }
  REQUIRE(largest < pageblock_order);
  const auto page = m.pool.alloc(m.ctx);
  if (design == unmapped_design::allocator_block) {
    REQUIRE_FALSE(page);
    CHECK(page.error().code() == errc::no_memory);
    CHECK(m.pool.counts() == unmapped_counts{});
    return;
  }
  REQUIRE(page);
  const auto taken = m.pool.counts().pages_taken;
  if (design == unmapped_design::none) CHECK(taken == 1);
  if (design == unmapped_design::unmapped_cache) CHECK(taken == largest.frames());
  if (design == unmapped_design::pageblock_type) {
    CHECK(taken >= largest.frames());
    CHECK(m.memory.take_free_blocks(m.ctx, *page).empty());  // nothing of the pageblock is left
  }
}

SCENARIO("when no page table can be had the pool is as it was", "[arch][unmapped_pool]") {
  const auto design = GENERATE(unmapped_design::none, unmapped_design::unmapped_cache);
  CAPTURE(to_text(design));
  pooled_machine m{design, 64_MiB};
  std::vector<pfn> pages;
  while (const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel)) pages.push_back(*page);
  m.memory.free(m.ctx, pages.back(), order{0});
  const auto in_use = m.pages_in_use();
  const auto state = m.map.state();
  const auto page = m.pool.alloc(m.ctx);
  REQUIRE_FALSE(page);
  CHECK(page.error().code() == errc::no_memory);
  CHECK(m.pages_in_use() == in_use);
  CHECK(m.map.state() == state);
  CHECK(m.pool.counts().pages_waiting == 0);
}

SCENARIO("a pool forks with its memory", "[arch][unmapped_pool]") {
  pooled_machine m{unmapped_design::unmapped_cache};
  const auto page = m.pool.alloc(m.ctx).value();
  page_allocator memory{m.memory};
  direct_map map{m.map, memory, m.tlbs};
  unmapped_pool fork{m.pool, memory, map};
  CHECK(fork.state_digest() == m.pool.state_digest());
  REQUIRE(fork.free(m.ctx, page));
  CHECK(fork.shrink(m.ctx, 512) == 512);
  CHECK(map.at(page)->flags == default_mapping);
  CHECK(m.is_absent(page));
  CHECK(fork.state_digest() != m.pool.state_digest());
}
