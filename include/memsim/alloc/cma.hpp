// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Areas lent to movable pages until somebody claims contiguous frames of them.

#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// Frames lent to movable pages that can be claimed as one range. What is claimed is kept in a
/// bitmap.
struct cma_area {
  pfn base{};
  frame_count count = 0;
  order per_bit{};  ///< a bit of the bitmap stands for 2^per_bit frames

  [[nodiscard]] pfn end() const { return base + count; }
  friend bool operator==(const cma_area&, const cma_area&) = default;
};

[[nodiscard]] std::string to_text(const cma_area&);

class memory_map;

/// An area asked for at boot: `cma=SIZE` with an alignment and a limit.
struct cma_request {
  bytes size{};
  order alignment = pageblock_order;  ///< at least a pageblock
  pfn limit{};                        ///< the area ends at or below it; 0: anywhere
  order per_bit{};
};

/// Finds a place for an area, beside those that there are: the lowest one above 4 GiB, or else the
/// highest one below it.
///
///     const auto area = place_cma_area(memory, {.size = 256_MiB});
///     page_allocator allocator{{.memory = memory, .cma_areas = {*area}}};
///
/// \return errc::no_memory if no range of RAM within one zone is large enough
/// \throws usage_error if the size is no multiple of a pageblock, or a field is out of range
/// Source: Linux places areas above 4 GiB when it can, from below; what it does otherwise is a
/// modelling assumption.
[[nodiscard]] std::expected<cma_area, error> place_cma_area(const memory_map& memory,
                                                            const cma_request& request,
                                                            std::span<const cma_area> taken = {});

/// What claims on an area came to.
struct cma_counts {
  std::uint64_t claims = 0;
  std::uint64_t failed_claims = 0;
  std::uint64_t attempts = 0;       ///< ranges tried, by all claims
  std::uint64_t busy_attempts = 0;  ///< of those, found busy
  std::uint64_t pages_migrated = 0;
  std::uint64_t pages_migrated_in_vain = 0;  ///< of those, by attempts that then failed

  friend bool operator==(const cma_counts&, const cma_counts&) = default;
};

}  // namespace memsim
