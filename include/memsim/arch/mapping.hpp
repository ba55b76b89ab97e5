// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a mapping of physical memory says: its size, and what may be done through it.

#include <cstdint>
#include <string>

#include <memsim/core/types.hpp>

namespace memsim {

/// One bit of a page table entry that memsim knows.
enum class mapping_flag : std::uint8_t {
  present = 1 << 0,     ///< the entry translates at all
  writable = 1 << 1,    ///< stores are allowed
  encrypted = 1 << 2,   ///< the C-bit of SEV: the guest's key is used
  keep_small = 1 << 3,  ///< 4 KiB on purpose: a collapse leaves the entry alone
};

/// A set of them.
class mapping_flags {
 public:
  static constexpr std::uint8_t all_bits = 0xf;

  constexpr mapping_flags() = default;
  constexpr mapping_flags(mapping_flag flag) : bits_{static_cast<std::uint8_t>(flag)} {}
  /// \throws usage_error if a bit is none of the flags
  constexpr explicit mapping_flags(std::uint8_t bits) : bits_{bits} {
    if (bits > all_bits) detail_refuse(bits);
  }

  [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool has(mapping_flag flag) const {
    return (bits_ & static_cast<std::uint8_t>(flag)) != 0;
  }
  [[nodiscard]] constexpr mapping_flags without(mapping_flags other) const {
    return mapping_flags{static_cast<std::uint8_t>(bits_ & ~other.bits_)};
  }

  friend constexpr mapping_flags operator|(mapping_flags a, mapping_flags b) {
    return mapping_flags{static_cast<std::uint8_t>(a.bits_ | b.bits_)};
  }
  friend constexpr bool operator==(mapping_flags, mapping_flags) = default;

 private:
  [[noreturn]] static void detail_refuse(std::uint8_t bits);

  std::uint8_t bits_ = 0;
};

constexpr mapping_flags operator|(mapping_flag a, mapping_flag b) {
  return mapping_flags{a} | mapping_flags{b};
}

[[nodiscard]] std::string to_text(mapping_flags);  ///< `present|writable`, `none`

/// What the kernel maps its memory with.
inline constexpr mapping_flags default_mapping = mapping_flag::present | mapping_flag::writable;

/// A change of flags: these are set, those are cleared, the others stay.
struct mapping_change {
  mapping_flags set{};
  mapping_flags clear{};

  [[nodiscard]] constexpr mapping_flags applied_to(mapping_flags flags) const {
    return flags.without(clear) | set;
  }
};

/// set_direct_map_invalid(): nothing can be reached through the entry.
inline constexpr mapping_change make_invalid{.clear = default_mapping};
/// set_direct_map_default(): undoes it.
inline constexpr mapping_change make_default{.set = default_mapping};
/// set_memory_ro() and set_memory_rw().
inline constexpr mapping_change make_read_only{.clear = mapping_flag::writable};
inline constexpr mapping_change make_writable{.set = mapping_flag::writable};
/// set_memory_encrypted() and set_memory_decrypted().
inline constexpr mapping_change make_encrypted{.set = mapping_flag::encrypted};
inline constexpr mapping_change make_decrypted{.clear = mapping_flag::encrypted};
/// set_memory_4k(): every large page of the range is split, and stays so.
inline constexpr mapping_change make_small{.set = mapping_flag::keep_small};

/// The mapping of a frame.
struct mapping {
  page_size size = page_size::k4;
  mapping_flags flags{};

  friend bool operator==(const mapping&, const mapping&) = default;
};

/// Frames [first, first + count), mapped alike by pages of one size, all of them whole.
struct mapped_run {
  pfn first{};
  frame_count count = 0;
  mapping how{};

  [[nodiscard]] pfn end() const { return first + count; }
  friend bool operator==(const mapped_run&, const mapped_run&) = default;
};

[[nodiscard]] std::string to_text(const mapped_run&);  ///< `[512, 4096) 2M present|writable`

}  // namespace memsim
