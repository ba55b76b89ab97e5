// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/fragmentation.hpp>

#include <nlohmann/json.hpp>

#include <memsim/core/random.hpp>

#include "catch.hpp"
#include "metrics/hand_made_zone.hpp"

using namespace memsim;
using namespace memsim::test;

SCENARIO("a zone put together by hand is measured as worked out by hand", "[metrics]") {
  GIVEN("seven pageblocks and a hole") {
    const auto m = measure(machine_of({seven_pageblocks()}));
    REQUIRE(m.zones.size() == 1);
    const auto& v = m.zones[0].values;

    THEN("every frame of memory is counted once") {
      CHECK(v.frames == frame_totals{.memory = 3584,
                                     .free = 256 + 512 + 1024 + 1 + 256,
                                     .per_cpu = 1,
                                     .movable = 512 + 1 + 256,
                                     .unmovable = 256 + 2 + 507});
    }
    THEN("the free lists are counted by order and type") {
      free_block_matrix expected{};
      expected[0][1] = 1;
      expected[8][0] = 2;
      expected[9][1] = 1;
      expected[10][1] = 1;
      CHECK(v.free_blocks == expected);
    }
    THEN("pageblocks are counted by type, holes are not") {
      CHECK(v.pageblocks == std::array<std::uint64_t, migratetypes>{2, 5, 0, 0, 0, 0});
    }
    THEN("pageblock 5 mixes, and pageblock 7 holds movable pages though it is unmovable") {
      CHECK(v.mixed ==
            mixed_pageblocks{.both = 1, .movable_with_unmovable = 1, .other_with_movable = 1});
    }
    THEN("large blocks are free, could be freed, or hold an unmovable page") {
      CHECK(v.large[0] == large_blocks{.size = order{9},
                                       .with_memory = 7,
                                       .with_unmovable = 2,   // 0 and 5
                                       .free_now = 3,         // 1, 2 and 3
                                       .free_if_moved = 5});  // these, 4 and 7
      CHECK(v.large[1] == large_blocks{.size = order{13}, .with_memory = 1, .with_unmovable = 1});
      CHECK(v.large[2] == large_blocks{.size = order{18}, .with_memory = 1, .with_unmovable = 1});
      CHECK(share_of(v.large[0].free_if_moved, order{9}, v.frames.memory) == Approx(5.0 / 7));
    }
    THEN("runs of free frames cross pageblocks: 256, 1536, 1 and 256 frames") {
      CHECK(v.runs.longest == 1536);
      CHECK(v.runs.frames_in[0] == 2049);
      CHECK(v.runs.frames_in[1] == 2048);
      CHECK(v.runs.frames_in[8] == 2048);
      CHECK(v.runs.frames_in[9] == 1536);
      CHECK(v.runs.frames_in[10] == 1536);
      CHECK(v.runs.frames_in[11] == 0);
      CHECK(v.runs.share_in(9) == Approx(1536.0 / 2049));
      CHECK_THROWS_WITH(v.runs.share_in(19), ContainsSubstring("allowed are 0 to 18"));
    }
    THEN("the machine is its only zone") { CHECK(m.machine == v); }
  }
}

TEST_CASE("a large block that two zones share is one block of the machine", "[metrics]") {
  auto dma = hand_made_zone{zone_type::dma, pfn{0}, 4096};
  for (std::uint64_t block = 0; block < 4096; block += 1024) dma.free(block, 10);
  // In use: the second half of the first 32 MiB, and 32 MiB more.
  const auto dma32 = hand_made_zone{zone_type::dma32, pfn{4096}, 4096 + 8192};
  const auto m = measure(machine_of({dma, dma32}));

  CHECK(m.zones[0].values.large[1] == large_blocks{.size = order{13}, .with_memory = 1});
  CHECK(m.zones[1].values.large[1] ==
        large_blocks{.size = order{13}, .with_memory = 2, .with_unmovable = 2});
  CHECK(m.machine.large[1] ==
        large_blocks{.size = order{13}, .with_memory = 2, .with_unmovable = 2});
  CHECK(m.machine.large[0].with_memory == 8 + 24);
  CHECK(m.machine.large[0].free_now == 8);
}

TEST_CASE("a run of free frames ends with its zone", "[metrics]") {
  auto dma = hand_made_zone{zone_type::dma, pfn{0}, 2048}.free(1024, 10);
  auto dma32 = hand_made_zone{zone_type::dma32, pfn{2048}, 2048}.free(2048, 10);
  const auto m = measure(machine_of({dma, dma32}));
  CHECK(m.machine.runs.longest == 1024);
  CHECK(m.machine.runs.frames_in[10] == 2048);
  CHECK(m.machine.runs.frames_in[11] == 0);
}

TEST_CASE("a zone may span more than the machine has", "[metrics]") {
  const auto zone = hand_made_zone{zone_type::dma, pfn{0}, 4096}
                        .pageblock(6, std::nullopt)
                        .pageblock(7, std::nullopt)
                        .free(1024, 10);
  const auto m = measure(machine_of({zone}));
  CHECK(m.machine.frames == frame_totals{.memory = 3072, .free = 1024, .unmovable = 2048});
  CHECK(m.machine.large[0].with_memory == 6);
}

TEST_CASE("memory that was reserved at boot cannot be moved, holes are no memory", "[metrics]") {
  const page_allocator memory{{.memory = memory_map::x86_64(16_MiB)}};
  const auto m = measure(memory);
  // 158 frames below 640 KiB; then a hole up to 1 MiB.
  CHECK(m.machine.frames.unmovable == 158);
  CHECK(m.machine.frames.memory == 158 + 4096 - 256);
  CHECK(m.machine.large[0].with_unmovable == 1);
  CHECK(m.machine.large[0].free_if_moved == 7);
}

TEST_CASE("an untouched terabyte is measured through its pageblocks alone", "[metrics]") {
  const page_allocator memory{{.memory = memory_map::x86_64(1_TiB)}};
  const auto m = measure(memory);
  const auto& normal = m.zones.back().values;
  const frame_count frames = (1_TiB).frames() - (3_GiB).frames();
  CHECK(normal.frames == frame_totals{.memory = frames, .free = frames});
  CHECK(normal.runs.longest == frames);
  CHECK(normal.large[2].free_now == 1021);
  CHECK(normal.large[2].free_if_moved == 1021);
  CHECK(m.machine.large[2].with_unmovable == 1);
}

TEST_CASE("after random use the measurement agrees with the allocator's own counts",
          "[metrics][property]") {
  page_allocator memory{{.memory = memory_map::x86_64(64_MiB), .cpus = 2}};
  random_stream random{7, "fragmentation test"};
  std::vector<allocated_block> blocks;
  for (int i = 0; i < 20'000; ++i) {
    context ctx{.cpu = cpu_id{static_cast<unsigned>(random.below(2))}};
    if (blocks.empty() || random.chance(0.6)) {
      const order size{static_cast<unsigned>(random.chance(0.02) ? 9 : random.below(4))};
      const auto flags = random.chance(0.5) ? gfp_kernel : gfp_highuser_movable;
      if (const auto block = memory.alloc(ctx, size, flags)) {
        blocks.push_back({*block, size});
        if (flags == gfp_highuser_movable) memory.set_movable(*block, rule::on);
      }
    } else {
      std::swap(blocks[random.below(blocks.size())], blocks.back());
      memory.free(ctx, blocks.back().block, blocks.back().size);
      blocks.pop_back();
    }
  }
  const auto m = measure(memory);
  for (std::size_t i = 0; i < m.zones.size(); ++i) {
    const auto& z = memory.zones()[i];
    const auto& v = m.zones[i].values;
    frame_count per_cpu = 0;
    for (const auto& pcp : z.cpus) per_cpu += pcp.count;
    CHECK(v.frames.memory == z.extent.present);
    CHECK(v.frames.free == static_cast<frame_count>(z.exact_free_pages()));
    CHECK(v.frames.free == frames_of(total_by_order(v.free_blocks)));
    CHECK(v.frames.per_cpu == per_cpu);
    CHECK(v.runs.frames_in[0] == v.frames.free);
    CHECK(v.large[0].free_now == blocks_available(total_by_order(v.free_blocks), order{9}));
  }
  frame_count in_use = 0;
  for (const auto& block : blocks) in_use += block.size.frames();
  CHECK(m.machine.frames.movable + m.machine.frames.unmovable == in_use + 158);
}

TEST_CASE("the table shows the zones side by side and their free lists", "[metrics]") {
  const auto text = table_of(measure(machine_of({seven_pageblocks()})));
  CHECK_THAT(text, ContainsSubstring("DMA"));
  CHECK_THAT(text, ContainsSubstring("2 MiB blocks with an unmovable page"));
  CHECK_THAT(text, ContainsSubstring("2 of 7"));
  CHECK_THAT(text, ContainsSubstring("Free blocks, zone DMA"));
  CHECK_THAT(text, !ContainsSubstring("CMA  "));
}

TEST_CASE("the JSON holds what was measured, with schema and units", "[metrics]") {
  const auto document = nlohmann::json::parse(json_of(measure(machine_of({seven_pageblocks()}))));
  CHECK(document["schema"] == "memsim.fragmentation/1");
  CHECK(document["units"]["frames"] == "frames of 4096 bytes");
  const auto& zone = document["zones"][0];
  CHECK(zone["zone"] == "DMA");
  CHECK(zone["frames"]["free"] == 2049);
  CHECK(zone["free_blocks"]["Unmovable"][8] == 2);
  CHECK(zone["free_blocks"]["all"][10] == 1);
  CHECK(zone["pageblocks"]["Movable"] == 5);
  // 2049 free frames, of which 1536 in pieces of order 9 and more.
  CHECK(zone["unusable_index"][9] == (2049 - 1536) * 1000 / 2049);
  CHECK(zone["fragmentation_index"][9] == -1000);
  CHECK(zone["large_blocks"][0]["bytes"] == 2 << 20);
  CHECK(zone["large_blocks"][0]["free_if_moved"] == 5);
  CHECK(zone["free_runs"]["longest"] == 1536);
  CHECK(document["machine"]["frames"] == zone["frames"]);
}
