// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who may write to a page that others have mapped as well: what kernels from 4.5 to 6.12 decided,
/// each a set of switches.
///
///     virtual_memory vm{memory, {.cow = cow_linux_4_5}};
///     cow_rules mine = cow_linux_4_6;
///     mine.part_owner = owner_move::always;
///
/// Source: SEMANTICS 6.2; docs/policies/thp-cow.md tells the story.

#include <array>
#include <string_view>

namespace memsim {

/// Which page a write fault may take over. Otherwise it copies.
enum class reuse_test : unsigned char {
  never,
  sole_mapping_and_reference,   ///< page_mapcount and page_count are 1: a pin forbids it
  highest_mapcount,             ///< page_trans_huge_mapcount is 1: no part is mapped twice
  sole_reference,               ///< page_count is 1, for the whole of a huge page
  exclusive,                    ///< PG_anon_exclusive is set
  exclusive_or_sole_reference,  ///< either
};

/// What a write to a huge page that may not be taken over does.
enum class huge_copy : unsigned char {
  whole,  ///< copies 2 MiB, or, without a huge page, 512 small ones
  split,  ///< splits the mapping, and goes on with 4 KiB
};

/// Whether a page that is taken over belongs to the taker's anon_vma from then on.
enum class owner_move : unsigned char {
  always,             ///< also the whole of a huge page of which others map other parts
  if_mapped_once,     ///< if total_mapcount is 1
  if_sole_reference,  ///< if page_count is 1
};

/// When a huge page of which parts are unmapped is queued to be split.
enum class deferral_rule : unsigned char {
  part_unmapped,  ///< a part has lost its last mapping, be it as one of all
  partly_mapped,  ///< when an operation is over, some parts are mapped and some are not
};

struct cow_rules {
  std::string_view name;
  /// Of a page mapped by an entry of 2 MiB.
  reuse_test whole{};
  huge_copy whole_copy{};
  /// Of a part of a huge page, mapped by an entry of 4 KiB.
  reuse_test part{};
  /// Of a page of 4 KiB.
  reuse_test single{};
  /// Of a part that is taken over, and of a single page.
  owner_move part_owner{};
  /// A pin is told from another reference, and fork leaves a pinned page to its process.
  bool fork_spares_pins = false;
  /// A pin to read makes a shared page one's own first.
  bool unshares_for_read_pins = false;
  /// mprotect() makes what is one process's alone and dirty writable again at once.
  bool restores_writable = false;
  deferral_rule deferral{};

  friend bool operator==(const cow_rules&, const cow_rules&) = default;
};

/// A reference that is not a mapping looks like another user of a huge page.
inline constexpr cow_rules cow_linux_4_5{
    .name = "linux_4_5",
    .whole = reuse_test::sole_mapping_and_reference,
    .whole_copy = huge_copy::whole,
    .part = reuse_test::never,
    .single = reuse_test::highest_mapcount,
    .part_owner = owner_move::always,
};
/// The first proposal to mend it: page_trans_huge_mapcount() everywhere.
inline constexpr cow_rules cow_proposal_2016{
    .name = "proposal_2016",
    .whole = reuse_test::highest_mapcount,
    .whole_copy = huge_copy::whole,
    .part = reuse_test::highest_mapcount,
    .single = reuse_test::highest_mapcount,
    .part_owner = owner_move::always,
};
/// As merged.
inline constexpr cow_rules cow_linux_4_6{
    .name = "linux_4_6",
    .whole = reuse_test::highest_mapcount,
    .whole_copy = huge_copy::whole,
    .part = reuse_test::highest_mapcount,
    .single = reuse_test::highest_mapcount,
    .part_owner = owner_move::if_mapped_once,
};
/// From 5.8 to before 5.9. Known, not read: as 4.6, but what is shared is split.
inline constexpr cow_rules cow_linux_5_8{
    .name = "linux_5_8",
    .whole = reuse_test::highest_mapcount,
    .whole_copy = huge_copy::split,
    .part = reuse_test::highest_mapcount,
    .single = reuse_test::highest_mapcount,
    .part_owner = owner_move::if_mapped_once,
};
/// From 5.9 to 5.18. Known, not read. Modelling assumption: fork and pins as before; only from 5.19
/// is it written down what they do.
inline constexpr cow_rules cow_linux_5_9{
    .name = "linux_5_9",
    .whole = reuse_test::sole_reference,
    .whole_copy = huge_copy::split,
    .part = reuse_test::sole_reference,
    .single = reuse_test::sole_reference,
    .part_owner = owner_move::if_sole_reference,
};
inline constexpr cow_rules cow_linux_6_1{
    .name = "linux_6_1",
    .whole = reuse_test::exclusive_or_sole_reference,
    .whole_copy = huge_copy::split,
    .part = reuse_test::exclusive_or_sole_reference,
    .single = reuse_test::exclusive_or_sole_reference,
    .part_owner = owner_move::if_sole_reference,
    .fork_spares_pins = true,
    .unshares_for_read_pins = true,
    .restores_writable = true,
};
inline constexpr cow_rules cow_linux_6_12{
    .name = "linux_6_12",
    .whole = reuse_test::exclusive_or_sole_reference,
    .whole_copy = huge_copy::split,
    .part = reuse_test::exclusive,
    .single = reuse_test::exclusive_or_sole_reference,
    .part_owner = owner_move::if_sole_reference,
    .fork_spares_pins = true,
    .unshares_for_read_pins = true,
    .restores_writable = true,
    .deferral = deferral_rule::partly_mapped,
};

/// By age.
inline constexpr std::array all_cow_rules{cow_linux_4_5, cow_proposal_2016, cow_linux_4_6,
                                          cow_linux_5_8, cow_linux_5_9,     cow_linux_6_1,
                                          cow_linux_6_12};

}  // namespace memsim
