// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether the parts of a machine from a file can be of one machine.

#include <expected>

#include <memsim/machine.hpp>

namespace memsim::detail {

/// \return errc::inconsistent, which names what contradicts what
[[nodiscard]] std::expected<void, error> check_consistency(const machine_config& config,
                                                           const page_allocator& memory,
                                                           const direct_map& map);

}  // namespace memsim::detail
