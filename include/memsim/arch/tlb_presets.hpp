// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memsim/arch/tlb_geometry.hpp>
namespace memsim::presets {
[[nodiscard]] tlb_geometry skylake_sp_tlb();
}
