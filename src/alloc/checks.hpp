// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What public functions ask of their arguments before anything changes.

#include <string>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

/// \throws usage_error if the machine has no such CPU
void check_cpu(const allocator_core& core, cpu_id cpu);
/// \throws usage_error if the allocator serves no such order
void check_order(order size);
/// \throws usage_error if the flags ask for two mobilities
void check_mobility(gfp flags);

/// What a frame is, for a message.
[[nodiscard]] std::string describe(const allocator_core& core, pfn frame);
/// Whether a block of exactly this order is handed out.
[[nodiscard]] bool is_allocated(const allocator_core& core, pfn block, order size);

}  // namespace memsim::detail
