// SPDX-License-Identifier: Apache-2.0
// Where Linux 6.1 and 6.12 differ in how they pick a page: a test for each switch, set by itself.
#include "alloc/profile_traps.hpp"

#include <memsim/testing/invariants.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr auto nobody_woken = gfp{};
constexpr auto unmovable = migratetype::unmovable;
constexpr auto movable = migratetype::movable;

constexpr std::size_t of(migratetype type) { return static_cast<std::size_t>(type); }

// Pageblocks of movable memory from frame 0 on, nothing of which is free; marks of zero; page sets
// that take one page at a time and give none back.
zone_state zone_of_blocks(unsigned pageblocks) {
  const frame_count pages = pageblocks * pageblock_frames;
  zone_state z{.extent = {zone_type::dma, pfn{0}, pages, pages, pages}};
  z.cpus.push_back({.high = 1000, .batch = 1, .high_min = 1000, .high_max = 1000});
  z.pageblocks.assign(pageblocks, movable);
  return z;
}

// Makes a block a free one, of the type of its list.
void list(zone_state& z, unsigned size, migratetype type, unsigned block) {
  z.free_lists[size][of(type)].push_back(pfn{block});
  z.free_pages += std::int64_t{1} << size;
}

page_allocator taken_up(const zone_state& z, const kernel_profile& profile) {
  return page_allocator::restore({.zones = {z}}, profile, {.slow_path = rule::off}).value();
}

std::vector<pfn> listed(const page_allocator& memory, unsigned size, migratetype type) {
  return memory.free_list(memory.zones().front(), order{size}, type);
}

std::vector<pfn> frames(std::initializer_list<unsigned> numbers) {
  return {numbers.begin(), numbers.end()};
}

}  // namespace

TEST_CASE("trap: the largest order is 10, however a kernel counts it", "[alloc][trap]") {
  CHECK(max_page_order == order{10});
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
    context ctx;
    CHECK(memory.alloc(ctx, order{10}, gfp_kernel));
    CHECK_THROWS_WITH(static_cast<void>(memory.alloc(ctx, order{11}, gfp_kernel)),
                      ContainsSubstring("above 10"));
  }
}

TEST_CASE("trap: a stable release is not its first, and gets the profile of the one recorded",
          "[alloc][trap]") {
  for (const auto* release : {"6.1.0", "6.1.192", "6.1.192-amd64"}) {
    CHECK(profile_for_release(release).value() == linux_6_1);
  }
  for (const auto* release : {"6.12.0", "6.12.117"}) {
    CHECK(profile_for_release(release).value() == linux_6_12);
  }
}

TEST_CASE("trap: huge pages have two lists per CPU, unlike in the first releases of 6.1",
          "[alloc][trap]") {
  // Of the pageblocks one is movable and one is not; both are freed as huge pages.
  auto z = zone_of_blocks(2);
  z.pageblocks[1] = unmovable;
  z.allocated = {{pfn{0}, order{9}}, {pfn{512}, order{9}}};
  z.cpus[0].high = z.cpus[0].high_min = z.cpus[0].high_max = 2000;
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    auto memory = taken_up(z, profile);
    context ctx;
    memory.free(ctx, pfn{0}, order{9});
    memory.free(ctx, pfn{512}, order{9});
    const auto& lists = memory.zones().front().cpus[0].lists;
    CHECK(lists[pcp_list_of(9, movable)].size() == 1);
    CHECK(lists[pcp_list_of(9, unmovable)].size() == 1);
    CHECK(pcp_list_of(9, migratetype::reclaimable) == pcp_list_of(9, unmovable));
  }
}

TEST_CASE("trap: a pageblock that is not claimed loses its free blocks, or a single page",
          "[alloc][trap]") {
  // 32 pages are free, the others movable and in use: too few are free or alike for a claim.
  auto z = zone_of_blocks(1);
  list(z, 5, movable, 0);
  for (unsigned page = 32; page < 512; ++page) z.movable_in_use.push_back(pfn{page});
  for (const auto rule : {fallback_rule::move_then_retry, fallback_rule::claim_or_steal}) {
    auto memory = taken_up(z, with(&kernel_profile::fallback, rule));
    context ctx;
    CHECK(memory.alloc(ctx, order{0}, gfp_kernel) == pfn{0});
    CHECK(memory.pageblock_type(pfn{0}) == movable);
    const bool moved = rule == fallback_rule::move_then_retry;
    for (unsigned o = 0; o < 5; ++o) {
      CHECK(listed(memory, o, unmovable) == (moved ? frames({1u << o}) : frames({})));
      CHECK(listed(memory, o, movable) == (moved ? frames({}) : frames({1u << o})));
    }
  }
}

TEST_CASE("trap: a reserve that is in use counts against a request, until 6.10", "[alloc][trap]") {
  // 288 pages are free, 512 are reserved for high-order atomic requests, and none of those is free.
  auto z = zone_of_blocks(2);
  z.pageblocks[0] = migratetype::highatomic;
  z.reserved_highatomic = 512;
  list(z, 8, movable, 512);
  list(z, 5, movable, 512 + 256);
  for (const auto rule : {highatomic_deduction::reserved_pages, highatomic_deduction::free_pages}) {
    auto memory = taken_up(z, with(&kernel_profile::highatomic, rule));
    context ctx;
    CHECK(memory.alloc(ctx, order{0}, gfp_kernel).has_value() ==
          (rule == highatomic_deduction::free_pages));
    // Who has a right to reserves is not concerned.
    CHECK(memory.alloc(ctx, order{0}, gfp_atomic));
  }
}

TEST_CASE("trap: small zones reserve for high-order atomic requests too, until 6.10",
          "[alloc][trap]") {
  const auto reserved = [](highatomic_limit limit, unsigned pageblocks) {
    auto z = zone_of_blocks(pageblocks);
    z.marks = {.min = 0, .low = 1 << 20, .high = 1 << 20};  // only requests with rights pass
    for (unsigned block = 0; block < pageblocks; block += 2) list(z, 10, movable, block * 512);
    auto memory = taken_up(z, with(&kernel_profile::highatomic_reserve, limit));
    context ctx;
    // Half pageblocks: two requests use up what one of them has reserved.
    for (int i = 0; i < 10; ++i) REQUIRE(memory.alloc(ctx, order{8}, gfp_atomic));
    return memory.zones().front().reserved_highatomic / pageblock_frames;
  };
  using enum highatomic_limit;
  // 8192 pages: 81 and a pageblock are not reached by one pageblock, but by two; 81 are too few.
  CHECK(reserved(hundredth_plus_block, 16) == 2);
  CHECK(reserved(hundredth_in_blocks, 16) == 0);
  // 61440 pages: the limits are 614 + 512 and 2 * 512.
  CHECK(reserved(hundredth_plus_block, 120) == 3);
  CHECK(reserved(hundredth_in_blocks, 120) == 2);
}

TEST_CASE("trap: the boost is waived for atomic requests, or for all that may use the reserve",
          "[alloc][trap]") {
  auto z = zone_of_blocks(1);
  z.marks = {50, 60, 70};
  z.boost = 1000;
  list(z, 8, movable, 0);
  for (const auto rule : {boost_exemption::atomic, boost_exemption::min_reserve}) {
    auto memory = taken_up(z, with(&kernel_profile::unboosted_retry, rule));
    context ctx;
    CHECK(memory.alloc(ctx, order{0}, gfp_flag::high).has_value() ==
          (rule == boost_exemption::min_reserve));
    CHECK(memory.alloc(ctx, order{0}, gfp_atomic));
    CHECK_FALSE(memory.alloc(ctx, order{0}, gfp_nowait));
  }
}

TEST_CASE("trap: refills of a page set are of one size, or grow with use and its limit with them",
          "[alloc][trap]") {
  auto z = zone_of_blocks(2);
  list(z, 10, movable, 0);
  z.cpus[0] = {.high = 40, .batch = 4, .high_min = 40, .high_max = 100};
  for (const auto rule : {pcp_rule::fixed_high, pcp_rule::adaptive_high}) {
    auto memory = taken_up(z, with(&kernel_profile::pcp, rule));
    context ctx;
    const auto& set = memory.zones().front().cpus[0];
    const auto take = [&](int pages) {
      while (pages-- > 0) REQUIRE(memory.alloc(ctx, order{0}, gfp_highuser_movable));
    };
    const bool adaptive = rule == pcp_rule::adaptive_high;
    take(1);
    CHECK(set.count == 3);
    CHECK(set.high == (adaptive ? 44 : 40));
    take(4);
    CHECK(set.count == (adaptive ? 7 : 3));
    CHECK(set.high == (adaptive ? 52 : 40));
  }
}

TEST_CASE("trap: a refill is one change of the free counter, or a change for each page",
          "[alloc][trap]") {
  // Twelve pages, with a threshold of eight: twelve at once are beyond it, and so are nine by one.
  auto z = zone_of_blocks(2);
  list(z, 10, movable, 0);
  z.counter_threshold = 8;
  z.cpus[0].batch = 12;
  for (const auto rule : {counter_rule::per_operation, counter_rule::per_block}) {
    auto memory = taken_up(z, with(&kernel_profile::counters, rule));
    context ctx;
    REQUIRE(memory.alloc(ctx, order{0}, gfp_highuser_movable));
    const auto& after = memory.zones().front();
    REQUIRE(after.cpus[0].count == 11);
    const bool at_once = rule == counter_rule::per_operation;
    CHECK(after.free_pages == 1024 - (at_once ? 12 : 9));
    CHECK(after.cpus[0].pending.free == (at_once ? 0 : -3));
  }
}

TEST_CASE("trap: a zone is tried at its high mark first and noted to be below, from 6.10 on",
          "[alloc][trap]") {
  auto z = zone_of_blocks(1);
  list(z, 8, movable, 0);
  z.marks = {10, 20, 300};
  for (const auto first : {rule::on, rule::off}) {
    auto memory = taken_up(z, with(&kernel_profile::high_mark_first, first));
    context ctx;
    CHECK(memory.alloc(ctx, order{0}, gfp_highuser_movable));
    CHECK(memory.zones().front().below_high == (first == rule::on));
  }
}

TEST_CASE("trap: a page on a per-CPU list keeps the type that its pageblock had, until 6.10",
          "[alloc][trap]") {
  // Page 0 is freed while its pageblock is movable, and drained when that has become unmovable.
  auto z = zone_of_blocks(1);
  z.allocated = {{pfn{0}, order{0}}};
  for (unsigned o = 0; o < 9; ++o) list(z, o, movable, 1u << o);
  for (const auto notes : {rule::on, rule::off}) {
    auto memory = taken_up(z, with(&kernel_profile::pcp_notes_migratetype, notes));
    context ctx;
    memory.free(ctx, pfn{0}, order{0});
    REQUIRE(memory.alloc(ctx, order{5}, gfp_kernel) == pfn{32});
    REQUIRE(memory.pageblock_type(pfn{0}) == unmovable);
    memory.drain_all(ctx);
    CHECK(listed(memory, 5, notes == rule::on ? movable : unmovable) == frames({0}));
  }
}

TEST_CASE("trap: a pageblock merged with one of another type becomes that type, from 6.10 on",
          "[alloc][trap]") {
  auto z = zone_of_blocks(2);
  z.pageblocks[1] = unmovable;
  z.allocated = {{pfn{512}, order{9}}};
  list(z, 9, movable, 0);
  for (const auto retypes : {rule::on, rule::off}) {
    auto memory = taken_up(z, with(&kernel_profile::merging_retypes_pageblock, retypes));
    context ctx;
    memory.free(ctx, pfn{512}, order{9});
    memory.drain_all(ctx);
    CHECK(listed(memory, 10, unmovable) == frames({0}));
    CHECK(memory.pageblock_type(pfn{0}) == (retypes == rule::on ? unmovable : movable));
  }
}

TEST_CASE("trap: a block of order 10 is freed with one type, or pageblock by pageblock",
          "[alloc][trap]") {
  auto z = zone_of_blocks(2);
  z.pageblocks[1] = migratetype::cma;
  z.allocated = {{pfn{0}, order{10}}};
  for (const auto by_pageblock : {rule::on, rule::off}) {
    auto memory = taken_up(z, with(&kernel_profile::frees_by_pageblock, by_pageblock));
    context ctx;
    memory.free(ctx, pfn{0}, order{10});
    const bool on = by_pageblock == rule::on;
    CHECK(listed(memory, 10, movable) == (on ? frames({}) : frames({0})));
    CHECK(listed(memory, 9, movable) == (on ? frames({0}) : frames({})));
    CHECK(listed(memory, 9, migratetype::cma) == (on ? frames({512}) : frames({})));
    CHECK(memory.zones().front().exact_free_cma() == (on ? 512 : 0));
  }
}

TEST_CASE("trap: a movable zone shares the minimum, until 6.10", "[alloc][trap]") {
  const auto minimum = [](rule shares, frame_count movable_pages) {
    const page_allocator memory{
        {.memory = memory_map::x86_64(16_GiB),
         .profile = with(&kernel_profile::movable_zone_shares_minimum, shares),
         .movable_zone = movable_pages,
         .settings = {.min_free_kbytes = 65'536}}};
    std::uint64_t pages = 0;
    for (const auto& z : memory.zones()) pages += z.marks.min;
    return pages;
  };
  constexpr frame_count quarter = (4_GiB).frames();
  // 64 MiB are 16384 pages; each zone's share is rounded down. A movable zone that has no share has
  // a minimum of its own, of 128 pages at most.
  CHECK(minimum(rule::on, quarter) <= 16'384);
  CHECK(minimum(rule::on, quarter) > 16'384 - 4);
  CHECK(minimum(rule::off, quarter) > 16'384 + 128 - 4);
  CHECK(minimum(rule::off, quarter) <= 16'384 + 128);
  CHECK(minimum(rule::on, 0) == minimum(rule::off, 0));
}

TEST_CASE("trap: any request clears the flag of a boosted zone, or who may wake kswapd",
          "[alloc][trap]") {
  auto z = zone_of_blocks(1);
  list(z, 8, movable, 0);
  z.boosted = true;
  for (const auto needs : {rule::on, rule::off}) {
    auto memory = taken_up(z, with(&kernel_profile::boosted_flag_needs_kswapd, needs));
    context ctx;
    REQUIRE(memory.alloc(ctx, order{0}, nobody_woken | gfp_flag::movable));
    CHECK(memory.zones().front().boosted == (needs == rule::on));
    CHECK(memory.counts().kswapd_wakeups == (needs == rule::on ? 0 : 1));
    REQUIRE(memory.alloc(ctx, order{0}, gfp_nowait | gfp_flag::movable));
    CHECK_FALSE(memory.zones().front().boosted);
    CHECK(memory.counts().kswapd_wakeups == 1);
  }
}
