// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which frames of a CMA area are claimed.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include <memsim/alloc/cma.hpp>

namespace memsim::detail {

class cma_bitmap {
 public:
  explicit cma_bitmap(const cma_area& area);

  [[nodiscard]] const cma_area& area() const { return area_; }
  [[nodiscard]] std::size_t size() const { return bits_.size(); }
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::count(bits_.begin(), bits_.end(), true));
  }
  [[nodiscard]] const std::vector<bool>& bits() const { return bits_; }

  /// The first run of clear bits at or after `start`, aligned to 2^align_order frames.
  [[nodiscard]] std::optional<std::size_t> find(std::size_t start, std::size_t bits,
                                                unsigned align_order) const;
  void set(std::size_t first, std::size_t bits, bool value);
  [[nodiscard]] bool all_set(std::size_t first, std::size_t bits) const;

  cma_counts counts{};

 private:
  [[nodiscard]] static std::size_t bit_count(const cma_area& area);

  cma_area area_;
  std::vector<bool> bits_;
};

}  // namespace memsim::detail
