// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is known of pages that processes map: how often, who else holds them, and what is in them.

#include <cstdint>
#include <vector>

#include <memsim/core/digest.hpp>
#include <memsim/core/types.hpp>
#include <memsim/frames/lazy_array.hpp>
#include <memsim/vm/vma.hpp>

namespace memsim {

/// A huge page by number, from 1. 0: none.
enum class huge_page_id : std::uint32_t { none = 0 };

/// A reference to a page beside those of its mappings.
enum class hold_kind : unsigned char {
  reference,  ///< a plain one (FOLL_GET): fork knows nothing of it
  pin,        ///< for I/O (FOLL_PIN): fork leaves the page to the process
};

/// A page of 4 KiB, by itself or a part of a huge page; or, as its first frame, a page of a backing
/// whose pages are larger. Zero: not mapped, and never was.
struct mapped_page {
  /// A version of the contents of these 4 KiB. Zeroes are 0.
  std::uint64_t content = 0;
  /// Its number in its anon_vma or, if it is kept, in its backing. Of a part of a backing's large
  /// page the first frame of that.
  std::uint64_t number = 0;
  /// Entries that map it by itself.
  std::uint32_t mappings = 0;
  /// Other references; of a part of a huge page the huge page has them.
  std::uint32_t references = 0;
  std::uint32_t pins = 0;
  /// Whose it is, if it is private.
  anon_vma_id owner{};
  /// The backing that keeps it, or that it was allocated by.
  std::uint32_t source = 0;
  std::uint32_t huge_number : 27 = 0;
  std::uint32_t size_number : 2 = 0;
  bool is_part : 1 = false;         ///< of a backing's large page, and not its first
  bool is_lazily_free : 1 = false;  ///< by MADV_FREE
  /// One process alone maps it, and may write it (PG_anon_exclusive).
  bool exclusive : 1 = false;

  /// The huge page that it is a part of.
  [[nodiscard]] huge_page_id huge() const { return huge_page_id{huge_number}; }
  /// Of a page that a backing keeps or gave.
  [[nodiscard]] page_size size() const {
    return page_size{static_cast<unsigned char>(size_number)};
  }
  [[nodiscard]] bool is_private() const { return owner != anon_vma_id::none; }
};
static_assert(sizeof(mapped_page) == 40);

/// A huge page as a whole.
struct huge_page {
  pfn first{};
  std::uint32_t pmd_mappings = 0;
  std::uint32_t pte_mappings = 0;  ///< of all its parts together
  std::uint32_t mapped_parts = 0;  ///< parts that any entry of 4 KiB maps
  std::uint32_t references = 0;
  std::uint32_t pins = 0;
  bool queued = false;      ///< on the queue of deferred splits
  bool double_map = false;  ///< mapped by both kinds of entries

  /// All references.
  [[nodiscard]] std::uint64_t count() const {
    return std::uint64_t{pmd_mappings} + pte_mappings + references + pins;
  }
};

/// The pages of a machine that are mapped.
class mapped_pages {
 public:
  explicit mapped_pages(pfn end) : pages_(end.value()) {}

  [[nodiscard]] mapped_page& operator[](pfn page) { return pages_[page.value()]; }
  [[nodiscard]] const mapped_page& operator[](pfn page) const { return pages_[page.value()]; }
  [[nodiscard]] huge_page& operator[](huge_page_id id) {
    return huge_[static_cast<std::size_t>(id) - 1];
  }
  [[nodiscard]] const huge_page& operator[](huge_page_id id) const {
    return huge_[static_cast<std::size_t>(id) - 1];
  }

  void add_to(digest& d, pfn first, frame_count count) const;

  /// Makes 512 fresh pages a huge page.
  huge_page_id add_huge(pfn first);
  /// Its parts are pages by themselves from now on.
  void remove_huge(huge_page_id id);

  /// Makes frames one page that is mapped, held and released as one, and whose contents are
  /// forgotten.
  mapped_page& add_large(pfn first, page_size size);

  /// How often a part of a huge page, or a single page, is mapped by entries of any size
  /// (page_mapcount).
  [[nodiscard]] std::uint32_t mapcount(pfn page) const;
  /// All mappings of a huge page and of its parts, that of the whole counting once
  /// (total_mapcount, from 6.12 large_mapcount); of a single page its own.
  [[nodiscard]] std::uint64_t total_mapcount(pfn page) const;
  /// The mappings of the part that has most (page_trans_huge_mapcount, to 5.18). Looks at every
  /// part.
  [[nodiscard]] std::uint32_t highest_mapcount(pfn page) const;
  /// The field of a part as kernels to 6.1 keep it: with one more while the huge page is mapped by
  /// entries of both sizes.
  [[nodiscard]] std::uint32_t raw_mapcount(pfn page) const;
  /// Whether 6.12 takes it for shared, as far as the first part's mappings and those of all tell.
  [[nodiscard]] bool looks_shared(pfn page) const;
  /// The first frame of the huge page, or of the backing's large page; otherwise the page itself.
  [[nodiscard]] pfn head_of(pfn page) const;
  /// References to a page, or to the whole huge page that it is a part of.
  [[nodiscard]] std::uint64_t count(pfn page) const;
  /// Whether somebody may do I/O on it, as fork asks: of a huge page any pin counts, of a single
  /// page 1024 references look like one.
  [[nodiscard]] bool may_be_pinned(pfn page) const;
  /// Whether there are references that are not mappings.
  [[nodiscard]] bool is_held(pfn page) const;
  /// Whether it belongs to an anon_vma, and to no backing.
  [[nodiscard]] bool is_private(pfn page) const { return (*this)[head_of(page)].is_private(); }

 private:
  // What is counted as one: a part of a huge page by itself.
  [[nodiscard]] const mapped_page& unit_of(pfn page) const {
    const auto& p = (*this)[page];
    return p.is_part ? (*this)[pfn{p.number}] : p;
  }

  detail::lazy_array<mapped_page> pages_;
  std::vector<huge_page> huge_;
  std::vector<huge_page_id> unused_;
};

}  // namespace memsim
