// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A block on a per-CPU list: a list entry says all that taking it needs, so that no per-frame
/// memory is touched.

#include <cstdint>

#include <memsim/alloc/migratetype.hpp>
#include <memsim/alloc/ring.hpp>

namespace memsim::detail {

/// A frame number and a migratetype in one word.
class packed_page {
 public:
  constexpr packed_page() = default;
  constexpr packed_page(std::uint32_t frame, migratetype type)
      : word_{std::uint64_t{frame} << 3 | static_cast<unsigned>(type)} {}

  [[nodiscard]] constexpr std::uint32_t frame() const {
    return static_cast<std::uint32_t>(word_ >> 3);
  }
  [[nodiscard]] constexpr migratetype type() const { return static_cast<migratetype>(word_ & 7); }
  friend constexpr bool operator==(packed_page, packed_page) = default;

 private:
  std::uint64_t word_ = 0;
};

using page_ring = ring<packed_page>;

}  // namespace memsim::detail
