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
      frames_{memory_.end(), static_cast<unsigned>(zones_.size()) * lists_per_zone} {}

// Few zones, and most frames are in the highest.
zone* allocator_core::zone_of(frame_index frame) {
  for (std::size_t i = zones_.size(); i-- > 1;) {
    if (pfn{frame} >= zones_[i].extent.start) return &zones_[i];
  }
  return &zones_.front();
}

}  // namespace memsim::detail
