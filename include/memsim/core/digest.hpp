// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A number that stands for a whole state: two runs agree if and only if their digests do.
///
/// 64 bits against accident, not against an adversary. Integers go in by value, not by their bytes
/// in memory, so that the result does not depend on the machine.

#include <cstdint>
#include <string>
#include <string_view>

namespace memsim {

class digest {
 public:
  /// Adds one number. Order matters: (1, 2) and (2, 1) differ.
  constexpr digest& add(std::uint64_t word) {
    state_ = mix(state_ + 0x9e3779b97f4a7c15ULL + mix(word));
    return *this;
  }
  /// Adds the length and the characters.
  constexpr digest& add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(static_cast<unsigned char>(c));
    return *this;
  }

  [[nodiscard]] constexpr std::uint64_t value() const { return state_; }
  /// The digest that has this value.
  [[nodiscard]] static constexpr digest from_value(std::uint64_t value) {
    digest d;
    d.state_ = value;
    return d;
  }
  friend constexpr auto operator<=>(digest, digest) = default;

 private:
  // The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection.
  static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::uint64_t state_ = 0;
};

/// Sixteen hexadecimal digits.
[[nodiscard]] std::string to_text(digest);

}  // namespace memsim
