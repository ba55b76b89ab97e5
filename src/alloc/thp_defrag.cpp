// SPDX-License-Identifier: Apache-2.0
#include <memsim/alloc/thp_defrag.hpp>

#include <array>

namespace memsim {
namespace {

// What is added to a request that may do nothing but take a free block.
struct effort {
  std::string_view name;
  gfp madvised;
  gfp otherwise;
};

constexpr std::array<effort, thp_defrag_settings> efforts{{
    {"always", gfp_flag::direct_reclaim, gfp_flag::direct_reclaim | gfp_flag::noretry},
    {"defer", gfp_flag::kswapd_reclaim, gfp_flag::kswapd_reclaim},
    {"defer+madvise", gfp_flag::direct_reclaim, gfp_flag::kswapd_reclaim},
    {"madvise", gfp_flag::direct_reclaim, gfp{}},
    {"never", gfp{}, gfp{}},
}};

const effort& effort_of(thp_defrag setting) { return efforts[static_cast<unsigned>(setting)]; }

}  // namespace

std::string_view name_of(thp_defrag setting) { return effort_of(setting).name; }
std::string to_text(thp_defrag setting) { return std::string{name_of(setting)}; }

gfp huge_fault_flags(thp_defrag setting, huge_advice advice) {
  const auto& e = effort_of(setting);
  return gfp_transhuge_light | (advice == huge_advice::madvised ? e.madvised : e.otherwise);
}

}  // namespace memsim
