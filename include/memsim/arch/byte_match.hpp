// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Sixteen bytes of a table, searched and written as one.
///
/// Both go by whole rows: a processor can hand a row just stored to a load of that row, but makes a
/// load wait that is wider than the store.

#include <array>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace memsim::detail {

/// A byte, eight times.
[[nodiscard]] constexpr std::uint64_t broadcast(std::uint8_t byte) {
  return byte * std::uint64_t{0x0101'0101'0101'0101};
}

/// For machines without SSE2, and to test what is below against: byte i of the row is bits
/// 8 * (i % 8) up of word i / 8.
namespace portable {

[[nodiscard]] constexpr std::uint32_t match_bytes(const std::uint64_t* row, std::uint64_t wanted) {
  std::uint32_t matches = 0;
  for (unsigned i = 0; i < 16; ++i) {
    const bool equal = ((row[i / 8] ^ wanted) >> (i % 8 * 8) & 0xff) == 0;
    matches |= static_cast<std::uint32_t>(equal) << i;
  }
  return matches;
}

constexpr void set_byte(std::uint64_t* row, unsigned i, std::uint64_t value) {
  const std::uint64_t mask = std::uint64_t{0xff} << (i % 8 * 8);
  std::uint64_t& word = row[i / 8];
  word ^= (word ^ value) & mask;
}

}  // namespace portable

#ifdef __SSE2__

/// Bit i of the result is set if byte i of the two words at `row` is the one that `wanted` repeats.
[[nodiscard]] inline std::uint32_t match_bytes(const std::uint64_t* row, std::uint64_t wanted) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  const __m128i all_wanted = _mm_set1_epi64x(static_cast<long long>(wanted));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, all_wanted)));
}

/// Makes byte i of the two words at `row` the one that `value` repeats.
inline void set_byte(std::uint64_t* row, unsigned i, std::uint64_t value) {
  // Sixteen of these from 15 - i on have their only set byte at i.
  static constexpr std::array<std::uint8_t, 31> one_byte{0, 0, 0, 0, 0, 0, 0, 0,
                                                         0, 0, 0, 0, 0, 0, 0, 0xff};
  auto* place = reinterpret_cast<__m128i*>(row);
  const __m128i mask = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&one_byte[15 - i]));
  const __m128i bytes = _mm_loadu_si128(place);
  const __m128i other = _mm_xor_si128(bytes, _mm_set1_epi64x(static_cast<long long>(value)));
  _mm_storeu_si128(place, _mm_xor_si128(bytes, _mm_and_si128(other, mask)));
}

#else
using portable::match_bytes;
using portable::set_byte;
#endif

}  // namespace memsim::detail
