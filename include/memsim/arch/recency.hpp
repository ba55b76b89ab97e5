// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who was used last, in one word a set: the bit tricks of replacement.

#include <bit>
#include <cstdint>

namespace memsim::detail {

/// The order in which up to sixteen ways were used: a permutation, four bits a way, the most recent
/// lowest. Nibbles past the last way are zero.
class recency_order {
 public:
  static constexpr unsigned max_ways = 16;

  constexpr explicit recency_order(std::uint64_t word) : word_{word} {}
  /// Way 0 the most recent, the last way the least.
  [[nodiscard]] static constexpr recency_order initial(unsigned ways) {
    return recency_order{0xfedc'ba98'7654'3210 & low_nibbles(ways)};
  }

  [[nodiscard]] constexpr std::uint64_t word() const { return word_; }
  [[nodiscard]] constexpr unsigned at(unsigned position) const {
    return static_cast<unsigned>(word_ >> (4 * position)) & 15;
  }

  /// Makes a way the most recent.
  constexpr void use(unsigned way) {
    const unsigned shift = shift_of(way);
    const std::uint64_t newer = word_ & ((std::uint64_t{1} << shift) - 1);
    word_ = (word_ >> shift >> 4 << shift << 4) | newer << 4 | way;
  }
  /// Makes the least recent way the most recent, and says which it is.
  constexpr unsigned reuse_oldest(unsigned ways) {
    const unsigned way = at(ways - 1);
    word_ = (word_ << 4 & low_nibbles(ways)) | way;
    return way;
  }
  /// Makes a way the least recent.
  constexpr void retire(unsigned way, unsigned ways) {
    const unsigned shift = shift_of(way);
    const std::uint64_t newer = word_ & ((std::uint64_t{1} << shift) - 1);
    word_ = newer | word_ >> shift >> 4 << shift | std::uint64_t{way} << (4 * (ways - 1));
  }

 private:
  static constexpr std::uint64_t ones = 0x1111'1111'1111'1111;

  [[nodiscard]] static constexpr std::uint64_t low_nibbles(unsigned count) {
    return ~std::uint64_t{0} >> (64 - 4 * count);
  }
  // The shift to the nibble that holds the way. The zero nibbles past the end may look like way 0,
  // but the true one is below them, and the lowest zero that this trick finds is always exact.
  [[nodiscard]] constexpr unsigned shift_of(unsigned way) const {
    const std::uint64_t difference = word_ ^ way * ones;
    const std::uint64_t zeroes = (difference - ones) & ~difference & (ones << 3);
    return static_cast<unsigned>(std::countr_zero(zeroes)) & ~3u;
  }

  std::uint64_t word_;
};

/// Tree pseudo-LRU over up to 64 ways: a bit a node says which half was used longer ago, 1 for the
/// upper one. A node over n ways halves them, the lower half the larger where n is odd.
class recency_tree {
 public:
  static constexpr unsigned max_ways = 64;

  constexpr explicit recency_tree(std::uint64_t word) : word_{word} {}

  [[nodiscard]] constexpr std::uint64_t word() const { return word_; }

  /// Points every node on the way to `way` at its other half.
  constexpr void use(unsigned way, unsigned ways) {
    unsigned node = 1;
    for (unsigned first = 0, count = ways; count > 1;) {
      const unsigned lower = count - count / 2;
      const bool in_upper = way >= first + lower;
      const std::uint64_t bit = std::uint64_t{1} << node;
      word_ = in_upper ? word_ & ~bit : word_ | bit;
      descend(in_upper, lower, node, first, count);
    }
  }
  /// The way at the end of the pointers.
  [[nodiscard]] constexpr unsigned oldest(unsigned ways) const {
    unsigned node = 1;
    unsigned first = 0;
    for (unsigned count = ways; count > 1;) {
      descend((word_ >> node & 1) != 0, count - count / 2, node, first, count);
    }
    return first;
  }

 private:
  // Nodes are numbered as in a heap: 63 of them at most, so that bit 0 is never used.
  static constexpr void descend(bool in_upper, unsigned lower, unsigned& node, unsigned& first,
                                unsigned& count) {
    node = 2 * node + (in_upper ? 1 : 0);
    first += in_upper ? lower : 0;
    count = in_upper ? count - lower : lower;
  }

  std::uint64_t word_;
};

}  // namespace memsim::detail
