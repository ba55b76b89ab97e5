// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_geometry.hpp>

#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

using enum page_size;

tlb_config one_structure(const table_geometry& table) {
  return {.geometry = {.levels = {{{.sizes = {k4}, .table = table}}}}};
}

}  // namespace

SCENARIO("a TLB is refused with the field that is wrong", "[arch][tlb]") {
  CHECK_NOTHROW(tlb{one_structure({.sets = 3, .ways = 5})});

  CHECK_THROWS_WITH(tlb{tlb_config{}},
                    ContainsSubstring("0 levels") && ContainsSubstring("1 to 3"));
  CHECK_THROWS_WITH(tlb{one_structure({.sets = 0, .ways = 4})},
                    ContainsSubstring("levels[0][0].table: 0 sets"));
  CHECK_THROWS_WITH(tlb{one_structure({.sets = 1, .ways = 0})},
                    ContainsSubstring("0 ways") && ContainsSubstring("1 to 4096"));
  CHECK_THROWS_WITH(tlb{one_structure({.sets = 1, .ways = 5000})}, ContainsSubstring("5000 ways"));
  CHECK_THROWS_WITH(tlb{one_structure({.sets = 1 << 20, .ways = 4096})},
                    ContainsSubstring("1048576 entries"));
  CHECK_THROWS_WITH(tlb{one_structure({.sets = 1, .ways = 65, .policy = replacement::tree_plru})},
                    ContainsSubstring("tree_plru with 65 ways") && ContainsSubstring("at most 64"));
  CHECK_THROWS_WITH(tlb{one_structure({1, 1, static_cast<replacement>(3)})},
                    ContainsSubstring("policy 3"));

  auto config = one_structure({.sets = 1, .ways = 1});
  config.geometry.levels.resize(4, config.geometry.levels[0]);
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("4 levels"));
  config.geometry.levels = {{}};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("levels[0]: a level has at least one"));
  config.geometry.levels = {{{.sizes = {}, .table = {1, 1}}}};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("levels[0][0].sizes"));
  config.geometry.levels = {
      {{.sizes = {k4, m2}, .table = {1, 1}}, {.sizes = {m2}, .table = {1, 1}}}};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("2M pages are in structures 0 and 1"));
}

SCENARIO("page tables have four or five levels", "[arch][tlb]") {
  auto config = one_structure({.sets = 1, .ways = 1});
  config.geometry.table_levels = 5;
  CHECK_NOTHROW(tlb{config});
  config.geometry.table_levels = 3;
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("table_levels 3: allowed are 4 and 5"));
  config.geometry.table_levels = 4;
  config.nested = {.host_table_levels = 6};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("nested.host_table_levels 6"));
  config.nested = {.nested_tlb = {.sets = 0, .ways = 1}};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("nested.nested_tlb: 0 sets"));
  config.nested.reset();
  config.geometry.walk_caches.pml4e = {.sets = 0, .ways = 1};
  CHECK_THROWS_WITH(tlb{config}, ContainsSubstring("walk_caches.pml4e: 0 sets"));
}

SCENARIO("a Skylake TLB reaches 6 MiB, 3 GiB and 16 GiB", "[arch][tlb]") {
  const auto geometry = presets::skylake_sp_tlb();
  REQUIRE(geometry.levels.size() == 2);
  CHECK(reach(geometry.levels[0], k4) == 256_KiB);
  CHECK(reach(geometry.levels[0], m2) == 64_MiB);
  CHECK(reach(geometry.levels[0], g1) == 4_GiB);
  CHECK(reach(geometry.levels[1], k4) == 6_MiB);
  CHECK(reach(geometry.levels[1], m2) == 3_GiB);
  CHECK(reach(geometry.levels[1], g1) == 16_GiB);
}

SCENARIO("every preset is a valid TLB with the entries its documents say", "[arch][tlb]") {
  const auto entries = [](const tlb_geometry& geometry, unsigned level, page_size size) {
    return reach(geometry.levels[level], size).frames() / frames_of(size);
  };
  const auto ice_lake = presets::ice_lake_sp_tlb();
  CHECK(entries(ice_lake, 0, g1) == 8);
  CHECK(entries(ice_lake, 1, k4) == 2048);
  const auto zen4 = presets::zen4_tlb();
  CHECK(entries(zen4, 0, m2) == 72);
  CHECK(entries(zen4, 1, k4) == 3072);
  CHECK(entries(zen4, 1, g1) == 0);
  const auto n1 = presets::neoverse_n1_tlb();
  CHECK(entries(n1, 0, k4) == 48);
  CHECK(entries(n1, 0, g1) == 0);
  CHECK(entries(n1, 1, g1) == 1280);
  CHECK(n1.walk_caches.on_page_flush == walk_cache_flush::covering);
  for (const auto& geometry : {presets::skylake_sp_tlb(), ice_lake, zen4, n1}) {
    CHECK_NOTHROW(tlb{{.geometry = geometry}});
  }
}

SCENARIO("a structure says what it is", "[arch][tlb]") {
  CHECK(fmt::format("{}", presets::skylake_sp_tlb().levels[1][0]) == "4K/2M 128 x 12 lru");
  CHECK(fmt::format("{}", table_geometry{1, 8, replacement::tree_plru}) == "1 x 8 tree_plru");
  CHECK(fmt::format("{}", page_size_set{}).empty());
}
