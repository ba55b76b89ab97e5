// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A virtual memory area: pages of an address space that were mapped alike.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/intrusive/set.hpp>

#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// What a process may do with pages. Modelling assumption: what may be used may be read.
enum class protection : unsigned char { none, read, read_write };

/// What madvise() said of huge pages.
enum class thp_advice : unsigned char { none, huge, no_huge };

[[nodiscard]] std::string_view name_of(protection);
[[nodiscard]] std::string to_text(protection);
[[nodiscard]] std::string_view name_of(thp_advice);
[[nodiscard]] std::string to_text(thp_advice);

/// Whether a process writes to the pages of what it maps, or to copies of its own.
enum class sharing : unsigned char { private_copies, shared_pages };

[[nodiscard]] std::string_view name_of(sharing);
[[nodiscard]] std::string to_text(sharing);

class backing;

/// Who may map a private page: all areas that came of one by splitting and by fork. 0: none.
enum class anon_vma_id : std::uint32_t { none = 0 };

/// An area. Areas of an address space are disjoint, and those that touch differ in something.
struct vma : boost::intrusive::set_base_hook<boost::intrusive::optimize_size<true>> {
  vpn first{};
  vpn end{};
  protection allowed = protection::read_write;
  thp_advice advice = thp_advice::none;
  sharing with = sharing::private_copies;
  backing* source = nullptr;
  std::uint32_t note = 0;  ///< the backing's own; parts and children begin with the same
  /// Its pages stay in memory (VM_LOCKED).
  bool locked = false;
  /// Nothing was promised for it (MAP_NORESERVE).
  bool no_reserve = false;
  /// Whose its new private pages are; none before there was any.
  anon_vma_id own = anon_vma_id::none;
  /// All that its private pages may belong to, its own first.
  std::vector<anon_vma_id> chain{};
  /// The number of its first page in its backing. Private pages are found by it among those of the
  /// same anon_vma, so that of anonymous memory stays as it is when the area is moved.
  std::uint64_t offset = 0;

  [[nodiscard]] frame_count pages() const { return end.value() - first.value(); }
  [[nodiscard]] bool holds(vpn page) const { return first <= page && page < end; }
  /// The number of a page, as `offset`.
  [[nodiscard]] std::uint64_t number_of(vpn page) const {
    return offset + (page.value() - first.value());
  }

  /// By their addresses.
  friend bool operator<(const vma& a, const vma& b) { return a.first < b.first; }
};

}  // namespace memsim
