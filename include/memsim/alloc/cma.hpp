// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Areas lent to movable pages until somebody claims contiguous frames of them.

#include <cstdint>
#include <string>

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
