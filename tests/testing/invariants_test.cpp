// SPDX-License-Identifier: Apache-2.0
// Every invariant is broken once, to see that it is missed.
#include <memsim/testing/invariants.hpp>

#include <algorithm>

#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

using namespace memsim;
using memsim::testing::check_invariants;

namespace {

// The parts of an allocator, copied out so that they can be damaged.
struct exhibit {
  explicit exhibit(const page_allocator& memory)
      : zones{memory.zones().begin(), memory.zones().end()},
        frames{memory.frames()},
        profile{memory.profile()},
        settings{memory.settings()} {
    for (pfn block{0}; block < frames.end(); block += pageblock_frames) {
      types.push_back(memory.pageblock_type(block));
    }
  }

  [[nodiscard]] std::vector<std::string> check() const {
    return memsim::testing::detail::check_invariants(
        {.zones = zones,
         .frames = frames,
         .pageblock_type = [this](pfn frame) { return types[frame.value() / pageblock_frames]; },
         .profile = profile,
         .settings = settings});
  }

  // Whether some violation has all of these words.
  [[nodiscard]] bool finds(std::initializer_list<const char*> words) const {
    return std::ranges::any_of(check(), [&](const std::string& violation) {
      return std::ranges::all_of(words, [&](const char* word) { return violation.contains(word); });
    });
  }

  // The head of a free list.
  [[nodiscard]] frame_table::node first_on(const zone& z, unsigned o, migratetype type) const {
    for (auto i = static_cast<frame_table::node>(z.extent.start.value());
         i < z.extent.end().value(); i += 1u << o) {
      const auto mark = frames.mark(i, o);
      if (mark.is_free(o) && mark.list() == static_cast<unsigned>(type)) return i;
    }
    FAIL("no such block");
    return 0;
  }

  std::vector<zone> zones;
  frame_table frames;
  kernel_profile profile;
  tuning settings;
  std::vector<migratetype> types;
};

// 64 MiB in use by a little of everything: pages and blocks of every order, some given back.
page_allocator used_memory(const kernel_profile& profile = linux_6_12) {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB),
                         .profile = profile,
                         .cpus = 2,
                         .cma_areas = {{pfn{8192}, 1024}}}};
  std::vector<std::pair<pfn, order>> blocks;
  for (unsigned i = 0; i < 60; ++i) {
    context ctx{.cpu = cpu_id{i % 2}};
    const order size{i % 3 == 0 ? 0 : i % 10};
    const auto flags = i % 4 == 0 ? gfp_kernel : gfp_highuser_movable;
    if (const auto block = memory.alloc(ctx, size, flags)) blocks.emplace_back(*block, size);
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    context ctx;
    memory.free(ctx, blocks[i].first, blocks[i].second);
  }
  // The tests want a free block of order 3.
  context ctx;
  while (memory.free_list(memory.zones().back(), order{3}, migratetype::movable).empty()) {
    REQUIRE(memory.alloc(ctx, order{0}, gfp_highuser_movable));
  }
  return memory;
}

constexpr std::size_t dma32 = 1;

}  // namespace

SCENARIO("a sound allocator breaks no invariant", "[testing][invariants]") {
  CHECK(check_invariants(page_allocator{{.memory = memory_map::x86_64(6_GiB)}}).empty());
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    CHECK(check_invariants(used_memory(profile)) == std::vector<std::string>{});
    CHECK(exhibit{used_memory(profile)}.check() == std::vector<std::string>{});
  }
}

SCENARIO("damage is found and named", "[testing][invariants]") {
  const auto memory = used_memory();
  exhibit e{memory};
  auto& z = e.zones[dma32];
  REQUIRE(z.extent.type == zone_type::dma32);
  const auto small = e.first_on(z, 3, migratetype::movable);
  const auto huge = e.first_on(z, 10, migratetype::movable);
  const auto name = [](frame_table::node frame) { return fmt::format("frame {}:", frame); };

  WHEN("a frame inside a free block is handed out too") {
    e.frames.set_allocated(small + 2, 1);
    CHECK(e.finds({name(small + 2).c_str(), "inside the free block of order 3"}));
  }
  WHEN("a page inside a free block is handed out too") {
    e.frames.set_allocated(huge + 77, 0);
    e.frames.touch(huge / 512);
    CHECK(e.finds({name(huge + 77).c_str(), "allocated", "inside the free block of order 10"}));
  }
  WHEN("a page is handed out and marked as something else") {
    const auto page = e.first_on(z, 3, migratetype::movable);
    e.frames.hand_out_page(page);
    CHECK(e.finds({name(page).c_str(), "handed out as a page", "free block of order 3"}));
  }
  WHEN("a frame is marked in both columns") {
    e.frames.mark(huge, 0) = frame_mark::free(0, 1);
    CHECK(e.finds({name(huge).c_str(), "marked both"}));
  }
  WHEN("a pageblock with marks is not said to be touched") {
    const auto copy = huge + 512;
    e.frames.mark(huge, 10) = frame_mark{};
    e.frames.mark(copy, 4) = frame_mark::allocated(4);
    CHECK(e.finds({fmt::format("pageblock at frame {}", copy).c_str(), "not touched"}));
  }
  WHEN("a block has an order of the other column") {
    e.frames.mark(small, 3) = frame_mark::free(9, 1);
    CHECK(e.finds({name(small).c_str(), "order 9", "among the frames"}));
  }
  WHEN("a block is not aligned") {
    e.frames.mark(small, 3) = frame_mark{};
    e.frames.mark(small + 1, 2) = frame_mark::allocated(2);
    CHECK(e.finds({"zone DMA32", name(small + 1).c_str(), "not aligned"}));
  }
  WHEN("a block lies in no zone") {
    e.frames.touch(0);
    e.frames.mark(0, 0) = frame_mark::allocated(0);
    CHECK(e.finds({"frame 0:", "lies in no zone"}));
  }
  WHEN("a block ends beyond its zone") {
    z.extent.spanned = huge + 1000 - z.extent.start.value();
    CHECK(e.finds({"zone DMA32", name(huge).c_str(), "beyond the zone"}));
  }
  WHEN("a frame on a free list counts as movable in use") {
    e.frames.mark(small + 5, 0) = frame_mark{}.with_movable(true);
    CHECK(e.finds({name(small + 5).c_str(), "movable"}));
  }
  WHEN("a free block names another list than its neighbours") {
    e.frames.mark(small, 3) = frame_mark::free(3, 0);
    CHECK(e.finds({"zone DMA32", name(small).c_str(), "list Unmovable", "type Movable"}));
    CHECK(e.finds({"counts", "order 3 on list Movable"}));
    e.frames.mark(huge, 10) = frame_mark::free(10, 0);
    CHECK(e.finds({name(huge).c_str(), "place of this free block of order 10"}));
  }
  WHEN("a pageblock changes its type and its free blocks stay where they are") {
    e.types[huge / 512 + 1] = migratetype::reclaimable;
    CHECK(e.finds({name(huge).c_str(), "on list Movable", "type Reclaimable"}));
    THEN("the rule of 6.1 allows that") {
      e.profile = linux_6_1;
      CHECK_FALSE(e.finds({"on list Movable"}));
    }
  }
  WHEN("a CMA pageblock has free blocks on another list") {
    e.profile = linux_6_1;
    e.types[huge / 512] = migratetype::cma;
    CHECK(e.finds({name(huge).c_str(), "type CMA"}));
  }
  WHEN("two free buddies lie side by side") {
    e.frames.mark(huge, 10) = frame_mark::free(9, 1);
    e.frames.mark(huge + 512, 9) = frame_mark::free(9, 1);
    CHECK(e.finds({name(huge).c_str(), "free buddy", "one block of order 10"}));
    THEN("they may if they could not merge") {
      e.types[huge / 512] = migratetype::cma;
      CHECK_FALSE(e.finds({"free buddy"}));
    }
  }
  WHEN("small free buddies lie side by side") {
    const auto buddy = small ^ 8;
    e.frames.mark(buddy, 3) = frame_mark::free(3, 1);
    CHECK(e.finds({"free buddy", "one block of order 4"}));
  }
  WHEN("the place of a block is another block's") {
    const auto& list = z.lists[10 * migratetypes + 1];
    REQUIRE(list.size() > 1);
    auto& place = e.frames.place(huge, 10);
    place = place + 1 == list.last() ? place - 1 : place + 1;
    CHECK(e.finds({name(huge).c_str(), "at the place of this free block of order 10"}));
  }
  WHEN("a block has a place beyond its list") {
    e.frames.place(huge, 10) = z.lists[10 * migratetypes + 1].last();
    CHECK(e.finds({"zone DMA32", name(huge).c_str(), "place of this free block of order 10"}));
  }
  WHEN("a list has lost its first block") {
    auto& list = z.lists[10 * migratetypes + 1];
    while (list.pop_front() != huge) {
    }
    CHECK(e.finds({"zone DMA32", name(huge).c_str(), "its list has"}));
  }
  WHEN("a page set would be trimmed too late") {
    ++z.cpus[0].trim_at;
    CHECK(e.finds({"zone DMA32 CPU 0", "trimmed at"}));
  }
  WHEN("a page set would count too many frees") {
    ++z.cpus[1].free_count_limit;
    CHECK(e.finds({"zone DMA32 CPU 1", "limit of free_count"}));
  }
  WHEN("a counter of blocks is off") {
    ++z.free_blocks[5][2];
    CHECK(e.finds({"zone DMA32", "free blocks of order 5", "Reclaimable"}));
  }
  WHEN("the bits of orders with free blocks are off") {
    z.free_orders[1] ^= 1u << 10;
    CHECK(e.finds({"zone DMA32", "orders with free blocks", "Movable"}));
  }
  WHEN("the counter of free pages is off by one") {
    ++z.free_pages;
    CHECK(e.finds({"zone DMA32", "free pages"}));
  }
  WHEN("a pending difference is off by one") {
    --z.cpus[1].pending.free;
    CHECK(e.finds({"zone DMA32", "free pages"}));
  }
  WHEN("the counter of free CMA pages is off") {
    z.free_cma -= 512;
    CHECK(e.finds({"zone DMA32", "free CMA pages"}));
  }
  WHEN("the counter of free highatomic pages is off") {
    z.free_highatomic = 1;
    CHECK(e.finds({"zone DMA32", "free highatomic pages"}));
    THEN("the rule of 6.1 has no such counter") {
      e.profile = linux_6_1;
      CHECK_FALSE(e.finds({"free highatomic pages"}));
    }
  }
  WHEN("more is pending than the threshold lets be") {
    z.counter_threshold = 0;
    z.cpus[0].pending.free += 3;
    z.free_pages -= 3;
    CHECK(e.finds({"zone DMA32 CPU 0", "pending"}));
  }
  WHEN("the boost is above its maximum") {
    z.boost = std::max<std::uint64_t>(512, z.marks.high * 3 / 2) + 1;
    CHECK(e.finds({"zone DMA32", "boost"}));
    --z.boost;
    CHECK_FALSE(e.finds({"boost"}));
  }
  WHEN("more is reserved than may be") {
    e.profile = linux_6_1;
    z.reserved_highatomic = z.extent.managed / 100 + 1024;
    CHECK_FALSE(e.finds({"reserved"}));
    ++z.reserved_highatomic;
    CHECK(e.finds({"zone DMA32", "reserved", "at most"}));
  }
  WHEN("the reserve is not what its pageblocks hold") {
    z.reserved_highatomic = 512;
    CHECK(e.finds({"zone DMA32", "512 pages are reserved", "expected 0 from its pageblocks"}));
  }
  WHEN("a page set has miscounted") {
    ++z.cpus[1].count;
    CHECK(e.finds({"zone DMA32 CPU 1", "on its lists"}));
  }

  const auto used =
      std::ranges::find_if(z.cpus[0].lists, [](const auto& list) { return !list.empty(); });
  REQUIRE(used != z.cpus[0].lists.end());
  const auto page = (*used)[used->first()];
  const auto list = static_cast<unsigned>(used - z.cpus[0].lists.begin());
  WHEN("a block is on two per-CPU lists") {
    z.cpus[1].lists[list].reserve_more(1);
    z.cpus[1].lists[list].push_back(page);
    CHECK(e.finds({"zone DMA32", name(page.frame()).c_str(), "twice"}));
  }
  WHEN("a block on a per-CPU list is handed out") {
    e.frames.set_allocated(page.frame(), pcp_order_of(list));
    CHECK(e.finds({name(page.frame()).c_str(), "on per-CPU list", "marked allocated"}));
  }
  WHEN("a block is marked per-CPU and on no list") {
    used->pop_front();
    CHECK(e.finds({"zone DMA32", "marked per-CPU"}));
  }
  WHEN("a per-CPU list holds a frame of another zone") {
    used->reserve_more(1);
    used->push_back({1, page.type()});
    CHECK(e.finds({"frame 1 on per-CPU list", "not in the zone"}));
  }
}

SCENARIO("a wreck is not described at length", "[testing][invariants]") {
  exhibit e{used_memory()};
  for (auto& type : e.types) type = migratetype::isolate;
  for (auto& z : e.zones) {
    for (auto& counts : z.free_blocks) counts.fill(99);
  }
  const auto violations = e.check();
  REQUIRE(violations.size() == testing::max_violations + 1);
  CHECK_THAT(violations.back(), ContainsSubstring("more"));
}
