// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cpu_presets.hpp>

#include "catch.hpp"

using namespace memsim;

SCENARIO("every preset is found by its name and can be used", "[arch][cpu_presets]") {
  for (const auto& cpu : presets::all_cpus()) {
    CAPTURE(cpu.name);
    const auto found = find_cpu(cpu.name);
    REQUIRE(found);
    CHECK(found->tlb == cpu.tlb);
    CHECK(found->costs == cpu.costs);
    CHECK(cpu.costs.name() == cpu.name);
    CHECK_NOTHROW(validate(tlb_config{.geometry = cpu.tlb}));
    for (const auto& p : cpu.costs.prices()) CHECK_FALSE(p.source.empty());
  }
  CHECK(presets::all_cpus().size() >= 4);
  CHECK(find_cpu("z80").error().message() ==
        "no CPU is called 'z80': there are skylake_sp, neoverse_n1, ice_lake_sp, zen4");
}
