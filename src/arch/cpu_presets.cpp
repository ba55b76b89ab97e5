// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cpu_presets.hpp>

#include <algorithm>

#include <memsim/arch/tlb_presets.hpp>
#include <memsim/core/text.hpp>

namespace memsim {
namespace presets {
namespace {

// Modelling assumption: the default prices, but for what a hit in the second level of the TLB
// costs, where a figure of the CPU is known to be another. Cycles are those of 2.5 GHz.
cost_model costs_of(std::string_view name, int second_level_cycles) {
  auto costs = default_costs().named(std::string{name});
  constexpr std::int64_t picoseconds_per_cycle = 400;
  costs.set("tlb_lower_hits", picoseconds{second_level_cycles * picoseconds_per_cycle},
            fmt::format("modelling assumption: {} cycles at 2.5 GHz", second_level_cycles));
  return costs;
}

}  // namespace

cpu_preset skylake_sp() {
  return {.name = "skylake_sp", .tlb = skylake_sp_tlb(), .costs = costs_of("skylake_sp", 7)};
}
cpu_preset neoverse_n1() {
  return {.name = "neoverse_n1", .tlb = neoverse_n1_tlb(), .costs = costs_of("neoverse_n1", 5)};
}
cpu_preset ice_lake_sp() {
  return {.name = "ice_lake_sp", .tlb = ice_lake_sp_tlb(), .costs = costs_of("ice_lake_sp", 7)};
}
cpu_preset zen4() { return {.name = "zen4", .tlb = zen4_tlb(), .costs = costs_of("zen4", 7)}; }

std::vector<cpu_preset> all_cpus() { return {skylake_sp(), neoverse_n1(), ice_lake_sp(), zen4()}; }

}  // namespace presets

std::expected<cpu_preset, error> find_cpu(std::string_view name) {
  std::string known;
  for (auto& cpu : presets::all_cpus()) {
    if (cpu.name == name) return std::move(cpu);
    known += (known.empty() ? "" : ", ") + cpu.name;
  }
  return fail(errc::unsupported, "no CPU is called '{}': there are {}", escaped(name, 64), known);
}

}  // namespace memsim
