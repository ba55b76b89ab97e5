// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/anonymous_memory.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

page_allocator small_memory() { return page_allocator{{.memory = memory_map::x86_64(64_MiB)}}; }

}  // namespace

SCENARIO("a page gets a frame when it is first touched", "[vm][anonymous]") {
  auto memory = small_memory();
  context ctx;
  anonymous_memory heap{memory};
  const auto page = heap.touch(ctx, 3);
  REQUIRE(page);
  CHECK(heap.touch(ctx, 3) == page);
  CHECK(heap.find(3) == *page);
  CHECK(!heap.find(4));
  CHECK(heap.resident() == 1);
  CHECK(heap.counts().minor_faults == 1);
  CHECK(ctx.done.pages_zeroed == 1);
  CHECK_THROWS_AS(heap.touch(ctx, anonymous_memory::most_pages), usage_error);
  heap.release(ctx, 3);
  CHECK(heap.resident() == 0);
  CHECK(!heap.find(3));
}

SCENARIO("page tables are counted where there are pages", "[vm][anonymous]") {
  auto memory = small_memory();
  context ctx;
  anonymous_memory heap{memory};
  CHECK(heap.page_tables() == 0);
  for (const std::uint64_t page : {0u, 1u, 511u, 512u, 5000u}) REQUIRE(heap.touch(ctx, page));
  CHECK(heap.page_tables() == 3);
  CHECK(heap.usage() == oom_usage{.resident = 5, .swapped = 0, .page_tables = 3});
}

SCENARIO("what does not fit into memory is in swap, and comes back", "[vm][anonymous]") {
  auto memory = small_memory();
  memory.set_swap(30'000);
  context ctx;
  anonymous_memory heap{memory};
  constexpr std::uint64_t pages = 30'000;
  for (std::uint64_t page = 0; page < pages; ++page) REQUIRE(heap.touch(ctx, page));
  CHECK(heap.resident() + heap.swapped() == pages);
  CHECK(heap.swapped() > 10'000);
  CHECK(memory.free_swap() == 30'000 - heap.swapped());
  CHECK(!heap.was_killed());

  WHEN("a page of long ago is touched") {
    REQUIRE(!heap.find(0));
    REQUIRE(heap.touch(ctx, 0));
    THEN("it is read") {
      CHECK(heap.counts().major_faults == 1);
      CHECK(ctx.done.pages_swapped_in == 1);
      CHECK(heap.find(0));
    }
  }
  WHEN("everything is given up") {
    heap.exit(ctx);
    THEN("swap and memory are free again") {
      CHECK(memory.free_swap() == 30'000);
      CHECK(heap.resident() == 0);
      CHECK(heap.swapped() == 0);
    }
  }
}

SCENARIO("pages in use stay while others go", "[vm][anonymous]") {
  auto memory = small_memory();
  memory.set_swap(100'000);
  context ctx;
  anonymous_memory heap{memory};
  for (std::uint64_t page = 0; page < 40'000; ++page) {
    REQUIRE(heap.touch(ctx, page));
    for (std::uint64_t hot = 0; hot < 100; hot += 10) {
      if (page % 100 == 0) REQUIRE(heap.touch(ctx, hot));
    }
  }
  for (std::uint64_t hot = 0; hot < 100; hot += 10) CHECK(heap.find(hot));
  // When memory is first short, every page has been used since it was there: then they go, too.
  CHECK(heap.counts().major_faults <= 10);
  CHECK(!heap.find(5));
}

SCENARIO("a page that is written again after it was swapped is swapped again", "[vm][anonymous]") {
  struct slow_store final : page_store {
    std::vector<std::move_only_function<void()>> under_way{};
    write_outcome write(std::move_only_function<void()> done) override {
      under_way.push_back(std::move(done));
      return write_outcome::started;
    }
  };
  auto memory = small_memory();
  memory.set_swap(1000);
  slow_store disk;
  context ctx;
  anonymous_memory heap{memory, {.swap = &disk, .score_adjustment = -1000}};
  std::uint64_t pages = 0;
  while (heap.touch(ctx, pages)) ++pages;
  REQUIRE(!disk.under_way.empty());
  const auto flags = [&](std::uint64_t page) { return memory.page(*heap.find(page)).flags; };
  REQUIRE(flags(0).has_all(page_flag::swap_cached | page_flag::writeback));

  WHEN("it is written while it goes to swap") {
    REQUIRE(heap.touch(ctx, 0));
    for (auto& done : disk.under_way) done();
    CHECK(flags(0).has_all(page_flag::swap_cached | page_flag::dirty));
    CHECK(flags(1) == (page_flag::lru | page_flag::anonymous | page_flag::swap_backed |
                       page_flag::swap_cached));
  }
  WHEN("it is only read") {
    REQUIRE(heap.touch(ctx, 0, memory_access::read));
    for (auto& done : disk.under_way) done();
    CHECK(!flags(0).has_any(page_flag::dirty));
  }
  WHEN("the process ends meanwhile") {
    heap.exit(ctx);
    CHECK(memory.free_swap() == 1000);
    REQUIRE(heap.touch(ctx, 0));
    for (auto& done : disk.under_way) done();
    CHECK(!memory.page(*heap.find(0)).flags.has_any(page_flag::writeback));
  }
}

SCENARIO("a fault that fails kills nobody by itself", "[vm][anonymous][oom]") {
  auto memory = small_memory();
  context ctx;
  anonymous_memory spared{memory, {.score_adjustment = -1000}};
  std::uint64_t pages = 0;
  while (spared.touch(ctx, pages)) ++pages;
  CHECK(pages > 10'000);
  CHECK(spared.counts().failed_faults == 1);
  CHECK(!spared.was_killed());
  CHECK(spared.resident() == pages);
}

SCENARIO("the OOM killer ends the largest process, and its memory is there for others",
         "[vm][anonymous][oom]") {
  auto memory = small_memory();
  context ctx;
  anonymous_memory large{memory};
  anonymous_memory small{memory};
  for (std::uint64_t page = 0; page < 9000; ++page) REQUIRE(large.touch(ctx, page));
  std::uint64_t pages = 0;
  while (!large.was_killed()) REQUIRE(small.touch(ctx, pages++));
  CHECK(large.resident() == 0);
  CHECK(!small.was_killed());
  CHECK(memory.reclaim_events().oom_kills == 1);
  CHECK_THROWS_WITH((anonymous_memory{memory, {.score_adjustment = 1001}}),
                    ContainsSubstring("score_adjustment 1001"));
}

SCENARIO("a process that is killed for its own fault gets no page", "[vm][anonymous][oom]") {
  auto memory = small_memory();
  context ctx;
  anonymous_memory only{memory};
  std::uint64_t pages = 0;
  while (only.touch(ctx, pages)) ++pages;
  CHECK(only.was_killed());
  CHECK(only.resident() == 0);
  CHECK(!only.touch(ctx, 0));
}

SCENARIO("memory that is detached leaves its pages to nobody and its swap to others",
         "[vm][anonymous]") {
  auto memory = small_memory();
  memory.set_swap(1000);
  context ctx;
  pfn stays{};
  {
    anonymous_memory heap{memory};
    for (std::uint64_t page = 0; page < 200; ++page) REQUIRE(heap.touch(ctx, page));
    memory.flush_lru_batches();
    memory.reclaim(ctx, 100);
    REQUIRE(heap.swapped() >= 100);
    REQUIRE(heap.resident() > 0);
    for (std::uint64_t page = 0; page < 200; ++page) stays = heap.find(page).value_or(stays);
    heap.detach();
    CHECK(heap.resident() + heap.swapped() + heap.page_tables() == 0);
    CHECK_THROWS_WITH(heap.touch(ctx, 7), ContainsSubstring("detached"));
  }
  CHECK(memory.free_swap() == 1000);
  CHECK(memory.page(stays).owner == 0);
  // Nobody is left to be killed.
  while (memory.alloc(ctx, order{0}, gfp_kernel)) {
  }
  CHECK(memory.reclaim_events().oom_without_victim > 0);
}
