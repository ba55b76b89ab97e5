// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/zones.hpp>

#include <memsim/core/error.hpp>
#include <memsim/frames/memory_map.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

// Numbers are frames: [first, first + count).
memory_region region(std::uint64_t first, std::uint64_t count,
                     region_kind kind = region_kind::ram) {
  return {pfn{first}, count, kind};
}

}  // namespace

SCENARIO("a PC of 6 GiB has the zones that Linux gives it", "[frames][zones]") {
  const auto zones = place_zones(memory_map::x86_64(6_GiB));
  REQUIRE(zones.size() == 3);
  // The first zone's numbers are those of the recordings (tests/golden/page_alloc.md).
  CHECK(zones[0] == zone_extent{.type = zone_type::dma,
                                .start = pfn{1},
                                .spanned = 4095,
                                .present = 3998,
                                .managed = 3840});
  CHECK(zones[1] == zone_extent{.type = zone_type::dma32,
                                .start = pfn{4096},
                                .spanned = 782'336,
                                .present = 782'336,
                                .managed = 782'336});
  CHECK(zones[2] == zone_extent{.type = zone_type::normal,
                                .start = pfn{1'048'576},
                                .spanned = 786'432,
                                .present = 786'432,
                                .managed = 786'432});
  CHECK(fmt::format("{}", zones[0]) == "DMA [1, 4096) present 3998 managed 3840");
}

SCENARIO("zones without memory are left out", "[frames][zones]") {
  CHECK(place_zones(memory_map::x86_64(16_MiB)).size() == 1);
  CHECK(place_zones(memory_map::x86_64(3_GiB)).size() == 2);
  const auto high = place_zones(memory_map{{region(1 << 20, 4096)}});
  REQUIRE(high.size() == 1);
  CHECK(high[0].type == zone_type::normal);
}

SCENARIO("a region across a limit is in two zones", "[frames][zones]") {
  const auto zones = place_zones(memory_map{{region(4000, 200), region((1 << 20) - 8, 16)}});
  REQUIRE(zones.size() == 3);
  CHECK(zones[0].end() == pfn{4096});
  CHECK(zones[0].managed == 96);
  CHECK(zones[1].start == pfn{4096});
  CHECK(zones[1].managed == 104 + 8);
  CHECK(zones[2].start == pfn{1 << 20});
  CHECK(zones[2].managed == 8);
}

SCENARIO("holes are spanned, reserved frames are present, only RAM is managed", "[frames][zones]") {
  const auto zones = place_zones(
      memory_map{{region(4096, 100), region(4300, 50, region_kind::reserved), region(4400, 100)}});
  REQUIRE(zones.size() == 1);
  CHECK(zones[0].spanned == 404);
  CHECK(zones[0].present == 250);
  CHECK(zones[0].managed == 200);
}

SCENARIO("memory without descriptors is in no zone", "[frames][zones]") {
  GIVEN("undescribed memory before, inside and after a zone's") {
    const auto zones =
        place_zones(memory_map{{region(4096, 100, region_kind::undescribed), region(4196, 100),
                                region(4296, 100, region_kind::undescribed), region(4396, 100),
                                region(4496, 100, region_kind::undescribed)}});
    THEN("the zone begins and ends with what has descriptors") {
      REQUIRE(zones.size() == 1);
      CHECK(zones[0].start == pfn{4196});
      CHECK(zones[0].spanned == 300);
      CHECK(zones[0].present == 200);
    }
  }
  GIVEN("nothing else") {
    CHECK(place_zones(memory_map{{region(4096, 100, region_kind::undescribed)}}).empty());
  }
}

SCENARIO("a movable zone takes whole 4 MiB blocks from the top of memory", "[frames][zones]") {
  const auto map = memory_map::x86_64(6_GiB);
  WHEN("512 MiB are wanted") {
    const auto zones = place_zones(map, (512_MiB).frames());
    THEN("the highest zone ends where they begin") {
      REQUIRE(zones.size() == 4);
      CHECK(zones[2].type == zone_type::normal);
      CHECK(zones[2].managed == 786'432 - 131'072);
      CHECK(zones[3] == zone_extent{.type = zone_type::movable,
                                    .start = zones[2].end(),
                                    .spanned = 131'072,
                                    .present = 131'072,
                                    .managed = 131'072});
    }
  }
  WHEN("2049 frames are wanted") {
    THEN("2048 are given") { CHECK(place_zones(map, 2049).back().managed == 2048); }
  }
  WHEN("less than a block is wanted") {
    THEN("there is no movable zone") { CHECK(place_zones(map, 1023) == place_zones(map)); }
  }
  WHEN("memory does not end with a whole block") {
    const auto zones = place_zones(memory_map{{region(4096, 10'000)}}, 3000);
    THEN("the movable zone begins with one and is no larger than asked for") {
      REQUIRE(zones.size() == 2);
      CHECK(zones[1].start.value() % 1024 == 0);
      CHECK(zones[1].spanned <= 3000);
      CHECK(zones[0].end() == zones[1].start);
      CHECK(zones[0].spanned + zones[1].spanned == 10'000);
    }
  }
  WHEN("the machine has no zone Normal") {
    THEN("DMA32 gives") {
      const auto zones = place_zones(memory_map::x86_64(1_GiB), 4096);
      REQUIRE(zones.size() == 3);
      CHECK(zones[1].type == zone_type::dma32);
      CHECK(zones[2].type == zone_type::movable);
    }
  }
}

SCENARIO("a movable zone that leaves nothing of its donor is refused", "[frames][zones]") {
  const auto map = memory_map::x86_64(6_GiB);
  CHECK_THROWS_WITH(place_zones(map, 786'432), ContainsSubstring("786432"));
  CHECK_THROWS_AS(place_zones(map, 800'000), usage_error);
  CHECK_THROWS_AS(place_zones(map, ~0ULL), usage_error);
  CHECK_THROWS_AS(place_zones(memory_map{{region(4096, 100, region_kind::undescribed)}}, 1024),
                  usage_error);
}
