// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Random machines for property tests: awkward on purpose, and small, so that they run out.

#include <cstdint>
#include <iosfwd>
#include <vector>

#include <rapidcheck/Gen.h>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim::properties {

/// A stretch of RAM with something else in it.
struct stretch {
  std::uint32_t frames = 0;  ///< 0: the zone is absent
  std::uint32_t offset = 0;  ///< frames from where the zone could begin
  std::uint32_t gap_at = 0;  ///< where, in frames from its begin, it is not RAM
  std::uint32_t gap_frames = 0;
  region_kind gap = region_kind::ram;  ///< ram: a hole
};

/// A number of the booted state that is changed before the run, so that also values come up which
/// a boot never leaves behind.
struct tweak {
  unsigned what = 0;
  unsigned zone = 0;
  unsigned cpu = 0;
  std::uint32_t value = 0;
};

/// Small integers that shrink to the plainest machine; config_of() makes sense of them.
struct machine {
  unsigned cpus = 1;
  stretch dma{};
  stretch dma32{};
  stretch normal{};
  std::uint32_t whole_gib = 0;  ///< not 0: an ordinary PC of that size instead
  std::uint32_t movable_pageblocks = 0;
  std::vector<std::uint32_t> cma{};   ///< places of areas, in pageblocks that could hold one
  unsigned filled = 0;                ///< percent of memory that is in use from the start
  std::uint32_t min_free_kbytes = 0;  ///< 0: unset
  unsigned boost_factor = 15000;
  unsigned high_fraction = 0;
  unsigned batch_scale_max = 5;
  std::vector<tweak> tweaks{};
  /// Whether somebody listens; the allocator may take shortcuts when nobody does.
  bool observed = true;
};

[[nodiscard]] rc::Gen<machine> any_machine();
void showValue(const machine&, std::ostream&);

[[nodiscard]] page_allocator_config config_of(const machine&, const kernel_profile&);

/// How a run begins.
struct beginning {
  allocator_state state;
  /// Memory that is in use and belongs to no block: it can be adopted.
  std::vector<memory_region> in_use;
};

/// The machine after its boot, changed by its tweaks.
[[nodiscard]] beginning begin(const machine& m, const page_allocator_config&,
                              const page_allocator& booted);

}  // namespace memsim::properties
