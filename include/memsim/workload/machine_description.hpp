// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A running machine's memory as /proc shows it: zoneinfo, buddyinfo and pagetypeinfo.
///
/// Only zoneinfo is needed. buddyinfo adds how many free blocks of each order there are, and
/// pagetypeinfo of which migratetype, and of which type the pageblocks are. The three are read one
/// after the other on a live machine, so small differences between them are normal.

#include <array>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/zone.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/zones.hpp>

namespace memsim {

/// One CPU's `pagesets` entry of a zone.
struct described_pageset {
  std::uint32_t count = 0;
  std::uint32_t high = 0;
  std::uint32_t batch = 0;
  std::optional<std::uint32_t> high_min{};  ///< since Linux 6.7
  std::optional<std::uint32_t> high_max{};
  std::uint32_t counter_threshold = 0;

  friend bool operator==(const described_pageset&, const described_pageset&) = default;
};

/// Free blocks of each order.
using block_counts = std::array<std::uint64_t, page_orders>;

/// What pagetypeinfo adds. Where the kernel wrote `>100000` it had stopped counting.
struct described_types {
  std::array<block_counts, migratetypes> free_blocks{};
  std::array<std::array<bool, page_orders>, migratetypes> at_least{};  ///< the count is a minimum
  std::array<std::uint64_t, migratetypes> pageblocks{};

  friend bool operator==(const described_types&, const described_types&) = default;
};

/// A zone with memory.
struct described_zone {
  zone_extent extent{};
  std::uint64_t free_pages = 0;  ///< the lagging counter
  std::uint64_t boost = 0;
  watermarks marks{};  ///< without boost
  std::uint64_t cma_pages = 0;
  std::uint64_t free_cma = 0;
  lowmem_reserves protection{};
  std::uint64_t lru_pages = 0;  ///< pages in use on LRU lists
  std::vector<described_pageset> pagesets{};

  std::optional<block_counts> free_blocks{};  ///< of buddyinfo
  std::optional<described_types> types{};     ///< of pagetypeinfo

  friend bool operator==(const described_zone&, const described_zone&) = default;
};

/// A machine of one node.
struct machine_description {
  std::vector<described_zone> zones{};  ///< in ascending address order
  /// Whether pagetypeinfo has a row for CMA, as a kernel with CONFIG_CMA writes it also where there
  /// is no CMA area; none: pagetypeinfo is not known.
  std::optional<rule> cma_row{};

  /// One past the last frame of any zone.
  [[nodiscard]] pfn end() const;
  /// CPUs with page sets.
  [[nodiscard]] unsigned cpus() const;
  /// The profile nearest to the kernel that wrote the files: page sets with a `high_min` are of
  /// Linux 6.7 and later, for which linux_6_12 is taken.
  [[nodiscard]] kernel_profile profile() const;

  friend bool operator==(const machine_description&, const machine_description&) = default;
};

/// Reads the text of /proc/zoneinfo, as Linux 6.1 to 6.18 write it.
///
/// \param name  the file's, for messages
/// \return errc::malformed with file, line and text; errc::unsupported if more than one node has
///         memory or a zone is not of x86-64; errc::inconsistent if the numbers contradict
///         each other
[[nodiscard]] std::expected<machine_description, error> parse_zoneinfo(std::string_view text,
                                                                       std::string_view name);

/// Adds the text of /proc/buddyinfo to a description.
/// \return likewise; errc::inconsistent if it has other zones or other free memory, beyond what
///         changes between two reads
[[nodiscard]] std::expected<void, error> add_buddyinfo(machine_description& machine,
                                                       std::string_view text,
                                                       std::string_view name);

/// Adds the text of /proc/pagetypeinfo to a description. After buddyinfo, if there is one.
[[nodiscard]] std::expected<void, error> add_pagetypeinfo(machine_description& machine,
                                                          std::string_view text,
                                                          std::string_view name);

/// Reads a captured zoneinfo with its siblings: `X.zoneinfo.before` with `X.buddyinfo.before` and
/// `X.pagetypeinfo.before`, whichever there are. A directory stands for its file `zoneinfo`, or
/// `zoneinfo.before`, or its only one of a name with `.zoneinfo.before` at the end.
/// \return errc::io if a file cannot be read
[[nodiscard]] std::expected<machine_description, error> load_capture(
    const std::filesystem::path& path);

}  // namespace memsim
