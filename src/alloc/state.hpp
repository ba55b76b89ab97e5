// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Turning an allocator into plain data and back.

#include <expected>
#include <memory>
#include <vector>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

[[nodiscard]] std::unique_ptr<allocator_core> boot(const page_allocator_config& config);
[[nodiscard]] std::expected<std::unique_ptr<allocator_core>, error> restore(
    const allocator_state& state, const kernel_profile& profile, const tuning& settings);

/// Zones with their scalars and page sets, but no block on any free list yet.
[[nodiscard]] std::vector<zone> zones_of(const std::vector<zone_state>& states,
                                         const kernel_profile& profile);

[[nodiscard]] allocator_state state_of(const allocator_core& core);
[[nodiscard]] digest digest_of(const allocator_core& core);
[[nodiscard]] std::vector<pfn> list_blocks(const allocator_core& core, const zone& z,
                                           unsigned order, migratetype type);

/// Whether the frame is in use and may have a flag: the first of an allocated block, or in use
/// since before the allocator.
[[nodiscard]] bool can_be_movable(const allocator_core& core, pfn frame);
/// \throws usage_error if a frame of the block is not memory or is part of another block
void check_unused(const allocator_core& core, pfn block, order size);

}  // namespace memsim::detail
