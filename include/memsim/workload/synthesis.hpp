// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Lays out a captured machine's memory frame by frame.
///
/// /proc says how many free blocks there are, not where. Exact: the number of free blocks of every
/// order and migratetype, the pageblocks of every type, watermarks, reserves, extents, and each
/// CPU's page set sizes. Modelling assumptions, all drawn from named streams of one seed:
///
/// - which pageblocks are of which type, and where in them the free blocks lie: anywhere that the
///   buddy rules allow (no two free buddies that should have merged), all places alike;
/// - lists are in random order;
/// - a CPU's pages are single frames, of each mobility in proportion to its pageblocks;
/// - LRU pages are frames in use in movable pageblocks first;
/// - a zone with less memory than it spans has it at its start, in whole pageblocks;
/// - CMA pageblocks are one range.
///
/// A trace knows more: which frames were in use, which pageblocks are of which type, how many pages
/// of each mobility the CPUs held. Its trace_hints go before chance wherever the counts permit.

#include <cstdint>
#include <expected>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/core/error.hpp>

namespace memsim {

struct machine_description;
class trace_hints;

/// \param hints  may be nullptr
/// \return errc::inconsistent if no layout has these counts, naming zone, order and type
[[nodiscard]] std::expected<allocator_state, error> synthesise(const machine_description& machine,
                                                               const kernel_profile& profile,
                                                               std::uint64_t seed,
                                                               const trace_hints* hints = nullptr);

}  // namespace memsim
