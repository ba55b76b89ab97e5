// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is known of a page in use beyond that it is in use: eight bytes, in a column of their own
/// that is made when the first page has any.

#include <cstdint>
#include <string>

namespace memsim {

/// A set of flags, combined with `|`.
class page_flags {
 public:
  constexpr page_flags() = default;
  constexpr explicit page_flags(std::uint16_t bits) : bits_{bits} {}

  [[nodiscard]] constexpr std::uint16_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool has_all(page_flags flags) const {
    return (bits_ & flags.bits_) == flags.bits_;
  }
  [[nodiscard]] constexpr bool has_any(page_flags flags) const {
    return (bits_ & flags.bits_) != 0;
  }

  friend constexpr page_flags operator|(page_flags a, page_flags b) {
    return page_flags{static_cast<std::uint16_t>(a.bits_ | b.bits_)};
  }
  friend constexpr page_flags operator&(page_flags a, page_flags b) {
    return page_flags{static_cast<std::uint16_t>(a.bits_ & b.bits_)};
  }
  /// The flags of `a` that are not in `b`.
  friend constexpr page_flags operator-(page_flags a, page_flags b) {
    return page_flags{static_cast<std::uint16_t>(a.bits_ & ~b.bits_)};
  }
  friend constexpr bool operator==(page_flags, page_flags) = default;

 private:
  std::uint16_t bits_ = 0;
};

namespace page_flag {
// Where it is.
inline constexpr page_flags lru{1u << 0};          ///< on an LRU list
inline constexpr page_flags lru_pending{1u << 1};  ///< in a CPU's batch of pages for the LRU lists
inline constexpr page_flags isolated{1u << 2};     ///< taken off to be moved or reclaimed
// What it holds.
inline constexpr page_flags driver{1u << 3};       ///< moved by its driver, never on an LRU list
inline constexpr page_flags anonymous{1u << 4};    ///< without a mapping of a file or of shmem
inline constexpr page_flags swap_backed{1u << 5};  ///< anonymous or shmem: goes to swap
// How it is used.
inline constexpr page_flags pinned{1u << 6};  ///< more references than those that map it
inline constexpr page_flags dirty{1u << 7};
inline constexpr page_flags writeback{1u << 8};
inline constexpr page_flags referenced{1u << 9};
inline constexpr page_flags active{1u << 10};
inline constexpr page_flags unevictable{1u << 11};
// Of frames in use since before the allocator.
inline constexpr page_flags tail{1u << 12};  ///< counts no references, and is not free either
// How far it is on its way out.
inline constexpr page_flags swap_cached{1u << 13};  ///< has a slot of swap
inline constexpr page_flags reclaim{1u << 14};      ///< to be reclaimed as soon as it is written
}  // namespace page_flag

/// `lru|dirty`, `none`.
[[nodiscard]] std::string to_text(page_flags);

struct page_info {
  page_flags flags{};
  std::uint16_t owner = 0;  ///< who is told when the page moves, as registered; 0: nobody
  std::uint32_t tag = 0;    ///< the owner's own: which of its pages this is

  friend bool operator==(const page_info&, const page_info&) = default;
};

static_assert(sizeof(page_info) == 8);

}  // namespace memsim
