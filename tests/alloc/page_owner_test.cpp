// SPDX-License-Identifier: Apache-2.0
// Whose pages are, and that they are told when these move.
#include <memsim/alloc/page_owner.hpp>

#include <memsim/alloc/observer.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pageblock = pageblock_frames;

page_allocator small_machine(const kernel_profile& profile = linux_6_12) {
  return page_allocator{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
}

pfn block_of(pfn page) { return pfn{page.value() / pageblock * pageblock}; }

}  // namespace

SCENARIO("an owner is told where its page has gone", "[alloc][page_owner]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    auto memory = small_machine(profile);
    context ctx;
    owned_pages mine{memory};
    const auto tag = *mine.add(ctx);
    const pfn before = mine.where[tag];
    // In its batch it is not on the LRU lists, and so looks unmovable.
    CHECK_FALSE(memory.alloc_contig_range(ctx, block_of(before), pageblock));
    memory.flush_lru_batches();
    REQUIRE(memory.alloc_contig_range(ctx, block_of(before), pageblock));
    CHECK(mine.where[tag] != before);
    CHECK(block_of(mine.where[tag]) != block_of(before));
    CHECK(mine.moves == 1);
    CHECK(ctx.done.pages_copied == 1);
    CHECK(ctx.done.page_moves == 1);
    THEN("and what was known of it has gone along") {
      const auto info = memory.page(mine.where[tag]);
      CHECK(info.tag == tag);
      CHECK(info.flags.has_all(page_flag::anonymous | page_flag::swap_backed));
      CHECK(memory.page(before) == page_info{});
    }
    THEN("and it can be freed where it is now") {
      mine.remove(ctx, tag);
      memory.free_contig_range(ctx, block_of(before), pageblock);
      memory.drain_all(ctx);
      const auto whole = small_machine(profile);
      std::int64_t free = 0;
      std::int64_t expected = 0;
      for (const auto& z : memory.zones()) free += z.exact_free_pages();
      for (const auto& z : whole.zones()) expected += z.exact_free_pages();
      CHECK(free == expected);
      CHECK(memsim::testing::check_invariants(memory).empty());
    }
  }
}

SCENARIO("a page waits in its CPU's batch before it is on the LRU lists", "[alloc][page_owner]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    auto memory = small_machine(profile);
    context ctx;
    owned_pages mine{memory};
    for (unsigned i = 0; i + 1 < profile.lru_batch; ++i) {
      const auto tag = *mine.add(ctx);
      CHECK(memory.page(mine.where[tag]).flags.has_any(page_flag::lru_pending));
    }
    const auto last = *mine.add(ctx);
    CHECK(memory.page(mine.where[last]).flags.has_any(page_flag::lru));
    CHECK(memory.page(mine.where[0]).flags.has_any(page_flag::lru));
    CHECK(memory.state().lru_lists[0].size() == profile.lru_batch);
    CHECK(memory.state().lru_batches.empty());
    const auto next = *mine.add(ctx);
    CHECK(memory.state().lru_batches == std::vector<std::vector<pfn>>{{mine.where[next]}});
    memory.flush_lru_batches();
    CHECK(memory.state().lru_lists[0].front() == mine.where[next]);
    // Freed from a list and from a batch alike.
    const auto waiting = *mine.add(ctx);
    mine.remove(ctx, waiting);
    mine.remove(ctx, last);
    CHECK(memory.state().lru_lists[0].size() == profile.lru_batch);
    CHECK(memory.state().lru_batches.empty());
    CHECK(memsim::testing::check_invariants(memory).empty());
  }
}

SCENARIO("a pinned page neither moves nor is freed", "[alloc][page_owner]") {
  auto memory = small_machine();
  context ctx;
  owned_pages mine{memory};
  const auto tag = *mine.add(ctx, page_kind::shmem);
  memory.flush_lru_batches();
  const pfn page = mine.where[tag];
  memory.pin(page);
  memory.pin(page);
  CHECK(memory.alloc_contig_range(ctx, block_of(page), pageblock).error().code() == errc::busy);
  CHECK(mine.where[tag] == page);
  CHECK_THROWS_WITH(memory.free(ctx, page, order{0}), ContainsSubstring("it is pinned, 2 times"));
  memory.unpin(page);
  CHECK(memory.alloc_contig_range(ctx, block_of(page), pageblock).error().code() == errc::busy);
  memory.unpin(page);
  memory.flush_lru_batches();  // it was put back
  CHECK(memory.alloc_contig_range(ctx, block_of(page), pageblock));
  CHECK(mine.where[tag] != page);
  CHECK_THROWS_WITH(memory.unpin(page), ContainsSubstring("is not pinned"));
  CHECK_THROWS_WITH(memory.pin(page), ContainsSubstring("it is not an assigned page"));
}

SCENARIO("the reason for which a page does not move is told", "[alloc][page_owner][migration]") {
  struct listener final : allocator_observer {
    void on_migration(const migration_event& e) override { results.push_back(e.result); }
    std::vector<migration_result> results;
  } heard;
  auto memory = small_machine();
  context ctx;
  owned_pages mine{memory};
  const auto tag = *mine.add(ctx, page_kind::shmem);
  memory.flush_lru_batches();
  const auto attempt = [&](page_allocator& where) {
    heard.results.clear();
    where.flush_lru_batches();
    where.add_observer(heard);
    const bool got =
        where.alloc_contig_range(ctx, block_of(mine.where[tag]), pageblock).has_value();
    where.remove_observer(heard);
    return got;
  };
  WHEN("it is pinned") {
    memory.pin(mine.where[tag]);
    CHECK_FALSE(attempt(memory));
    REQUIRE(heard.results.size() == 50);  // five calls of 3 and 7 tries
    CHECK(heard.results.front() == migration_result::pinned);
  }
  WHEN("its owner refuses") {
    mine.stays.insert(tag);
    CHECK_FALSE(attempt(memory));
    CHECK(heard.results.front() == migration_result::refused);
  }
  WHEN("the allocator is a copy whose owners nobody has attached") {
    auto copy = memory;
    CHECK_FALSE(attempt(copy));
    CHECK(heard.results.front() == migration_result::orphaned);
    copy.attach_owner(mine.id(), mine);
    CHECK(attempt(copy));
    CHECK(heard.results == std::vector{migration_result::moved});
  }
}

SCENARIO("what its driver moves is not on the LRU lists", "[alloc][page_owner]") {
  auto memory = small_machine();
  context ctx;
  owned_pages mine{memory};
  const auto tag = *mine.add(ctx, page_kind::driver, gfp_kernel);
  memory.flush_lru_batches();
  CHECK(memory.state().lru_lists == decltype(memory.state().lru_lists){});
  const pfn page = mine.where[tag];
  mine.keeps.insert(tag);
  CHECK_FALSE(memory.alloc_contig_range(ctx, block_of(page), pageblock));
  CHECK(mine.where[tag] == page);
  mine.keeps.clear();
  CHECK(memory.alloc_contig_range(ctx, block_of(page), pageblock));
  CHECK(mine.where[tag] != page);
}

SCENARIO("clean page cache is dropped from a range, not moved", "[alloc][page_owner][contig]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    auto memory = small_machine(profile);
    context ctx;
    owned_pages mine{memory};
    const auto clean = *mine.add(ctx, page_kind::file);
    const auto other = *mine.add(ctx, page_kind::anonymous);
    memory.flush_lru_batches();
    const pfn block = block_of(mine.where[clean]);
    REQUIRE(block == block_of(mine.where[other]));
    REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
    CHECK_FALSE(mine.where.contains(clean));
    CHECK(mine.where.contains(other));
    CHECK(mine.moves == 1);
    CHECK(memory.counts().clean_pages_dropped == 1);
    CHECK_FALSE(mine.lost_track);
  }
}

SCENARIO("a huge page moves out of a range as a whole", "[alloc][page_owner][contig]") {
  auto memory = small_machine();
  context ctx;
  owned_pages mine{memory};
  const auto tag = *mine.add(ctx, page_kind::anonymous, gfp_transhuge, pageblock_order);
  const pfn before = mine.where[tag];
  REQUIRE(memory.alloc_contig_range(ctx, before, pageblock));
  CHECK(mine.where[tag] != before);
  CHECK(mine.moves == 1);
  CHECK(ctx.done.page_moves == 1);
  CHECK(ctx.done.pages_copied == 512);
  mine.remove(ctx, tag, pageblock_order);
  CHECK(memsim::testing::check_invariants(memory).empty());
}

SCENARIO("uses and pins are part of a state", "[alloc][page_owner][restore]") {
  auto memory = small_machine(linux_6_1);
  context ctx;
  owned_pages mine{memory};
  for (int i = 0; i < 100; ++i) static_cast<void>(mine.add(ctx, page_kind(i % 4)));
  memory.pin(mine.where[5]);
  const auto state = memory.state();
  auto back = page_allocator::restore(state, linux_6_1);
  REQUIRE(back);
  CHECK(back->state() == state);
  CHECK(back->state_digest() == memory.state_digest());
  back->attach_owner(mine.id(), mine);
  CHECK_THROWS_WITH(back->free(ctx, mine.where[5], order{0}), ContainsSubstring("pinned"));

  const auto refused = [&](auto change, const char* why) {
    auto other = state;
    change(other);
    const auto result = page_allocator::restore(other, linux_6_1);
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == errc::inconsistent);
    CHECK_THAT(result.error().message(), ContainsSubstring(why));
  };
  auto& z = state.zones.back();
  REQUIRE_FALSE(z.pages.empty());
  const auto zone = state.zones.size() - 1;
  refused([&](auto& s) { s.zones[zone].pages.front().info.owner = 9; }, "owner 9 of 1");
  refused([&](auto& s) { s.zones[zone].pages.front().page = z.extent.end(); }, "is not in it");
  refused([&](auto& s) { s.lru_lists[0].pop_back(); }, "says that it is on an LRU list");
  refused([&](auto& s) { s.lru_lists[0].push_back(s.lru_lists[0][0]); }, "should not be");
  refused([&](auto& s) { std::swap(s.lru_lists[0], s.lru_lists[2]); }, "another LRU list");
  refused([&](auto& s) { s.pins.push_back({pfn{1}, 1}); }, "flags say otherwise");
  refused([&](auto& s) { s.lru_batches.resize(7); }, "7 LRU batches for 1 CPUs");
  refused([&](auto& s) { s.zones[zone].skip_hints = {pfn{3}}; }, "skip hint of frame 3");
  refused([&](auto& s) { s.zones[zone].compaction.shift = 9; }, "2^9");
}

SCENARIO("misuse of pages is told with what they are", "[alloc][page_owner]") {
  auto memory = small_machine();
  context ctx;
  owned_pages mine{memory};
  CHECK_THROWS_WITH(memory.assign(ctx, pfn{4096}, {}), ContainsSubstring("a free block of order"));
  const auto page = *memory.alloc(ctx, order{0}, gfp_kernel);
  CHECK_THROWS_WITH(memory.assign(ctx, page, {.owner = owner_id{7}}),
                    ContainsSubstring("owner 7: 1 are registered"));
  CHECK_THROWS_WITH(memory.attach_owner(owner_id{2}, mine), ContainsSubstring("owner 2: 1"));
  CHECK_THROWS_WITH(memory.remove_owner(owner_id::none), ContainsSubstring("owner 0: 1"));
  CHECK_THROWS_AS(memory.page(pfn{1ULL << 40}), usage_error);
  CHECK(to_text(page_flag::lru | page_flag::dirty) == "lru|dirty");
  CHECK(to_text(page_flags{}) == "none");
  CHECK(to_text(page_kind::shmem) == "shmem");
}
