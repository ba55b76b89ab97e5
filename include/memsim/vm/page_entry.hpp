// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// An entry of a page table: 64 bits, as the hardware's.

#include <cstdint>

#include <memsim/core/types.hpp>

namespace memsim {

/// Nothing, a table of the next lower level, a page, the zero page, or the mark of a page that was
/// lost. What maps a page at a level above the lowest maps a large one.
///
///     const auto e = page_entry::page(frame).with(page_entry::writable);
class page_entry {
 public:
  // What may be set of a page.
  static constexpr std::uint64_t writable = 1 << 1;
  static constexpr std::uint64_t dirty = 1 << 2;     ///< written through this entry
  static constexpr std::uint64_t accessed = 1 << 3;  ///< used through this entry

  constexpr page_entry() = default;

  [[nodiscard]] static constexpr page_entry page(pfn first) {
    return page_entry{first.value() << frame_shift | present_bit};
  }
  /// Frames without descriptors: nobody counts who maps them.
  [[nodiscard]] static constexpr page_entry bare(pfn first) {
    return page_entry{first.value() << frame_shift | present_bit | bare_bit};
  }
  /// The page was lost to a memory failure.
  [[nodiscard]] static constexpr page_entry poison() { return page_entry{poison_bit}; }
  /// Reads as zeroes, and counts as no page.
  [[nodiscard]] static constexpr page_entry zero_page() {
    return page_entry{present_bit | zero_bit};
  }
  /// \param number  of the table, whose meaning is the page table's own
  [[nodiscard]] static constexpr page_entry table(std::uint32_t number) {
    return page_entry{std::uint64_t{number} << frame_shift | table_bit};
  }

  [[nodiscard]] constexpr bool is_none() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool is_table() const { return bits_ & table_bit; }
  /// Whether it maps something: a page, or the zero page.
  [[nodiscard]] constexpr bool is_present() const { return bits_ & present_bit; }
  [[nodiscard]] constexpr bool is_zero() const { return bits_ & zero_bit; }
  [[nodiscard]] constexpr bool is_bare() const { return bits_ & bare_bit; }
  [[nodiscard]] constexpr bool is_poison() const { return bits_ & poison_bit; }
  /// Whether it maps a page that has a descriptor.
  [[nodiscard]] constexpr bool is_page() const {
    return (bits_ & (present_bit | zero_bit | bare_bit)) == present_bit;
  }
  /// Whether there is something to be removed, and no table.
  [[nodiscard]] constexpr bool is_leaf() const { return !is_none() && !is_table(); }

  /// The first frame of the page.
  [[nodiscard]] constexpr pfn frame() const { return pfn{bits_ >> frame_shift}; }
  [[nodiscard]] constexpr std::uint32_t table_number() const {
    return static_cast<std::uint32_t>(bits_ >> frame_shift);
  }
  [[nodiscard]] constexpr bool has(std::uint64_t flags) const { return (bits_ & flags) == flags; }
  [[nodiscard]] constexpr page_entry with(std::uint64_t flags) const {
    return page_entry{bits_ | flags};
  }
  constexpr void set(std::uint64_t flags) { bits_ |= flags; }
  [[nodiscard]] constexpr page_entry without(std::uint64_t flags) const {
    return page_entry{bits_ & ~flags};
  }
  /// The flags of a page, for another entry that maps it in its place.
  [[nodiscard]] constexpr std::uint64_t flags() const {
    return bits_ & (writable | dirty | accessed);
  }

  /// All of it, for digests.
  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }

  friend constexpr bool operator==(page_entry, page_entry) = default;

 private:
  static constexpr std::uint64_t present_bit = 1 << 0;
  static constexpr std::uint64_t zero_bit = 1 << 4;
  static constexpr std::uint64_t table_bit = 1 << 5;
  static constexpr std::uint64_t bare_bit = 1 << 6;
  static constexpr std::uint64_t poison_bit = 1 << 7;
  static constexpr unsigned frame_shift = 12;

  constexpr explicit page_entry(std::uint64_t bits) : bits_{bits} {}

  std::uint64_t bits_ = 0;
};

}  // namespace memsim
