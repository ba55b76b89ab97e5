// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a TLB is made of: levels, structures, page-walk caches, nested paging.
///
/// A geometry is plain data, written with designated initialisers and checked once, when a tlb is
/// made of it. tlb_presets.hpp has those of real CPUs; docs/tlb.md says what each field does.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <memsim/core/types.hpp>

namespace memsim {

/// Which entry of a full set makes room. An empty way is always taken first.
enum class replacement : unsigned char {
  lru,        ///< the least recently used
  tree_plru,  ///< where a binary tree of "the other half" bits points; at most 64 ways
  random,     ///< any, with equal chance
};

/// Some of the page sizes.
///
///     page_size_set{page_size::k4, page_size::m2}
class page_size_set {
 public:
  constexpr page_size_set() = default;
  constexpr page_size_set(std::initializer_list<page_size> sizes) {
    for (const page_size s : sizes) bits_ |= bit(s);
  }

  constexpr void insert(page_size s) { bits_ |= bit(s); }
  [[nodiscard]] constexpr bool contains(page_size s) const { return (bits_ & bit(s)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  friend constexpr bool operator==(page_size_set, page_size_set) = default;

 private:
  static constexpr unsigned bit(page_size s) { return 1u << static_cast<unsigned>(s); }

  unsigned bits_ = 0;
};

/// A set-associative array of entries, as wide as wanted: one set is fully associative.
///
/// The set of a page is its number, in pages of its own size, modulo the number of sets.
struct table_geometry {
  unsigned sets = 1;  ///< need not be a power of two
  unsigned ways = 0;  ///< 0, for a page-walk cache: there is none
  replacement policy = replacement::lru;

  [[nodiscard]] constexpr unsigned entries() const { return sets * ways; }
  friend bool operator==(const table_geometry&, const table_geometry&) = default;
};

/// An array of a TLB and the page sizes that share it.
struct tlb_structure {
  page_size_set sizes{};
  table_geometry table{};

  friend bool operator==(const tlb_structure&, const tlb_structure&) = default;
};

/// The structures that are asked together. Each page size is in one of them at most; a size that is
/// in none is not kept at this level.
using tlb_level = std::vector<tlb_structure>;

/// How many levels a TLB may have.
inline constexpr unsigned max_tlb_levels = 3;
/// How many levels page tables may have: 4 for addresses of 48 bits, 5 for 57.
inline constexpr unsigned max_table_levels = 5;

/// Which entries of the page-walk caches a flush of one page drops.
enum class walk_cache_flush : unsigned char {
  /// Those of the address space, wherever they point (Intel SDM volume 3, 4.10.4.1, INVLPG).
  address_space,
  /// Those on the way to the page alone.
  covering,
};

/// Caches of entries that point to further tables, so that a walk starts below the root.
///
/// A hit in a cache of level n leaves n references less the level of the leaf: with a PDE at hand,
/// a 4 KiB page takes one. A walk asks for the lowest level first and fills every level it passes.
struct walk_cache_geometry {
  table_geometry pde{};    ///< entries that cover 2 MiB
  table_geometry pdpte{};  ///< entries that cover 1 GiB
  table_geometry pml4e{};  ///< entries that cover 512 GiB
  table_geometry pml5e{};  ///< entries that cover 256 TiB; used with five levels alone
  walk_cache_flush on_page_flush = walk_cache_flush::address_space;

  friend bool operator==(const walk_cache_geometry&, const walk_cache_geometry&) = default;
};

/// A guest under a hypervisor: every reference to the guest's tables, and the page itself, is
/// translated by the host's tables too.
///
/// With four levels on both sides and 4 KiB pages a walk takes up to 24 references:
/// (4 + 1) * (4 + 1) - 1. The TLB keeps the combined translation, at the smaller of the two sizes.
struct nested_paging {
  page_size host_page = page_size::k4;  ///< the size at which the host maps all guest memory
  unsigned host_table_levels = 4;       ///< 4 or 5
  /// A cache of host translations of the guest's page tables: a hit saves the host's walk.
  /// Modelling assumption: an entry covers one guest table, even where the host's page is larger.
  table_geometry nested_tlb{};

  friend bool operator==(const nested_paging&, const nested_paging&) = default;
};

/// The TLB of one CPU.
///
///     const tlb_geometry small{
///         .levels = {{{.sizes = {page_size::k4}, .table = {.sets = 16, .ways = 4}},
///                     {.sizes = {page_size::m2}, .table = {.sets = 8, .ways = 4}}},
///                    {{.sizes = {page_size::k4, page_size::m2}, .table = {128, 12}}}}};
struct tlb_geometry {
  std::vector<tlb_level> levels{};  ///< asked in this order; at least 1, at most max_tlb_levels
  unsigned table_levels = 4;        ///< of page tables: 4 or 5
  walk_cache_geometry walk_caches{};

  friend bool operator==(const tlb_geometry&, const tlb_geometry&) = default;
};

struct tlb_config {
  tlb_geometry geometry{};
  std::optional<nested_paging> nested{};  ///< unset: no hypervisor
  std::uint64_t seed = 0;                 ///< of the run; for replacement::random alone
  std::string stream = "tlb";             ///< name of the random stream, one a CPU

  friend bool operator==(const tlb_config&, const tlb_config&) = default;
};

/// \throws usage_error if a field is out of its range, naming the field
void validate(const tlb_config&);

/// Bytes that the entries of a level could cover at a page size; 0 where it keeps none.
[[nodiscard]] bytes reach(const tlb_level& level, page_size size);

[[nodiscard]] std::string to_text(replacement);            ///< `lru`
[[nodiscard]] std::string to_text(page_size_set);          ///< `4K/2M`
[[nodiscard]] std::string to_text(const table_geometry&);  ///< `128 x 12 lru`
[[nodiscard]] std::string to_text(const tlb_structure&);   ///< `4K/2M 128 x 12 lru`

}  // namespace memsim
