// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/synthesis.hpp>

#include <map>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/random.hpp>
#include <memsim/workload/machine_description.hpp>
#include <memsim/workload/trace_event.hpp>
#include <memsim/workload/trace_hints.hpp>

#include "catch.hpp"
#include "workload/proc_files.hpp"

using namespace memsim;
using namespace memsim::test;

namespace {

machine_description captured() {
  auto m = parse_zoneinfo(zoneinfo, "zoneinfo").value();
  REQUIRE(add_buddyinfo(m, buddyinfo, "buddyinfo"));
  REQUIRE(add_pagetypeinfo(m, pagetypeinfo, "pagetypeinfo"));
  return m;
}

allocator_state make(const machine_description& m, const kernel_profile& profile = linux_6_12,
                     std::uint64_t seed = 1, const trace_hints* hints = nullptr) {
  auto state = synthesise(m, profile, seed, hints);
  if (!state) FAIL(state.error().message());
  return *state;
}

// What /proc would say of a zone, were it real.
described_types types_of(const zone_state& z) {
  described_types types;
  for (unsigned o = 0; o < page_orders; ++o) {
    for (unsigned t = 0; t < migratetypes; ++t) types.free_blocks[t][o] = z.free_lists[o][t].size();
  }
  for (const auto& type : z.pageblocks) {
    if (type) ++types.pageblocks[static_cast<unsigned>(*type)];
  }
  return types;
}

machine_description description_of(const page_allocator& memory) {
  machine_description m;
  for (const auto& z : memory.state().zones) {
    described_zone d{.extent = z.extent,
                     .free_pages = static_cast<std::uint64_t>(z.free_pages),
                     .marks = z.marks,
                     .protection = z.reserve,
                     .types = types_of(z)};
    for (const auto& pcp : z.cpus) {
      d.pagesets.push_back({.count = pcp.count,
                            .high = pcp.high,
                            .batch = pcp.batch,
                            .counter_threshold = z.counter_threshold});
    }
    m.zones.push_back(d);
  }
  return m;
}

migratetype pageblock_type(const zone_state& z, pfn frame) {
  return z.pageblocks[frame.value() / pageblock_frames - z.extent.start.value() / pageblock_frames]
      .value();
}

// Whether two free blocks should have merged.
bool has_free_buddies(const zone_state& z) {
  for (unsigned o = 0; o < max_page_order.value(); ++o) {
    std::map<std::uint64_t, migratetype> free;
    for (const auto type : all_migratetypes) {
      for (const auto block : z.free_lists[o][static_cast<unsigned>(type)]) {
        free.emplace(block.value(), type);
      }
    }
    for (const auto& [block, type] : free) {
      const auto buddy = free.find(block ^ (std::uint64_t{1} << o));
      if (buddy == free.end()) continue;
      if (o < pageblock_order.value() || type == buddy->second ||
          (is_mergeable(type) && is_mergeable(buddy->second))) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

TEST_CASE("a captured machine gets exactly its free blocks, pageblocks and limits", "[workload]") {
  const auto m = captured();
  const auto profile = GENERATE(linux_6_1, linux_6_12);
  const auto state = make(m, profile);
  REQUIRE(state.zones.size() == 1);
  const auto& z = state.zones[0];
  CHECK(types_of(z) == *m.zones[0].types);
  CHECK(z.extent == m.zones[0].extent);
  CHECK(z.marks == m.zones[0].marks);
  CHECK(z.boost == 5);
  CHECK(z.reserve == m.zones[0].protection);
  CHECK(z.counter_threshold == 24);
  CHECK(z.reserved_highatomic == 512);
  CHECK(z.cpus.at(0).count == 62);
  CHECK(z.cpus.at(0).batch == 63);
  CHECK(z.movable_in_use.size() == 127);
  CHECK_FALSE(has_free_buddies(z));
  CHECK(page_allocator::restore(state, profile));
}

TEST_CASE("page sets follow the rules of the profile, not of the captured kernel", "[workload]") {
  const auto adaptive = make(captured(), linux_6_12).zones[0].cpus.at(0);
  CHECK(adaptive.high == 300);
  CHECK(adaptive.high_min == 250);
  CHECK(adaptive.high_max == 1000);
  const auto fixed = make(captured(), linux_6_1).zones[0].cpus.at(0);
  CHECK(fixed.high == 250);
  CHECK(fixed.high_max == 0);
}

TEST_CASE("counters that lag are pending on the CPUs as far as thresholds allow", "[workload]") {
  auto m = captured();  // 6740 pages are free, 528 of CMA
  auto z = make(m).zones[0];
  CHECK(z.free_pages == 6730);
  CHECK(z.cpus[0].pending.free + z.cpus[1].pending.free == 10);
  CHECK(z.free_cma == 520);
  m.zones[0].free_pages = 6800;
  z = make(m).zones[0];
  CHECK(z.free_pages == 6740 + 2 * 24);
  CHECK(z.cpus[1].pending.free == -24);
}

TEST_CASE("a zone that is short of free pages starts below its high mark", "[workload]") {
  auto m = captured();
  CHECK_FALSE(make(m).zones[0].below_high);
  m.zones[0].marks.high = 7000;
  CHECK(make(m).zones[0].below_high);
  CHECK_FALSE(make(m, linux_6_1).zones[0].below_high);
}

TEST_CASE("free lists agree with pageblocks where the profile says so", "[workload]") {
  const auto z = make(captured()).zones[0];
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto type : all_migratetypes) {
      for (const auto block : z.free_lists[o][static_cast<unsigned>(type)]) {
        REQUIRE(pageblock_type(z, block) == type);
        REQUIRE(pageblock_type(z, block + order{o}.frames() - 1) == type);
      }
    }
  }
}

TEST_CASE("the CMA pageblocks are one area", "[workload]") {
  const auto state = make(captured());
  REQUIRE(state.cma_areas.size() == 1);
  CHECK(state.cma_areas[0].count == 1024);
  CHECK(pageblock_type(state.zones[0], state.cma_areas[0].base) == migratetype::cma);
  CHECK(pageblock_type(state.zones[0], state.cma_areas[0].base + 1023) == migratetype::cma);
}

TEST_CASE("LRU pages are in movable pageblocks, and page-set pages in those of their list",
          "[workload]") {
  const auto z = make(captured()).zones[0];
  for (const auto frame : z.movable_in_use) {
    REQUIRE(pageblock_type(z, frame) == migratetype::movable);
  }
  for (const auto& pcp : z.cpus) {
    for (const auto& list : pcp.lists) {
      for (const auto& entry : list) REQUIRE(pageblock_type(z, entry.block) == entry.type);
    }
  }
}

TEST_CASE("the layout is a function of the seed", "[workload]") {
  CHECK(make(captured(), linux_6_12, 7) == make(captured(), linux_6_12, 7));
  CHECK_FALSE(make(captured(), linux_6_12, 7) == make(captured(), linux_6_12, 8));
}

TEST_CASE("zoneinfo alone makes a movable machine with its free pages in large blocks",
          "[workload]") {
  const auto m = parse_zoneinfo(zoneinfo, "z").value();
  const auto profile = GENERATE(linux_6_1, linux_6_12);
  const auto z = make(m, profile).zones[0];
  const auto types = types_of(z);
  // 6210 pages are not of CMA: six blocks of order 10, and what is left in smaller ones.
  CHECK(types.free_blocks[1] == block_counts{0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 6});
  CHECK(types.free_blocks[4] == block_counts{0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0});
  CHECK(types.pageblocks == std::array<std::uint64_t, migratetypes>{0, 30, 0, 0, 2, 0});
}

TEST_CASE("buddyinfo without pagetypeinfo keeps its counts", "[workload]") {
  auto m = parse_zoneinfo(zoneinfo, "z").value();
  REQUIRE(add_buddyinfo(m, buddyinfo, "b"));
  const auto types = types_of(make(m).zones[0]);
  for (unsigned o = 0; o < page_orders; ++o) {
    CHECK(types.free_blocks[1][o] + types.free_blocks[4][o] == (*m.zones[0].free_blocks)[o]);
  }
}

TEST_CASE("a zone with less memory than it spans has it at its start", "[workload]") {
  auto m = captured();
  m.zones[0].extent.spanned = 4 * 16384;
  const auto z = make(m).zones[0];
  REQUIRE(z.pageblocks.size() == 128);
  for (std::size_t i = 0; i < z.pageblocks.size(); ++i)
    CHECK(z.pageblocks[i].has_value() == (i < 32));
}

TEST_CASE("a zone that begins and ends within a pageblock is laid out within its bounds",
          "[workload]") {
  machine_description m;
  m.zones.push_back({.extent = {zone_type::dma, pfn{1}, 3000, 3000, 2900},
                     .free_pages = 2047,
                     .marks = {10, 20, 30},
                     .pagesets = {{.count = 5, .high = 4, .batch = 1, .counter_threshold = 4}},
                     .types = described_types{}});
  auto& types = *m.zones[0].types;
  types.pageblocks[1] = 6;
  types.free_blocks[1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto state = make(m, linux_6_12, seed);
    CHECK(types_of(state.zones[0]) == types);
    REQUIRE(page_allocator::restore(state, linux_6_12));
  }
}

TEST_CASE("counts that no memory can have are refused, naming zone, order and type", "[workload]") {
  auto m = captured();
  auto& types = *m.zones[0].types;
  const auto message = [&] {
    const auto state = synthesise(m, linux_6_12, 1);
    REQUIRE_FALSE(state);
    CHECK(state.error().code() == errc::inconsistent);
    return state.error().message();
  };
  SECTION("more blocks of order 10 than pairs of pageblocks") {
    types.free_blocks[0][10] = 4;
    CHECK_THAT(message(), ContainsSubstring("zone DMA32: no place for 4 of the free blocks of "
                                            "order 10 and type Unmovable in 7 pageblocks"));
  }
  SECTION("more whole pageblocks than there are of the type") {
    types.free_blocks[2][9] = 2;
    CHECK_THAT(message(), ContainsSubstring("order 9 and type Reclaimable"));
  }
  SECTION("small blocks that would have merged") {
    types.free_blocks[2][8] = 2;
    CHECK_THAT(message(), ContainsSubstring("order 8 and type Reclaimable"));
  }
  SECTION("more pageblocks than the zone spans") {
    types.pageblocks[1] = 100;
    CHECK_THAT(message(), ContainsSubstring("in a zone that spans 32"));
  }
  SECTION("more pages on page sets than are in use") {
    m.zones[0].pagesets[0].count = 20'000;
    CHECK_THAT(message(), ContainsSubstring("page sets hold more pages"));
  }
}

TEST_CASE("a list may hold blocks of other pageblocks where the profile says so", "[workload]") {
  auto m = captured();
  auto& types = *m.zones[0].types;
  types.free_blocks[2] = {0, 0, 0, 1, 0, 0, 0, 0, 3, 1, 1};  // one reclaimable pageblock
  types.free_blocks[1][10] = 2;
  CHECK_FALSE(synthesise(m, linux_6_12, 1));
  const auto state = make(m, linux_6_1);
  CHECK(types_of(state.zones[0]) == types);
  CHECK_FALSE(has_free_buddies(state.zones[0]));
  CHECK(page_allocator::restore(state, linux_6_1));
}

TEST_CASE("whatever state an allocator gets into, its counts can be laid out again", "[workload]") {
  const auto profile = GENERATE(linux_6_1, linux_6_12);
  random_stream random{3, "synthesis_test"};
  for (int round = 0; round < 15; ++round) {
    page_allocator memory{{.memory = memory_map::x86_64(96_MiB), .profile = profile, .cpus = 2}};
    std::vector<std::pair<pfn, order>> held;
    const auto operations = random.below(12'000);
    for (std::uint64_t i = 0; i < operations; ++i) {
      context ctx{.cpu = cpu_id{static_cast<unsigned>(random.below(2))}};
      if (!held.empty() && random.chance(0.45)) {
        std::swap(held[random.below(held.size())], held.back());
        memory.free(ctx, held.back().first, held.back().second);
        held.pop_back();
        continue;
      }
      const gfp flags[] = {gfp_kernel, gfp_highuser_movable, gfp_kernel | gfp_flag::reclaimable};
      const order size{static_cast<unsigned>(random.below(random.below(11) + 1))};
      if (const auto block = memory.alloc(ctx, size, flags[random.below(3)])) {
        held.emplace_back(*block, size);
      }
    }
    const auto before = memory.state();
    const auto state = make(description_of(memory), profile, random.below(1000));
    REQUIRE(state.zones.size() == before.zones.size());
    for (std::size_t i = 0; i < state.zones.size(); ++i) {
      REQUIRE(types_of(state.zones[i]) == types_of(before.zones[i]));
      REQUIRE_FALSE(has_free_buddies(state.zones[i]));
    }
    REQUIRE(page_allocator::restore(state, profile));
  }
}

TEST_CASE("hints of a trace go before chance", "[workload]") {
  auto m = captured();
  m.zones[0].extent.spanned = 4 * 16384;
  trace_hints hints{m};
  // Memory from another section, of which every second frame was in use.
  const pfn named{4096 + 40'000 / 512 * 512};
  for (unsigned i = 0; i < 512; i += 2) {
    hints.add({.kind = trace_event_kind::free, .block = named + i});
  }
  hints.add({.kind = trace_event_kind::pcp_drain, .block = named + 1});
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto z = make(m, linux_6_12, seed, &hints).zones[0];
    CHECK(types_of(z) == *m.zones[0].types);
    CHECK(pageblock_type(z, named) == migratetype::unmovable);
    for (unsigned o = 0; o < page_orders; ++o) {
      for (const auto& list : z.free_lists[o]) {
        for (const auto block : list) REQUIRE_FALSE(hints.any_held(block, order{o}.frames()));
      }
    }
  }
}

TEST_CASE("a trace tells how a CPU's pages divide", "[workload]") {
  auto m = captured();
  trace_hints hints{m};
  const auto event = [&](trace_event_kind kind, migratetype type, unsigned frame) {
    hints.add({.kind = kind, .block = pfn{5000 + frame}, .type = type});
  };
  // Seven reclaimable pages are handed out, then the list runs dry; nine unmovable ones at least.
  for (unsigned i = 0; i < 7; ++i) event(trace_event_kind::allocation, migratetype::reclaimable, i);
  event(trace_event_kind::zone_locked, migratetype::reclaimable, 100);
  for (unsigned i = 10; i < 19; ++i) event(trace_event_kind::allocation, migratetype::unmovable, i);
  const auto pcp = make(m, linux_6_12, 1, &hints).zones[0].cpus.at(0);
  CHECK(pcp.lists[2].size() == 7);
  CHECK(pcp.lists[0].size() >= 9);
  CHECK(pcp.lists[0].size() + pcp.lists[1].size() + pcp.lists[2].size() == 62);
}
