// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cpu_presets.hpp>

#include <array>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace memsim;

namespace {

using enum page_size;

// From the documents that tlb_presets.hpp names, or assumed there: as many ways as entries is fully
// associative.
struct figures {
  page_size_set sizes;
  unsigned entries;
  unsigned ways;

  friend bool operator==(const figures&, const figures&) = default;
};
using figures_of_levels = std::vector<std::vector<figures>>;

struct described_cpu {
  std::string name;
  figures_of_levels levels;
  std::array<unsigned, 3> walk_cache_entries;  // PDE, PDPTE, PML4E
  picoseconds second_level_hit;
};

const std::vector<described_cpu> described{
    {.name = "skylake_sp",
     .levels = {{{{k4}, 64, 4}, {{m2}, 32, 4}, {{g1}, 4, 4}},
                {{{k4, m2}, 1536, 12}, {{g1}, 16, 4}}},
     .walk_cache_entries = {32, 4, 2},
     .second_level_hit = picoseconds{2800}},
    {.name = "neoverse_n1",
     .levels = {{{{k4, m2}, 48, 48}}, {{{k4, m2, g1}, 1280, 5}}},
     .walk_cache_entries = {32, 4, 2},
     .second_level_hit = picoseconds{2000}},
    {.name = "ice_lake_sp",
     .levels = {{{{k4}, 64, 4}, {{m2}, 32, 4}, {{g1}, 8, 8}}, {{{k4, m2, g1}, 2048, 16}}},
     .walk_cache_entries = {32, 4, 2},
     .second_level_hit = picoseconds{2800}},
    {.name = "zen4",
     .levels = {{{{k4, m2, g1}, 72, 72}}, {{{k4, m2}, 3072, 24}}},
     .walk_cache_entries = {64, 48, 16},
     .second_level_hit = picoseconds{2800}},
};

figures_of_levels figures_of(const tlb_geometry& geometry) {
  figures_of_levels all;
  for (const auto& level : geometry.levels) {
    auto& structures = all.emplace_back();
    for (const auto& [sizes, table] : level) {
      structures.push_back({sizes, table.entries(), table.ways});
    }
  }
  return all;
}

}  // namespace

SCENARIO("every preset has the figures of its documents", "[arch][cpu_presets]") {
  for (const auto& expected : described) {
    CAPTURE(expected.name);
    const auto cpu = find_cpu(expected.name);
    REQUIRE(cpu);
    CHECK(figures_of(cpu->tlb) == expected.levels);
    for (const auto& level : cpu->tlb.levels) {
      for (const auto& structure : level) CHECK(structure.table.policy == replacement::lru);
    }
    CHECK(cpu->tlb.table_levels == 4);
    const auto& caches = cpu->tlb.walk_caches;
    CHECK(std::array{caches.pde.entries(), caches.pdpte.entries(), caches.pml4e.entries()} ==
          expected.walk_cache_entries);
    CHECK(cpu->largest_page == g1);
    CHECK(cpu->costs.of("tlb_lower_hits").each == expected.second_level_hit);
  }
  CHECK(presets::all_cpus().size() == described.size());
}

SCENARIO("every preset can be used, and says where its prices are from", "[arch][cpu_presets]") {
  for (const auto& cpu : presets::all_cpus()) {
    CAPTURE(cpu.name);
    CHECK(cpu.costs.name() == cpu.name);
    CHECK_NOTHROW(validate(tlb_config{.geometry = cpu.tlb}));
    for (const auto& p : cpu.costs.prices()) CHECK_FALSE(p.source.empty());
  }
  CHECK(find_cpu("z80").error().message() ==
        "no CPU is called 'z80': there are skylake_sp, neoverse_n1, ice_lake_sp, zen4");
}
