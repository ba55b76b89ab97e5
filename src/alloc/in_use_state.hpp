// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is known of pages in use, as plain data and back: uses, LRU lists, pins, claims, and what
/// compaction remembers.

#include <expected>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

void add_pages_in_use(const allocator_core& core, const zone& z, zone_state& state);
void add_use_state(const allocator_core& core, allocator_state& state);
void add_use_digest(const allocator_core& core, digest& d);

/// Whether what is said of pages in use agrees with itself and with who has which frames.
[[nodiscard]] std::expected<void, error> check_use_state(const allocator_state& state);
/// Takes up a state that was found good.
void restore_use_state(allocator_core& core, const allocator_state& state);

}  // namespace memsim::detail
