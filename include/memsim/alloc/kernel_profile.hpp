// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which rules a kernel follows, as a set of switches rather than a fork of the code.
///
/// Where two kernels differ the allocator asks the profile. The two named profiles are the kernels
/// whose recordings are verified; a profile of one's own answers "what if only this had changed?".
/// Rule numbers are those of docs/linux-rules/page-alloc.md, or with "contig" and "compaction"
/// before them of the pages beside it.

#include <expected>
#include <string>
#include <string_view>

#include <memsim/core/error.hpp>

namespace memsim {

/// How a request takes blocks of another migratetype (A8 and A9, or B5).
enum class fallback_rule : unsigned char {
  move_then_retry,  ///< free blocks move to the requester's lists, and the search starts again
  claim_or_steal,   ///< a pageblock is claimed whole, or a single page is stolen from it
};

/// Which free pages a request without rights to reserves may not count on (A3, B2).
enum class highatomic_deduction : unsigned char {
  reserved_pages,  ///< all pages of the reserved blocks, free or not
  free_pages,      ///< the pages that are free on highatomic lists
};

/// Who is tested a second time without the watermark boost (A3, B2).
enum class boost_exemption : unsigned char {
  atomic,       ///< requests with __GFP_ATOMIC
  min_reserve,  ///< requests with __GFP_HIGH
};

/// How large a per-CPU page set may grow (A5 and A10, or B4 and B6).
enum class pcp_rule : unsigned char {
  fixed_high,     ///< `high` is set once; bulk frees grow by free_factor
  adaptive_high,  ///< `high` moves between high_min and high_max with use
};

/// How changes of the free counters are grouped (A13, B3).
enum class counter_rule : unsigned char {
  per_operation,  ///< a refill is one change; merging and splitting count
  per_block,      ///< one change per block taken, given back or moved
};

/// How much a zone sets aside for high-order atomic requests (A12, B9).
enum class highatomic_limit : unsigned char {
  hundredth_plus_block,  ///< managed / 100 + 512 pages
  hundredth_in_blocks,   ///< managed / 100 rounded up to pageblocks; none below 512 pages
};

/// How pages of a batch are moved (contig A6, B3).
enum class migration_rule : unsigned char {
  one_by_one,  ///< each gets its target when its turn comes; ten passes
  batched,     ///< all targets first; three passes, then each page by itself
};

/// How a range of pageblocks is isolated (contig A3, A4, A8, or B2).
enum class isolation_rule : unsigned char {
  split_boundary,  ///< free blocks that straddle the range's ends are split there
  split_blocks,    ///< a free block larger than the pageblock is split wherever it is met
};

/// What compaction does about a pageblock that it left half done (compaction A3, A6, or B2 to B5).
enum class compaction_rule : unsigned char {
  rescan,            ///< comes back to it and then scans it whole
  finish_pageblock,  ///< goes on to its end at once
};

/// How compaction keeps the free pages that it will move pages to (compaction A7.5, B9).
enum class target_rule : unsigned char {
  pages,   ///< split when taken: the highest page of the block taken last is used first
  blocks,  ///< split when needed: the lowest page of the smallest block is used first
};

/// A switch that a rule either has or has not.
enum class rule : bool { off = false, on = true };

struct kernel_profile {
  std::string_view name;

  fallback_rule fallback = fallback_rule::claim_or_steal;
  highatomic_deduction highatomic = highatomic_deduction::free_pages;
  highatomic_limit highatomic_reserve = highatomic_limit::hundredth_in_blocks;
  boost_exemption unboosted_retry = boost_exemption::min_reserve;
  pcp_rule pcp = pcp_rule::adaptive_high;
  counter_rule counters = counter_rule::per_block;
  /// Zones are first tried at the high watermark until they fall below it (B1).
  rule high_mark_first = rule::on;
  /// A page on a per-CPU list keeps the migratetype its pageblock had when it was freed (A10, B7).
  rule pcp_notes_migratetype = rule::off;
  /// Merging across pageblocks of different types makes them one type (B8).
  rule merging_retypes_pageblock = rule::on;
  /// Blocks of order 10 are given back as two pageblocks, each with its own type (B6).
  rule frees_by_pageblock = rule::on;
  /// ZONE_MOVABLE has its share of min_free_kbytes as every zone; otherwise little of its own.
  rule movable_zone_shares_minimum = rule::off;
  /// Only requests that may wake the reclaimer clear a zone's boosted flag (B10).
  rule boosted_flag_needs_kswapd = rule::on;

  migration_rule migration = migration_rule::batched;
  isolation_rule isolation = isolation_rule::split_blocks;
  compaction_rule compaction = compaction_rule::finish_pageblock;
  target_rule compaction_targets = target_rule::blocks;
  /// Requests for contiguous ranges leave skip hints behind for compaction (contig A7, B5).
  rule ranges_set_skip_hints = rule::off;
  /// A movable request captures movable blocks below pageblock order too (compaction A10, B11).
  rule captures_movable = rule::on;
  /// Compaction moves pages of several frames, if they are smaller than the block that it is to
  /// make.
  rule moves_large_pages = rule::on;
  /// Claims on one CMA area do not wait for those on another (from 6.15 on).
  rule cma_mutex_per_area = rule::off;
  /// Pages that wait in a CPU's batch before they join the LRU lists together (contig B4).
  unsigned lru_batch = 31;

  friend bool operator==(const kernel_profile&, const kernel_profile&) = default;
};

/// Linux 6.12.117.
inline constexpr kernel_profile linux_6_12{.name = "linux_6_12"};

/// Linux 6.1.192.
inline constexpr kernel_profile linux_6_1{
    .name = "linux_6_1",
    .fallback = fallback_rule::move_then_retry,
    .highatomic = highatomic_deduction::reserved_pages,
    .highatomic_reserve = highatomic_limit::hundredth_plus_block,
    .unboosted_retry = boost_exemption::atomic,
    .pcp = pcp_rule::fixed_high,
    .counters = counter_rule::per_operation,
    .high_mark_first = rule::off,
    .pcp_notes_migratetype = rule::on,
    .merging_retypes_pageblock = rule::off,
    .frees_by_pageblock = rule::off,
    .movable_zone_shares_minimum = rule::on,
    .boosted_flag_needs_kswapd = rule::off,
    .migration = migration_rule::one_by_one,
    .isolation = isolation_rule::split_boundary,
    .compaction = compaction_rule::rescan,
    .compaction_targets = target_rule::pages,
    .ranges_set_skip_hints = rule::on,
    .captures_movable = rule::off,
    .moves_large_pages = rule::off,
    .lru_batch = 15,
};

/// `linux_6_1` or `linux_6_12`.
/// \return errc::unsupported with the names that there are
[[nodiscard]] std::expected<kernel_profile, error> find_profile(std::string_view name);

/// The profile whose kernel is nearest below a release such as `6.1.192` or `linux-6.12.117-amd64`:
/// up to 6.9 `linux_6_1`, from 6.10 (free lists that agree with pageblocks) `linux_6_12`.
/// \return errc::malformed if the text names no release
[[nodiscard]] std::expected<kernel_profile, error> profile_for_release(std::string_view release);

[[nodiscard]] std::string to_text(const kernel_profile&);

}  // namespace memsim
