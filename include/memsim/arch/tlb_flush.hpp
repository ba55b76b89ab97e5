// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What is to be dropped from a TLB, as a value: one CPU's, or every CPU's, is told the same.

#include <string>

#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// How much a flush that is not of single pages drops.
enum class full_flush : unsigned char {
  address_space,   ///< entries of one address space that are not global
  all_but_global,  ///< entries that are not global, of every address space
  everything,      ///< all entries, global ones and those of the hypervisor too
};

/// Pages above which a range is not worth flushing one by one. Linux:
/// tlb_single_page_flush_ceiling.
inline constexpr frame_count default_flush_ceiling = 33;

/// When a range is no longer flushed page by page.
struct range_flush_rule {
  /// The most single flushes; above, one full flush.
  std::uint64_t ceiling = default_flush_ceiling;
  /// The step from one single flush to the next: the size at which the range is mapped, or less.
  page_size stride = page_size::k4;
  /// Linux: everything for the kernel's own ranges, the address space for a process's.
  full_flush beyond = full_flush::everything;
};

/// A flush. Make one with the functions below.
///
///     tlb.flush(tlb_flush::page(asid{3}, vpn{0x1234}));
struct tlb_flush {
  /// Pages to flush one at a time, `stride` apart; 0: a full flush.
  std::uint64_t pages = 0;
  vpn first{};
  page_size stride = page_size::k4;
  full_flush full = full_flush::everything;  ///< without pages: how much
  asid space{};                              ///< of the pages, or of full_flush::address_space

  /// Every entry that covers the page, of whatever size: the address space's own and global ones.
  /// x86: INVLPG.
  [[nodiscard]] static tlb_flush page(asid space, vpn page);
  /// The pages [first, first + count), or more, as the rule says.
  /// \throws usage_error if the range is empty or leaves the address space
  [[nodiscard]] static tlb_flush range(asid space, vpn first, frame_count count,
                                       const range_flush_rule& rule = {});
  [[nodiscard]] static tlb_flush address_space(asid space);
  [[nodiscard]] static tlb_flush all_but_global();
  [[nodiscard]] static tlb_flush everything();

  friend bool operator==(const tlb_flush&, const tlb_flush&) = default;
};

[[nodiscard]] std::string to_text(full_flush);        ///< `address_space`
[[nodiscard]] std::string to_text(const tlb_flush&);  ///< `33 pages from 0x1000 by 4K in space 3`

}  // namespace memsim
