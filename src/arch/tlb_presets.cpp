// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_presets.hpp>

namespace memsim::presets {
namespace {

using enum page_size;

// Modelling assumption: what the literature on page-walk caches takes for Intel's.
const walk_cache_geometry assumed_walk_caches{.pde = {.sets = 8, .ways = 4},
                                              .pdpte = {.sets = 1, .ways = 4},
                                              .pml4e = {.sets = 1, .ways = 2}};

}  // namespace

tlb_geometry skylake_sp_tlb() {
  return {.levels = {{{.sizes = {k4}, .table = {.sets = 16, .ways = 4}},
                      {.sizes = {m2}, .table = {.sets = 8, .ways = 4}},
                      {.sizes = {g1}, .table = {.sets = 1, .ways = 4}}},
                     {{.sizes = {k4, m2}, .table = {.sets = 128, .ways = 12}},
                      {.sizes = {g1}, .table = {.sets = 4, .ways = 4}}}},
          .walk_caches = assumed_walk_caches};
}

tlb_geometry ice_lake_sp_tlb() {
  return {.levels = {{{.sizes = {k4}, .table = {.sets = 16, .ways = 4}},
                      {.sizes = {m2}, .table = {.sets = 8, .ways = 4}},
                      {.sizes = {g1}, .table = {.sets = 1, .ways = 8}}},
                     {{.sizes = {k4, m2, g1}, .table = {.sets = 128, .ways = 16}}}},
          .walk_caches = assumed_walk_caches};
}

tlb_geometry zen4_tlb() {
  return {.levels = {{{.sizes = {k4, m2, g1}, .table = {.sets = 1, .ways = 72}}},
                     {{.sizes = {k4, m2}, .table = {.sets = 128, .ways = 24}}}},
          .walk_caches = {.pde = {.sets = 1, .ways = 64},
                          .pdpte = {.sets = 1, .ways = 48},
                          .pml4e = {.sets = 1, .ways = 16}}};
}

tlb_geometry neoverse_n1_tlb() {
  tlb_geometry geometry{.levels = {{{.sizes = {k4, m2}, .table = {.sets = 1, .ways = 48}}},
                                   {{.sizes = {k4, m2, g1}, .table = {.sets = 256, .ways = 5}}}},
                        .walk_caches = assumed_walk_caches};
  geometry.walk_caches.on_page_flush = walk_cache_flush::covering;
  return geometry;
}

}  // namespace memsim::presets
