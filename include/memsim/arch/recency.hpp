// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who was used last, in one word a set: the bit tricks of replacement.

#include <cstdint>

namespace memsim::detail {

/// Where in a word the ways of a set are.
struct recency_span {
  /// \param ways  1 to 16
  constexpr explicit recency_span(unsigned ways)
      : all{~std::uint64_t{0} >> (64 - 4 * ways)}, oldest{4 * (ways - 1)} {}

  std::uint64_t all;  ///< the nibbles of all of them
  unsigned oldest;    ///< the shift to the last one
};

/// The order in which up to sixteen ways were used: a permutation, four bits a way, the most recent
/// lowest. Nibbles past the last way are zero.
class recency_order {
 public:
  static constexpr unsigned max_ways = 16;

  constexpr explicit recency_order(std::uint64_t word) : word_{word} {}
  /// Way 0 the most recent, the last way the least.
  [[nodiscard]] static constexpr recency_order initial(const recency_span& span) {
    return recency_order{0xfedc'ba98'7654'3210 & span.all};
  }

  [[nodiscard]] constexpr std::uint64_t word() const { return word_; }
  [[nodiscard]] constexpr unsigned at(unsigned position) const {
    return static_cast<unsigned>(word_ >> (4 * position)) & 15;
  }

  /// Makes a way the most recent.
  constexpr void use(unsigned way) {
    const std::uint64_t older = ~std::uint64_t{0} << shift_of(way);
    word_ = (word_ & older << 4) | (word_ & ~older) << 4 | way;
  }
  /// Makes the least recent way the most recent, and says which it is.
  constexpr unsigned reuse_oldest(const recency_span& span) {
    const unsigned way = static_cast<unsigned>(word_ >> span.oldest) & 15;
    word_ = (word_ << 4 & span.all) | way;
    return way;
  }
  /// Makes a way the least recent.
  constexpr void retire(unsigned way, const recency_span& span) {
    const std::uint64_t older = ~std::uint64_t{0} << shift_of(way);
    word_ = (word_ & ~older) | (word_ >> 4 & older) | std::uint64_t{way} << span.oldest;
  }

 private:
  static constexpr std::uint64_t ones = 0x1111'1111'1111'1111;

  // The shift to the nibble that holds the way. The zero nibbles past the end may look like way 0,
  // but the true one is below them, and the lowest zero that this trick finds is always exact.
  [[nodiscard]] constexpr unsigned shift_of(unsigned way) const {
    const std::uint64_t difference = word_ ^ way * ones;
    const std::uint64_t zeroes = (difference - ones) & ~difference & (ones << 3);
    return static_cast<unsigned>(__builtin_ctzll(zeroes)) & ~3u;
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
