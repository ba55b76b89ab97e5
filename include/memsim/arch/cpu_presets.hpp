// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// CPUs that researchers have: their TLBs, their largest page, what work costs on them.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/arch/cost_model.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// A make of CPU. Which figure of the TLB comes from where is in tlb_presets.hpp.
struct cpu_preset {
  std::string name;  ///< `skylake_sp`
  tlb_geometry tlb{};
  page_size largest_page = page_size::g1;  ///< that it can map
  cost_model costs{};
};

namespace presets {

[[nodiscard]] cpu_preset skylake_sp();   ///< Intel, 2017
[[nodiscard]] cpu_preset neoverse_n1();  ///< Arm, 2019
[[nodiscard]] cpu_preset ice_lake_sp();  ///< Intel, 2021
[[nodiscard]] cpu_preset zen4();         ///< AMD, 2022

/// All of them, the oldest first.
[[nodiscard]] std::vector<cpu_preset> all_cpus();

}  // namespace presets

/// The preset of a name.
/// \return errc::unsupported with the names that there are
[[nodiscard]] std::expected<cpu_preset, error> find_cpu(std::string_view name);

}  // namespace memsim
