// SPDX-License-Identifier: Apache-2.0
// Contiguous ranges and CMA areas, on machines small enough to follow.
#include <algorithm>

#include <memsim/alloc/cma.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pageblock = pageblock_frames;
constexpr cma_area first_area{pfn{6 * 1024}, 4 * pageblock};
constexpr cma_area second_area{pfn{9 * 1024}, 4 * pageblock};

page_allocator with_areas(const kernel_profile& profile) {
  return page_allocator{{.memory = memory_map::x86_64(64_MiB),
                         .profile = profile,
                         .cma_areas = {first_area, second_area}}};
}

// Movable pages until every frame of an area is in use by one.
void fill_area(page_allocator& memory, context& ctx, owned_pages& pages, const cma_area& area,
               page_kind kind = page_kind::anonymous) {
  const auto in_area = [&] {
    return std::ranges::count_if(pages.where, [&](const auto& entry) {
      return area.base <= entry.second && entry.second < area.end();
    });
  };
  while (in_area() < static_cast<std::ptrdiff_t>(area.count)) REQUIRE(pages.add(ctx, kind));
  memory.flush_lru_batches();
}

// A state without the order of its lists and without what counters have pending: what an undone
// isolation leaves as it was.
allocator_state contents_of(const page_allocator& memory) {
  auto state = memory.state();
  for (auto& z : state.zones) {
    for (auto& cpu : z.cpus) {
      z.free_pages += cpu.pending.free;
      z.free_cma += cpu.pending.cma;
      cpu.pending = {};
    }
    for (auto& lists : z.free_lists) {
      for (auto& list : lists) std::ranges::sort(list);
    }
  }
  return state;
}

}  // namespace

SCENARIO("a CMA area full of movable pages empties on demand", "[alloc][cma]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    auto memory = with_areas(profile);
    context ctx;
    owned_pages pages{memory};
    fill_area(memory, ctx, pages, first_area);
    const auto claim = memory.cma_alloc(ctx, 0, first_area.count);
    REQUIRE(claim);
    CHECK(*claim == first_area.base);
    CHECK(memory.cma_claimed(0) == first_area.count);
    CHECK(memory.cma_claimed(1) == 0);
    CHECK(std::ranges::none_of(pages.where, [](const auto& entry) {
      return first_area.base <= entry.second && entry.second < first_area.end();
    }));
    CHECK(memory.cma_counts_of(0).pages_migrated == first_area.count);
    CHECK(memory.cma_counts_of(0).pages_migrated_in_vain == 0);
    CHECK_FALSE(pages.lost_track);
    memory.cma_release(ctx, 0, *claim, first_area.count);
    CHECK(memory.cma_claimed(0) == 0);
    CHECK(memsim::testing::check_invariants(memory).empty());
  }
}

SCENARIO("one pin fails exactly the ranges that cover it", "[alloc][cma]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    auto memory = with_areas(profile);
    context ctx;
    owned_pages pages{memory};
    fill_area(memory, ctx, pages, first_area);
    const pfn pinned = first_area.base + 777;
    memory.pin(pinned);
    constexpr frame_count length = 64;
    for (pfn first = first_area.base; first < first_area.end(); first += length) {
      CAPTURE(first.value());
      const bool covers = first <= pinned && pinned < first + length;
      CHECK(memory.alloc_contig_range(ctx, first, length, migratetype::cma).has_value() != covers);
    }
    WHEN("it is released") {
      memory.unpin(pinned);
      const pfn first = first_area.base + 777 / length * length;
      CHECK(memory.alloc_contig_range(ctx, first, length, migratetype::cma));
    }
  }
}

SCENARIO("a claim goes on behind what is busy, and counts what it moved in vain", "[alloc][cma]") {
  struct expectation {
    page_kind kind;
    std::uint64_t in_vain;
  };
  // A pinned anonymous page is not taken off, so all others are moved before it is found; any other
  // fails in its batch of 32, after which no more are tried.
  const auto [kind, in_vain] =
      GENERATE(expectation{page_kind::anonymous, 511}, expectation{page_kind::shmem, 127});
  auto memory = with_areas(linux_6_12);
  context ctx;
  owned_pages pages{memory};
  fill_area(memory, ctx, pages, first_area, kind);
  memory.pin(first_area.base + 100);
  const auto claim = memory.cma_alloc(ctx, 0, pageblock, pageblock_order);
  REQUIRE(claim);
  CHECK(*claim == first_area.base + pageblock);
  const auto& counts = memory.cma_counts_of(0);
  CHECK(counts.attempts == 2);
  CHECK(counts.busy_attempts == 1);
  CHECK(counts.pages_migrated_in_vain == in_vain);
  CHECK(counts.pages_migrated == in_vain + 512);
  CHECK(memory.cma_claimed(0) == pageblock);
  WHEN("every run is busy, the claim fails and its bits are clear") {
    for (frame_count i = 0; i < first_area.count; i += pageblock) {
      if (first_area.base + i != *claim) memory.pin(first_area.base + i + 500);
    }
    CHECK(memory.cma_alloc(ctx, 0, pageblock, pageblock_order).error().code() == errc::busy);
    CHECK(memory.cma_claimed(0) == pageblock);
  }
  WHEN("no run is long enough, nothing is tried") {
    CHECK(memory.cma_alloc(ctx, 0, first_area.count).error().code() == errc::no_memory);
    CHECK(memory.cma_counts_of(0).attempts == 2);
  }
}

SCENARIO("a claim is found by first fit, aligned as a frame number", "[alloc][cma]") {
  auto memory = with_areas(linux_6_12);
  context ctx;
  const auto claim = [&](frame_count count, unsigned align) {
    return memory.cma_alloc(ctx, 0, count, order{align}).value();
  };
  CHECK(claim(3, 0) == first_area.base);
  CHECK(claim(1, 2) == first_area.base + 4);
  CHECK(claim(1, 0) == first_area.base + 3);
  CHECK(claim(2, 3) == first_area.base + 8);
  memory.cma_release(ctx, 0, first_area.base, 3);
  CHECK(claim(2, 0) == first_area.base);
}

SCENARIO("a bit of the bitmap can stand for several frames", "[alloc][cma]") {
  auto area = first_area;
  area.per_bit = order{2};
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .cma_areas = {area}}};
  context ctx;
  CHECK(memory.cma_alloc(ctx, 0, 5).value() == area.base);
  CHECK(memory.cma_claimed(0) == 8);
  CHECK(memory.cma_alloc(ctx, 0, 1).value() == area.base + 8);
  CHECK_THROWS_WITH(memory.cma_release(ctx, 0, area.base + 1, 5),
                    ContainsSubstring("are not a claim on CMA area"));
  memory.cma_release(ctx, 0, area.base, 5);
  CHECK(memory.cma_claimed(0) == 4);
  CHECK_THROWS_WITH(page_allocator({.memory = memory_map::x86_64(64_MiB),
                                    .cma_areas = {{area.base, area.count, order{11}}}}),
                    ContainsSubstring("a bit of"));
}

SCENARIO("an isolation undone leaves what there was", "[alloc][contig]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
    context ctx;
    // An unmovable page at the end of a stretch of movable pageblocks.
    const auto page = *memory.alloc(ctx, order{0}, gfp_kernel);
    memory.drain_all(ctx);
    const pfn block{page.value() / pageblock * pageblock};
    const auto before = contents_of(memory);
    const auto digest = memory.state_digest();
    CHECK(memory.alloc_contig_range(ctx, block, pageblock).error().code() == errc::busy);
    CHECK(memory.state_digest() == digest);
    REQUIRE(block >= pfn{4 * pageblock});
    const pfn first = block - 4 * pageblock;
    CHECK(memory.alloc_contig_range(ctx, first, 5 * pageblock).error().code() == errc::busy);
    CHECK(contents_of(memory) == before);
    CHECK(memsim::testing::check_invariants(memory).empty());
    // Free blocks come back at the tails of their lists, and the next time they are there already.
    const auto undone = memory.state_digest();
    CHECK(memory.alloc_contig_range(ctx, first, 5 * pageblock).error().code() == errc::busy);
    CHECK(memory.state_digest() == undone);
  }
}

SCENARIO("a pageblock that its zone does not hold whole cannot be emptied", "[alloc][contig]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    page_allocator memory{{.memory = memory_map::x86_64(63_MiB), .profile = profile}};
    context ctx;
    const pfn end = memory.zones().back().extent.end();
    REQUIRE(end.value() % pageblock != 0);
    const auto before = contents_of(memory);
    CHECK(memory.alloc_contig_range(ctx, end - 64, 64).error().code() == errc::busy);
    CHECK(contents_of(memory) == before);
  }
}

SCENARIO("a gigabyte is had where its aligned frames are free or movable", "[alloc][contig]") {
  page_allocator memory{{.memory = memory_map::x86_64(6_GiB)}};
  context ctx;
  owned_pages pages{memory};
  for (int i = 0; i < 2000; ++i) REQUIRE(pages.add(ctx));
  constexpr frame_count gigabyte = frame_count{1} << 18;
  const auto range = memory.alloc_contig_pages(ctx, gigabyte);
  REQUIRE(range);
  CHECK(range->value() % gigabyte == 0);
  CHECK(std::ranges::none_of(pages.where, [&](const auto& entry) {
    return *range <= entry.second && entry.second < *range + gigabyte;
  }));
  memory.free_contig_range(ctx, *range, gigabyte);
  memory.drain_all(ctx);
  CHECK(memsim::testing::check_invariants(memory).empty());
  CHECK_THROWS_WITH(memory.alloc_contig_pages(ctx, 3), ContainsSubstring("a power of two"));
}

SCENARIO("a long-term pin leaves CMA areas and ZONE_MOVABLE first", "[alloc][cma]") {
  auto memory = with_areas(linux_6_12);
  context ctx;
  owned_pages pages{memory};
  fill_area(memory, ctx, pages, first_area);
  const auto lent = std::ranges::find_if(
      pages.where, [](const auto& entry) { return entry.second == first_area.base + 9; });
  REQUIRE(lent != pages.where.end());
  const auto tag = lent->first;
  const auto at = memory.pin_longterm(ctx, lent->second);
  REQUIRE(at);
  CHECK(pages.where[tag] == *at);
  CHECK(memory.pageblock_type(*at) != migratetype::cma);
  CHECK(memory.page(*at).flags.has_any(page_flag::pinned));
  CHECK(memory.cma_alloc(ctx, 0, first_area.count));
  // Where it need not move, it does not.
  memory.unpin(*at);
  CHECK(memory.pin_longterm(ctx, *at) == *at);
}

SCENARIO("areas asked for by size come to lie above 4 GiB, from below", "[alloc][cma]") {
  const auto memory = memory_map::x86_64(8_GiB);
  const auto first = place_cma_area(memory, {.size = 256_MiB});
  REQUIRE(first);
  CHECK(first->base == pfn{(4ULL << 30) / page_bytes});
  CHECK(first->count == (256_MiB).frames());
  const auto second = place_cma_area(memory, {.size = 1_GiB, .alignment = order{18}}, {{*first}});
  REQUIRE(second);
  CHECK(second->base == pfn{(5ULL << 30) / page_bytes});
  const pfn limit{(1ULL << 30) / page_bytes};
  const auto low = place_cma_area(memory, {.size = 64_MiB, .limit = limit});
  REQUIRE(low);
  CHECK(low->end() == limit);
  CHECK_NOTHROW(page_allocator({.memory = memory, .cma_areas = {*first, *second, *low}}));
  CHECK(place_cma_area(memory, {.size = 16_GiB}).error().code() == errc::no_memory);
  CHECK_THROWS_WITH(place_cma_area(memory, {.size = 2_MiB, .per_bit = order{10}}),
                    ContainsSubstring("512 frames with 1024 a bit"));
  CHECK_THROWS_WITH(place_cma_area(memory, {.size = 1_MiB}), ContainsSubstring("a multiple of"));
  CHECK_THROWS_WITH(place_cma_area(memory, {.size = 64_MiB, .alignment = order{3}}),
                    ContainsSubstring("aligned to order 3"));
}

SCENARIO("misuse of ranges is told", "[alloc][contig]") {
  auto memory = with_areas(linux_6_12);
  context ctx;
  CHECK_THROWS_WITH(memory.alloc_contig_range(ctx, pfn{4096}, 0),
                    ContainsSubstring("a range of no frames"));
  CHECK_THROWS_WITH(memory.alloc_contig_range(ctx, pfn{1 << 20}, 1),
                    ContainsSubstring("do not begin in a zone"));
  CHECK_THROWS_WITH(memory.alloc_contig_range(ctx, pfn{8192}, 1 << 20),
                    ContainsSubstring("end beyond memory"));
  CHECK_THROWS_WITH(memory.alloc_contig_range(ctx, pfn{8192}, 1, migratetype::highatomic),
                    ContainsSubstring("a contiguous range of type HighAtomic"));
  CHECK_THROWS_WITH(memory.free_contig_range(ctx, pfn{8192}, 2),
                    ContainsSubstring("frame 8192 is a free block"));
  CHECK_THROWS_WITH(memory.cma_alloc(ctx, 2, 1), ContainsSubstring("CMA area 2: there are 2"));
  CHECK_THROWS_WITH(memory.cma_alloc(ctx, 0, 0), ContainsSubstring("a claim of no frames"));
  CHECK_THROWS_WITH(memory.cma_release(ctx, 1, second_area.base, 1),
                    ContainsSubstring("are not a claim on"));
}

SCENARIO("a claim larger than its area is refused at once", "[alloc][cma]") {
  for (const unsigned per_bit : {0u, 3u}) {
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB),
                           .cma_areas = {{pfn{6144}, 2 * pageblock, order{per_bit}}}}};
    context ctx;
    const auto digest = memory.state_digest();
    for (const frame_count count : {2 * pageblock + 1, ~frame_count{0}}) {
      CHECK(memory.cma_alloc(ctx, 0, count).error().code() == errc::no_memory);
    }
    CHECK(memory.state_digest() == digest);
  }
}

SCENARIO("a claim is released in whole bits", "[alloc][cma]") {
  page_allocator memory{
      {.memory = memory_map::x86_64(64_MiB), .cma_areas = {{pfn{6144}, 2 * pageblock, order{3}}}}};
  context ctx;
  const auto claim = *memory.cma_alloc(ctx, 0, 17);
  CHECK(memory.cma_claimed(0) == 24);
  CHECK_THROWS_WITH(memory.cma_release(ctx, 0, claim, 1), ContainsSubstring("belongs to it"));
  memory.cma_release(ctx, 0, claim, 8);
  memory.cma_release(ctx, 0, claim + 8, 9);
  CHECK(memory.cma_claimed(0) == 0);
  CHECK(memsim::testing::check_invariants(memory).empty());
}
