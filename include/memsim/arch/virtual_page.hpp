// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a TLB is asked about: a page of an address space.

#include <compare>
#include <cstdint>
#include <string>

#include <memsim/core/format.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// A virtual page number: a linear address divided by 4 KiB, whatever the size of the mapping that
/// covers it.
///
/// Five levels of page tables translate 57 bits of an address, so a number has 45 bits. The bits
/// above, which repeat the highest of them in a canonical address, say nothing and are not kept.
///
///     vpn::of_address(0xffff'8880'0000'0000) + 512
class vpn {
 public:
  static constexpr unsigned bits = 45;

  constexpr vpn() = default;
  /// \throws usage_error if `value` has more than 45 bits
  constexpr explicit vpn(std::uint64_t value) : value_{value} {
    if (value >> bits != 0) detail_refuse(value);
  }
  /// The page of an address in either half of the address space.
  [[nodiscard]] static constexpr vpn of_address(std::uint64_t address) {
    return vpn{address / page_bytes % (std::uint64_t{1} << bits)};
  }

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  /// The first page of the mapping of this size that covers the page.
  [[nodiscard]] constexpr vpn base(page_size size) const {
    return vpn{value_ & ~(frames_of(size) - 1)};
  }

  friend constexpr vpn operator+(vpn p, frame_count pages) { return vpn{p.value_ + pages}; }
  friend constexpr auto operator<=>(vpn, vpn) = default;

 private:
  [[noreturn]] static void detail_refuse(std::uint64_t value);

  std::uint64_t value_ = 0;
};

/// An address space as the hardware numbers it: x86's PCID (12 bits), Arm's ASID (16 bits).
class asid {
 public:
  static constexpr unsigned bits = 16;

  constexpr asid() = default;
  constexpr explicit asid(std::uint16_t value) : value_{value} {}

  [[nodiscard]] constexpr std::uint16_t value() const { return value_; }
  friend constexpr auto operator<=>(asid, asid) = default;

 private:
  std::uint16_t value_ = 0;
};

[[nodiscard]] std::string to_text(vpn);   ///< `0x7f0012345`
[[nodiscard]] std::string to_text(asid);  ///< `3`

namespace detail {

/// A page of an address space as one word, and what marks such a word as a TLB entry.
///
/// | bits     | are                                                           |
/// |----------|---------------------------------------------------------------|
/// | 63 to 19 | the page number                                               |
/// | 18 to 3  | the address space                                             |
/// | 2 to 1   | 0 in a question, the size of the mapping plus 1 in an entry   |
/// | 0        | in an entry: it is global, and bits 18 to 3 are 0             |
struct place {
  static constexpr unsigned page_shift = 19;
  static constexpr unsigned asid_shift = 3;
  static constexpr unsigned size_shift = 1;
  static constexpr std::uint64_t asid_bits = ((std::uint64_t{1} << asid::bits) - 1) << asid_shift;
  static constexpr std::uint64_t size_bits = 3 << size_shift;
  static constexpr std::uint64_t global_bit = 1;

  [[nodiscard]] static constexpr std::uint64_t of(asid space, vpn page) {
    return page.value() << page_shift | std::uint64_t{space.value()} << asid_shift;
  }
  /// The tag of a global entry, of the tag of an address space's own.
  [[nodiscard]] static constexpr std::uint64_t global(std::uint64_t tag) {
    return (tag & ~asid_bits) | global_bit;
  }
  /// Which bits of a question tell regions of 2^order pages apart; all of memory at order 45.
  [[nodiscard]] static constexpr std::uint64_t mask(unsigned order) {
    return ~std::uint64_t{0} << page_shift << order | asid_bits;
  }
};
static_assert(vpn::bits + place::page_shift == 64);

}  // namespace detail
}  // namespace memsim
