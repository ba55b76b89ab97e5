// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whose a page is, and so whether and how it can be got out of the way.
///
/// A block fresh from the allocator is the kernel's own: it stays where it is. What can move has
/// been assigned: it is on the LRU lists, or its driver moves it. The owner is told when it does.
///
///     struct my_heap final : page_owner {
///       std::vector<pfn> pages;
///       void moved(pfn, pfn to, std::uint32_t tag) override { pages[tag] = to; }
///     };
///     const auto heap_id = memory.add_owner(heap);
///     heap.pages.push_back(*memory.alloc(ctx, order{0}, gfp_highuser_movable));
///     memory.assign(ctx, heap.pages[0], {.kind = page_kind::anonymous, .owner = heap_id, .tag =
///     0});

#include <cstdint>
#include <string>
#include <string_view>

#include <memsim/core/types.hpp>

namespace memsim {

/// What a page holds.
enum class page_kind : unsigned char {
  anonymous,  ///< private memory: on the LRU lists, goes to swap
  shmem,      ///< shared memory: like it, but with a mapping
  file,       ///< page cache: on the LRU lists, is dropped while clean
  driver,     ///< movable by its driver only, on no LRU list
};

inline constexpr unsigned page_kinds = 4;

[[nodiscard]] std::string_view name_of(page_kind);
[[nodiscard]] std::string to_text(page_kind);

/// An owner as it is registered with a page allocator.
enum class owner_id : std::uint16_t {
  /// Nobody is told. A clean page of kind file is dropped when memory is short, any other is kept.
  none = 0,
};

/// What a page in use is used for.
struct page_use {
  page_kind kind = page_kind::anonymous;
  owner_id owner = owner_id::none;
  std::uint32_t tag = 0;  ///< the owner's own: which of its pages this is

  friend bool operator==(const page_use&, const page_use&) = default;
};

/// What became of a request to write a page.
enum class write_outcome : unsigned char {
  refused,  ///< not now
  started,  ///< goes on; page_allocator::end_writeback() says when it is over
  written,  ///< at once
};

/// Owns pages that can be moved or taken back. It must not call back into the allocator's non-const
/// functions from any of these.
class page_owner {
 public:
  virtual ~page_owner() = default;

  /// Whether a page of kind driver may be taken off for a move now.
  [[nodiscard]] virtual bool lends(pfn, [[maybe_unused]] std::uint32_t tag) { return true; }
  /// Whether the page may move; `false` says "try again".
  [[nodiscard]] virtual bool lets_move([[maybe_unused]] pfn from, [[maybe_unused]] pfn to,
                                       [[maybe_unused]] std::uint32_t tag) {
    return true;
  }
  /// The page has moved; `from` is the allocator's again.
  virtual void moved([[maybe_unused]] pfn from, [[maybe_unused]] pfn to,
                     [[maybe_unused]] std::uint32_t tag) {}
  /// Whether the owner gives up a clean page whose contents can be had again: from its file or, if
  /// it was swapped out, from swap. After `true` the page is the allocator's again, and the owner
  /// has forgotten it; its slot of swap, if it has one, is the owner's until release_swap().
  [[nodiscard]] virtual bool drops(pfn, [[maybe_unused]] std::uint32_t tag) { return false; }
  /// Whether somebody used the page through a mapping since this was last asked.
  [[nodiscard]] virtual bool was_referenced(pfn, [[maybe_unused]] std::uint32_t tag) {
    return false;
  }
  /// Starts to write a dirty page of kind file.
  [[nodiscard]] virtual write_outcome writes(pfn, [[maybe_unused]] std::uint32_t tag) {
    return write_outcome::refused;
  }
  /// Unmaps a page of kind anonymous or shmem and starts to write it to swap, where a slot is set
  /// aside for it. Until drops() it is as before.
  [[nodiscard]] virtual write_outcome swaps_out(pfn, [[maybe_unused]] std::uint32_t tag) {
    return write_outcome::refused;
  }
};

}  // namespace memsim
