// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The translation lookaside buffer of one CPU.
///
///     tlb t{{.geometry = presets::skylake_sp_tlb()}};
///     const auto mapped_large = [](asid, vpn) { return page_mapping{page_size::m2}; };
///     t.translate(asid{1}, vpn{0x200}, mapped_large);   // a walk
///     t.translate(asid{1}, vpn{0x3ff}, mapped_large);   // a hit in L1: the same 2 MiB
///     t.flush(tlb_flush::page(asid{1}, vpn{0x212}));    // drops it
///     t.counts().walks.references();                    // 3
///
/// docs/tlb.md says how it behaves, what it counts and what it assumes.

#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include <memsim/arch/entry_table.hpp>
#include <memsim/arch/page_walker.hpp>
#include <memsim/arch/tlb_counts.hpp>
#include <memsim/arch/tlb_flush.hpp>
#include <memsim/arch/tlb_geometry.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// For whom a mapping is.
enum class mapping_scope : unsigned char {
  address_space,  ///< the one it was asked for
  global,         ///< every one: the kernel's own mappings
};

/// What a page walk finds.
struct page_mapping {
  page_size size = page_size::k4;
  mapping_scope scope = mapping_scope::address_space;
};

/// Knows the mapping of a page; asked on a miss alone.
///
/// It may change mappings and flush the TLB that asks: whoever handles a page fault does. It may
/// not make that TLB translate.
template <class Walk>
concept page_walk = requires(Walk& walk, asid space, vpn page) {
  { walk(space, page) } -> std::same_as<page_mapping>;
};

/// How a translation was come by.
struct alignas(4) translation {
  std::uint8_t hit_level = 0;        ///< 1 for L1, 2 for L2, ...; 0: by a page walk
  page_size size = page_size::k4;    ///< of the entry
  std::uint8_t walk_references = 0;  ///< references to memory that the walk took

  friend bool operator==(const translation&, const translation&) = default;
};

/// A TLB of any number of levels, its page-walk caches, and what both counted.
///
/// All levels are asked in turn. Where entries of several sizes cover a page, which takes a change
/// of mapping without a flush, one of the size of the access before answers, or else the smallest.
/// A hit is copied to the levels above; a walk fills all of them. An entry that makes room is gone:
/// levels neither include nor exclude each other.
///
/// A value: copying a TLB forks it, random replacement included.
class tlb {
 public:
  /// \throws usage_error if a field of the configuration is out of its range
  explicit tlb(const tlb_config& config);

  /// Translates one access.
  ///
  /// \param walk  asked for the mapping if no level has it
  /// \throws      usage_error if `walk` made this TLB translate
  template <page_walk Walk>
  translation translate(asid space, vpn page, Walk&& walk) {
    const std::uint64_t where = detail::place::of(space, page);
    // The page of the access before: in L1, and already its most recent.
    if (((where ^ last_.where) & last_.mask) == 0) [[likely]] {
      ++last_.hits;
      return last_.hit;
    }
    if (const translation found = look_up(where); found.hit_level != 0) return found;
    const std::uint64_t lookups = lookups_;
    const page_mapping mapping = walk(space, page);
    if (lookups != lookups_) detail_refuse_nesting(page);
    return install(where, mapping);
  }

  /// Whether some level has the page. Changes and counts nothing.
  [[nodiscard]] bool holds(asid space, vpn page) const;

  /// Drops entries, of page-walk caches too.
  void flush(const tlb_flush& what);

  /// Entries of a size that a level holds; levels are numbered from 1.
  /// \throws usage_error if there is no such level
  [[nodiscard]] std::uint64_t entries(unsigned level, page_size size) const;

  [[nodiscard]] const tlb_config& config() const { return config_; }
  [[nodiscard]] tlb_counts counts() const;
  /// A digest of everything that bears on future translations. Counts do not.
  [[nodiscard]] digest state_digest() const;

 private:
  /// The last translation. While `where` is a place, the same again is a hit in L1 that changes
  /// nothing.
  struct last_hit {
    std::uint64_t where = no_place;
    std::uint64_t mask = no_place;
    std::uint64_t hits = 0;  // of pages of this size; not yet in hits_
    translation hit{.hit_level = 1};
  };
  /// No question has its low bit set.
  static constexpr std::uint64_t no_place = 1;

  /// The structures that keep a page size, first level first.
  struct chain {
    struct link {
      std::uint32_t structure = 0;
      translation hit{};  ///< the answer, if this one has the page
    };

    detail::key_maker key{};
    unsigned length = 0;
    unsigned bit = 0;    ///< of the size, in active_sizes_
    bool quick = false;  ///< begins with a quad of L1, and goes on with one or a narrow structure
    std::array<link, max_tlb_levels> links{};
  };
  static constexpr unsigned no_structure = ~0u;
  template <class T>
  using by_level_and_size = std::array<std::array<T, page_sizes>, max_tlb_levels>;

  [[nodiscard]] translation look_up(std::uint64_t where);
  /// look_up() without the first `done` structures of the last size.
  [[nodiscard]] translation look_up_chains(std::uint64_t where, unsigned done);
  [[nodiscard]] translation look_up_chain(std::uint64_t where, unsigned size, unsigned done);
  [[nodiscard]] translation install(std::uint64_t where, const page_mapping& mapping);
  /// Adds an entry to the structures of a chain from `first` on.
  void fill(const chain& c, unsigned first, detail::entry_key key);
  void remember(std::uint64_t where, page_size size);
  /// no_structure if the level, numbered from 0, does not keep the size.
  [[nodiscard]] unsigned structure_at(unsigned level, unsigned size) const;
  void change_last_size(page_size size);
  void forget_last() { last_.where = no_place; }
  void flush_page(asid space, vpn page);
  void flush_where(std::uint64_t mask, std::uint64_t value);
  void flush_everything();
  [[noreturn]] static void detail_refuse_nesting(vpn page);

  last_hit last_;
  std::uint64_t lookups_ = 0;  // that were not the last translation again
  unsigned active_sizes_ = 0;  // a bit a size: whether any structure may have a page of it
  unsigned levels_;
  std::array<chain, page_sizes> chains_;
  std::vector<detail::entry_table> structures_;
  std::vector<std::uint8_t> level_of_;  // of a structure

  by_level_and_size<std::uint64_t> hits_{};
  by_level_and_size<std::uint64_t> flushed_{};
  std::array<std::uint64_t, page_sizes> walks_{};
  tlb_flush_counts flushes_{};

  detail::page_walker walker_;
  tlb_config config_;
};

[[nodiscard]] std::string to_text(mapping_scope);       ///< `global`
[[nodiscard]] std::string to_text(const translation&);  ///< `2M hit in L1`, `4K walk of 4`

}  // namespace memsim
