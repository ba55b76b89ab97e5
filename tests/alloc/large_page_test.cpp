// SPDX-License-Identifier: Apache-2.0
// Pages of several frames that are moved, pinned, dropped and split as one.
#include <algorithm>

#include <memsim/alloc/observer.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

constexpr frame_count pageblock = pageblock_frames;

page_allocator with_movable_zone(const kernel_profile& profile) {
  return page_allocator{
      {.memory = memory_map::x86_64(64_MiB), .profile = profile, .movable_zone = 16 * pageblock}};
}

// Free of contradictions, and to be restored from what it says of itself.
void check_sound(const page_allocator& memory) {
  CHECK(memsim::testing::check_invariants(memory).empty());
  const auto again = page_allocator::restore(memory.state(), memory.profile(), memory.settings());
  if (!again) FAIL(again.error().message());
  CHECK(again->state_digest() == memory.state_digest());
}

struct moves final : allocator_observer {
  void on_migration(const migration_event& e) override { from.push_back(e.from); }
  std::vector<pfn> from{};
};

}  // namespace

SCENARIO("a large page that is pinned for long moves as a whole", "[alloc][page_owner][large]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const unsigned o : {1u, 4u, 9u}) {
      CAPTURE(profile.name, o);
      auto memory = with_movable_zone(profile);
      context ctx;
      owned_pages pages{memory};
      const auto tag =
          pages.add(ctx, page_kind::anonymous, gfp_highuser_movable | gfp_flag::comp, order{o});
      REQUIRE(tag);
      const auto before = pages.where.at(*tag);
      memory.flush_lru_batches();
      const auto pinned = memory.pin_longterm(ctx, before);
      REQUIRE(pinned);
      CHECK(*pinned != before);
      CHECK(pages.where.at(*tag) == *pinned);
      CHECK(memory.frames().mark_at(*pinned).order() == o);
      CHECK(memory.counts().pages_migrated == order{o}.frames());
      check_sound(memory);
      memory.unpin(*pinned);
      pages.remove(ctx, *tag, order{o});
      check_sound(memory);
    }
  }
}

SCENARIO("a page is not reclaimed to make room for where it is to be pinned",
         "[alloc][page_owner][large]") {
  auto memory = with_movable_zone(linux_6_12);
  context ctx;
  std::vector<pfn> pages;
  while (const auto page = memory.alloc(ctx, order{0}, gfp_highuser_movable - gfp_reclaim)) {
    memory.assign(ctx, *page, {.kind = page_kind::file});
    pages.push_back(*page);
  }
  memory.flush_lru_batches();
  // The oldest are the first that reclaim takes.
  for (std::size_t i = 0; i < 200; ++i) {
    if (memory.page(pages[i]) == page_info{}) continue;
    if (const auto pinned = memory.pin_longterm(ctx, pages[i])) {
      CHECK(memory.page(*pinned).flags.has_any(page_flag::pinned));
      memory.unpin(*pinned);
    }
  }
  CHECK(memory.reclaim_events().pages_reclaimed_direct > 0);
  check_sound(memory);
}

SCENARIO("a range drops a large clean page of a file as a whole", "[alloc][contig][large]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = profile}};
    context ctx;
    owned_pages pages{memory};
    const auto tag =
        pages.add(ctx, page_kind::file, gfp_highuser_movable | gfp_flag::comp, order{4});
    const auto block = pfn{pages.where.at(*tag).value() / pageblock * pageblock};
    CHECK(memory.alloc_contig_range(ctx, block, pageblock));
    CHECK(memory.counts().clean_pages_dropped == 16);
    CHECK(pages.where.empty());
    memory.free_contig_range(ctx, block, pageblock);
    check_sound(memory);
  }
}

SCENARIO("a batch is full with thirty-two frames, whatever the size of its pages",
         "[alloc][contig][large]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .profile = linux_6_1}};
  context ctx;
  owned_pages pages{memory};
  std::vector<pfn> where;
  while (where.size() < 4) {
    const auto tag =
        pages.add(ctx, page_kind::shmem, gfp_highuser_movable | gfp_flag::comp, order{4});
    where.push_back(pages.where.at(*tag));
  }
  std::ranges::sort(where);
  const auto block = pfn{where[0].value() / pageblock * pageblock};
  REQUIRE(where[3] < block + pageblock);
  moves log;
  memory.add_observer(log);
  REQUIRE(memory.alloc_contig_range(ctx, block, pageblock));
  memory.remove_observer(log);
  // Two at a time, the one found last first.
  CHECK(log.from == std::vector{where[1], where[0], where[3], where[2]});
}

SCENARIO("a split block is nobody's until its parts are assigned", "[alloc][split][large]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx;
  owned_pages pages{memory};
  const auto tag = *pages.add(ctx, page_kind::shmem, gfp_highuser_movable, order{3});
  const auto block = pages.where.at(tag);
  memory.pin(block);
  CHECK_THROWS_WITH(memory.split(block, order{3}, order{0}), ContainsSubstring("pinned"));
  memory.unpin(block);
  memory.split(block, order{3}, order{0});
  for (frame_count i = 0; i < 8; ++i) {
    CHECK(memory.page(block + i) == page_info{});
    CHECK(!memory.frames().mark_at(block + i).movable());
    memory.assign(ctx, block + i, {.kind = page_kind::shmem});
  }
  memory.flush_lru_batches();
  check_sound(memory);
  CHECK(memory.alloc_contig_range(ctx, pfn{block.value() / pageblock * pageblock}, pageblock));
}

SCENARIO("what is pinned is neither assigned anew nor freed with its range",
         "[alloc][contig][page_owner]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  context ctx;
  const pfn first{8192};
  REQUIRE(memory.alloc_contig_range(ctx, first, 16));
  memory.assign(ctx, first + 7, {.kind = page_kind::driver});
  memory.pin(first + 7);
  const auto digest = memory.state_digest();
  CHECK_THROWS_WITH(memory.assign(ctx, first + 7, {}), ContainsSubstring("it is pinned"));
  CHECK_THROWS_WITH(memory.free_contig_range(ctx, first, 16),
                    ContainsSubstring("frame 8199 is pinned"));
  CHECK(memory.state_digest() == digest);
  memory.unpin(first + 7);
  memory.free_contig_range(ctx, first, 16);
  check_sound(memory);
}

SCENARIO("owners come and go as often as they like", "[alloc][page_owner]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
  struct nothing final : page_owner {
  } owner;
  const auto first = memory.add_owner(owner);
  for (int i = 0; i < 70'000; ++i) memory.remove_owner(memory.add_owner(owner));
  memory.remove_owner(first);
  memory.remove_owner(first);
  CHECK_THROWS_WITH(memory.attach_owner(first, owner), ContainsSubstring("was removed"));
  CHECK(memory.add_owner(owner) != memory.add_owner(owner));
}
