// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_presets.hpp>
namespace memsim::presets {
tlb_geometry skylake_sp_tlb() {
  using enum page_size;
  return {
      .levels = {{{.sizes = {k4}, .table = {.sets = 16, .ways = 4}},
                  {.sizes = {m2}, .table = {.sets = 8, .ways = 4}},
                  {.sizes = {g1}, .table = {.sets = 1, .ways = 4}}},
                 {{.sizes = {k4, m2}, .table = {.sets = 128, .ways = 12}},
                  {.sizes = {g1}, .table = {.sets = 4, .ways = 4}}}},
      .walk_caches = {.pde = {.sets = 8, .ways = 4},
                      .pdpte = {.sets = 1, .ways = 4},
                      .pml4e = {.sets = 1, .ways = 2}},
  };
}
}  // namespace memsim::presets
