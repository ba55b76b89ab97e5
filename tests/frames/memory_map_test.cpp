// SPDX-License-Identifier: Apache-2.0
#include <memsim/frames/memory_map.hpp>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

memory_region ram(std::uint64_t first, std::uint64_t count) {
  return {pfn{first}, count, region_kind::ram};
}

std::vector<memory_region> regions_of(const memory_map& map) {
  return {map.regions().begin(), map.regions().end()};
}

}  // namespace

SCENARIO("a memory map puts its regions in order and joins neighbours of a kind",
         "[frames][memory_map]") {
  GIVEN("regions in any order, of which two of a kind meet") {
    const memory_map map{
        {{pfn{300}, 50, region_kind::reserved}, ram(200, 100), ram(0, 100), ram(100, 50)}};
    THEN("those two are one") {
      CHECK(regions_of(map) == std::vector{ram(0, 150), ram(200, 100),
                                           memory_region{pfn{300}, 50, region_kind::reserved}});
    }
    THEN("the map ends where its last region ends") { CHECK(map.end() == pfn{350}); }
    THEN("a frame is found in the region that holds it") {
      CHECK(*map.find(pfn{0}) == ram(0, 150));
      CHECK(*map.find(pfn{149}) == ram(0, 150));
      CHECK(map.find(pfn{349})->kind == region_kind::reserved);
      CHECK(fmt::format("{}", *map.find(pfn{349})) == "[300, 350) reserved");
    }
    THEN("no region holds a frame in a hole or beyond the end") {
      CHECK(map.find(pfn{150}) == nullptr);
      CHECK(map.find(pfn{199}) == nullptr);
      CHECK(map.find(pfn{350}) == nullptr);
      CHECK(map.find(pfn{~0ULL}) == nullptr);
    }
    THEN("frames are counted by kind within a range") {
      CHECK(map.count(region_kind::ram, pfn{0}, pfn{1000}) == 250);
      CHECK(map.count(region_kind::ram, pfn{149}, pfn{201}) == 2);
      CHECK(map.count(region_kind::reserved, pfn{0}, pfn{300}) == 0);
      CHECK(map.count(region_kind::reserved, pfn{310}, pfn{320}) == 10);
      CHECK(map.count(region_kind::undescribed, pfn{0}, pfn{1000}) == 0);
    }
  }
  GIVEN("a frame below the first region") {
    CHECK(memory_map{{ram(10, 5)}}.find(pfn{9}) == nullptr);
  }
}

SCENARIO("a memory map refuses regions that contradict each other", "[frames][memory_map]") {
  CHECK_THROWS_AS((memory_map{{}}), usage_error);
  CHECK_THROWS_WITH((memory_map{{ram(0, 100), ram(99, 10)}}),
                    ContainsSubstring("[0, 100) ram") && ContainsSubstring("[99, 109) ram") &&
                        ContainsSubstring("overlap"));
  CHECK_THROWS_WITH((memory_map{{ram(0, 100), ram(0, 100)}}), ContainsSubstring("overlap"));
  CHECK_THROWS_WITH((memory_map{{ram(7, 0)}}), ContainsSubstring("[7, 7)"));
}

SCENARIO("a memory map ends at the last frame that can be linked", "[frames][memory_map]") {
  const auto end = max_frame_end.value();
  CHECK(memory_map{{ram(end - 1, 1)}}.end() == max_frame_end);
  CHECK_THROWS_WITH((memory_map{{ram(end - 1, 2)}}), ContainsSubstring(fmt::to_string(end)));
  CHECK_THROWS_AS((memory_map{{ram(end, 1)}}), usage_error);
  // Sums that wrap around are no way in.
  CHECK_THROWS_AS((memory_map{{ram(10, ~0ULL - 5)}}), usage_error);
  CHECK_THROWS_AS((memory_map{{ram(~0ULL, 1)}}), usage_error);
}

SCENARIO("a PC has a hole for devices below 4 GiB", "[frames][memory_map]") {
  GIVEN("6 GiB") {
    const auto map = memory_map::x86_64(6_GiB);
    THEN("what does not fit below the hole lies above it") {
      CHECK(regions_of(map) == std::vector{memory_region{pfn{1}, 158, region_kind::reserved},
                                           ram(256, 786'432 - 256), ram(1'048'576, 786'432)});
    }
  }
  GIVEN("2 MiB, the least") {
    CHECK(memory_map::x86_64(2_MiB).count(region_kind::ram, pfn{0}, pfn{1'000'000}) == 256);
  }
  GIVEN("3 GiB") { CHECK(memory_map::x86_64(3_GiB).end() == pfn{786'432}); }
  GIVEN("a page more") { CHECK(memory_map::x86_64(3_GiB + 4_KiB).end() == pfn{1'048'577}); }
  GIVEN("sizes that are out of range") {
    CHECK_THROWS_WITH(memory_map::x86_64(1_MiB), ContainsSubstring("1 MiB"));
    CHECK_THROWS_AS(memory_map::x86_64(bytes{(2_MiB).value() + 1}), usage_error);
    CHECK_THROWS_AS(memory_map::x86_64(16_TiB), usage_error);
  }
}
