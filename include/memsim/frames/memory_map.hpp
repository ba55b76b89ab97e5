// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which physical addresses have memory behind them, and who may use it.

#include <span>
#include <string>
#include <vector>

#include <memsim/core/types.hpp>

namespace memsim {

/// What a region of physical memory is.
enum class region_kind : unsigned char {
  ram,          ///< has frame descriptors; the page allocator manages it
  reserved,     ///< has frame descriptors; in use before the allocator exists, never managed
  undescribed,  ///< memory without frame descriptors: no allocator, no zone ever sees it
};

[[nodiscard]] std::string to_text(region_kind);

/// Frames [first, first + count).
struct memory_region {
  pfn first{};
  frame_count count = 0;
  region_kind kind = region_kind::ram;

  [[nodiscard]] pfn end() const { return first + count; }
  friend bool operator==(const memory_region&, const memory_region&) = default;
};

[[nodiscard]] std::string to_text(const memory_region&);  ///< `[256, 4096) ram`

/// Disjoint regions in ascending order. Immutable.
class memory_map {
 public:
  /// \param regions  in any order; neighbours of one kind are joined
  /// \throws usage_error if there is none, one is empty, two overlap, or one ends above
  ///         max_frame_end
  explicit memory_map(std::vector<memory_region> regions);

  /// A PC: conventional memory below 640 KiB reserved, RAM from 1 MiB up to 3 GiB, the hole for
  /// devices up to 4 GiB, and the rest above.
  ///
  /// The device hole's size is a modelling assumption (QEMU's and many servers'); a machine with
  /// another is given as regions.
  ///
  /// \param size  RAM, at least 2 MiB, a multiple of 4 KiB
  /// \throws usage_error if `size` is out of range
  [[nodiscard]] static memory_map x86_64(bytes size);

  [[nodiscard]] std::span<const memory_region> regions() const { return regions_; }
  /// The region that holds the frame, or nullptr in a hole.
  [[nodiscard]] const memory_region* find(pfn frame) const;
  /// One past the last frame of any region.
  [[nodiscard]] pfn end() const { return regions_.back().end(); }
  /// Whether any frame of [first, last) has a descriptor.
  [[nodiscard]] bool has_descriptors(pfn first, pfn last) const;
  /// Frames of a kind within [first, last).
  [[nodiscard]] frame_count count(region_kind kind, pfn first, pfn last) const;

  friend bool operator==(const memory_map&, const memory_map&) = default;

 private:
  std::vector<memory_region> regions_;
};

/// Frames are numbered with 32 bits, and so is the end of every block: 16 TiB less 4 GiB.
inline constexpr pfn max_frame_end{(1ULL << 32) - (1ULL << 20)};

}  // namespace memsim
