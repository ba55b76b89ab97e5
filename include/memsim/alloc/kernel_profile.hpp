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

/// What compaction does when some pages of a batch could not be moved (compaction A3.4, B2).
enum class failed_batch_rule : unsigned char {
  leave_chunk,       ///< async, for a request: leaves the aligned block of the wanted order
  finish_pageblock,  ///< goes on to the pageblock's end at once, if it honours hints
};

/// Where compaction says that it moved a batch from; by that it tells whether it is in the same
/// pageblock still, which it then scans whole, and when to drain (compaction A3.4, B2).
enum class batch_origin : unsigned char {
  position,   ///< where it stood before it chose the pageblock
  pageblock,  ///< the pageblock that the batch is of
};

/// When compaction looks whether it has captured a block (compaction A3.4, B2).
enum class capture_check : unsigned char {
  every_round,  ///< after each pageblock scanned, and so after a drain
  after_batch,  ///< after a batch was moved, before the drain
};

/// Which page of an LRU list settles its pageblock's skip hint, when the migrate scanner comes in
/// by the pageblock's first page (compaction A6.3, B4). That a hint set already ends the scan is
/// part of it: with one scanner at a time there is none, since it was looked at just before.
enum class lru_hint : unsigned char {
  page_at_start,  ///< the first taken, if it is the pageblock's first; any other leaves it clear
  first_found,    ///< the first taken, wherever it is
};

/// When the surroundings of a free block that a search came upon get the skip hint (compaction
/// A7.1, B5).
enum class surroundings_hint : unsigned char {
  not_enough,   ///< there are too few targets still
  reached_end,  ///< the scan went to the pageblock's end
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
  /// Requests for contiguous ranges leave skip hints behind for compaction (contig A7, B5).
  rule ranges_set_skip_hints = rule::off;

  /// Tests of suitability are reported too if their answer is plain: yes for whole zones, or enough
  /// free memory (compaction A2, B1). It changes what observers hear and nothing else.
  rule reports_plain_suitability = rule::off;
  failed_batch_rule failed_batch = failed_batch_rule::finish_pageblock;
  batch_origin moved_from = batch_origin::pageblock;
  capture_check captures_seen = capture_check::after_batch;
  /// Who scans a pageblock whole searches the free lists for a better one first (compaction A5.1,
  /// B3).
  rule whole_scan_searches = rule::off;
  /// A pageblock that a search of the free lists chooses gets its skip hint at once, so that this
  /// scan passes it over too (compaction A5.1, B3).
  rule search_sets_skip_hint = rule::off;
  /// The skip hint of a pageblock in whose middle the zone starts counts too (compaction A6.1, B3,
  /// B4).
  rule zone_start_has_skip_hint = rule::on;
  lru_hint lru_settles_hint = lru_hint::first_found;
  /// A search for targets ends as soon as there are enough, and then begins at the same order the
  /// next time (compaction A7.1, B5).
  rule target_search_ends_when_enough = rule::on;
  /// The pageblock half way to the migrate scanner is looked around only if it suits as a target
  /// (compaction A7.1, B5).
  rule midway_pageblock_must_suit = rule::on;
  surroundings_hint surroundings = surroundings_hint::reached_end;
  /// Free blocks of the wanted order are left alone, not only those of a pageblock or more
  /// (compaction A7.2, B6).
  rule spares_wanted_order = rule::on;
  /// The cached position of free pages goes below a pageblock that was scanned to its end, rather
  /// than to its start (compaction A7.2, B6).
  rule cached_free_passes_pageblock = rule::on;
  /// A batch wants fewer targets by each that it has got (compaction A7.3, B7).
  rule batch_wants_the_rest = rule::on;
  /// Where targets are taken in pieces of order 8 or more, the pageblock's free blocks join the
  /// movable lists, as the pageblock becomes movable (compaction A7.4, B8).
  rule retyping_moves_blocks = rule::on;
  target_rule compaction_targets = target_rule::blocks;
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
    .ranges_set_skip_hints = rule::on,
    .reports_plain_suitability = rule::on,
    .failed_batch = failed_batch_rule::leave_chunk,
    .moved_from = batch_origin::position,
    .captures_seen = capture_check::every_round,
    .whole_scan_searches = rule::on,
    .search_sets_skip_hint = rule::on,
    .zone_start_has_skip_hint = rule::off,
    .lru_settles_hint = lru_hint::page_at_start,
    .target_search_ends_when_enough = rule::off,
    .midway_pageblock_must_suit = rule::off,
    .surroundings = surroundings_hint::not_enough,
    .spares_wanted_order = rule::off,
    .cached_free_passes_pageblock = rule::off,
    .batch_wants_the_rest = rule::off,
    .retyping_moves_blocks = rule::off,
    .compaction_targets = target_rule::pages,
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
