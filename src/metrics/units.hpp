// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Numbers as people read them: three digits and a unit.

#include <string>

#include <memsim/core/types.hpp>

namespace memsim::detail {

/// `15.6 MiB`, `4 KiB`, `0`
[[nodiscard]] std::string human_size(frame_count frames);
/// `12.3 %`
[[nodiscard]] std::string percent(double share);
/// `1 812 830`, in groups of three
[[nodiscard]] std::string grouped(std::uint64_t number);
/// The size of a block of an order: `2 MiB`
[[nodiscard]] std::string block_size(order size);

}  // namespace memsim::detail
