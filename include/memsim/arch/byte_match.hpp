// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which of sixteen bytes equal a given one, in a handful of instructions.

#include <array>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace memsim::detail {

using sixteen_bytes = std::array<std::uint8_t, 16>;

/// match_bytes() for machines without SSE2, and to test it against.
[[nodiscard]] inline std::uint32_t match_bytes_portably(const sixteen_bytes& bytes,
                                                        std::uint8_t wanted) {
  std::uint32_t matches = 0;
  for (unsigned i = 0; i < bytes.size(); ++i) {
    matches |= static_cast<std::uint32_t>(bytes[i] == wanted) << i;
  }
  return matches;
}

/// Bit i of the result is set if byte i is `wanted`.
[[nodiscard]] inline std::uint32_t match_bytes(const sixteen_bytes& bytes, std::uint8_t wanted) {
#ifdef __SSE2__
  const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data()));
  const __m128i equal = _mm_cmpeq_epi8(all, _mm_set1_epi8(static_cast<char>(wanted)));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(equal));
#else
  return match_bytes_portably(bytes, wanted);
#endif
}

}  // namespace memsim::detail
