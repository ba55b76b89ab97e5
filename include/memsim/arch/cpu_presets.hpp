// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// CPUs that researchers have: their TLBs, their largest page, what work costs on them.

#include <string>
#include <vector>

#include <memsim/arch/cost_model.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// A make of CPU.
struct cpu_preset {
  std::string name;  ///< `skylake_sp`
  tlb_geometry tlb{};
  page_size largest_page = page_size::g1;  ///< that it can map
  cost_model costs{};
};

namespace presets {

[[nodiscard]] cpu_preset skylake_sp();

/// All of them, the oldest first.
[[nodiscard]] std::vector<cpu_preset> all_cpus();

}  // namespace presets
}  // namespace memsim
