// SPDX-License-Identifier: Apache-2.0
#include "alloc/allocator_core.hpp"

#include "alloc/free_lists.hpp"

namespace memsim::detail {

allocator_core::allocator_core(memory_map memory, const kernel_profile& profile,
                               const tuning& settings, unsigned cpus, std::vector<zone> zones)
    : memory_{std::move(memory)},
      profile_{profile},
      settings_{settings},
      cpus_{cpus},
      zones_{std::move(zones)},
      frames_{memory_.end(), static_cast<unsigned>(zones_.size()) * lists_per_zone} {
  preferred_zone_.fill(no_zone);
  for (std::size_t i = 0; i < zones_.size(); ++i) {
    for (auto highest = static_cast<unsigned>(zones_[i].extent.type); highest < zone_types;
         ++highest) {
      preferred_zone_[highest] = static_cast<std::uint8_t>(i);
    }
  }
}

}  // namespace memsim::detail
