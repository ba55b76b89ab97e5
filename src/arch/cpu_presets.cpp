// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cpu_presets.hpp>

#include <memsim/arch/tlb_presets.hpp>

namespace memsim::presets {

cpu_preset skylake_sp() {
  return {.name = "skylake_sp", .tlb = skylake_sp_tlb(), .costs = default_costs()};
}

std::vector<cpu_preset> all_cpus() { return {skylake_sp()}; }

}  // namespace memsim::presets
