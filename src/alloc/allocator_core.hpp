// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The page allocator from inside: its data, and one function for each rule.
///
/// Rule numbers (A1 to A14 for 6.1, B1 to B10 for what is different in 6.12) are those of
/// docs/linux-rules/page-alloc.md. Where two kernels differ, a rule asks the profile. Frame numbers
/// are 32-bit here; arguments have been checked by page_allocator.

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/page_allocator.hpp>
#include <memsim/alloc/page_owner.hpp>

#include "alloc/cma.hpp"
#include "alloc/lru.hpp"
#include "alloc/request.hpp"

namespace memsim::detail {

using frame_index = frame_table::node;

/// No block: the answer of everything that looks for one.
inline constexpr frame_index no_frame = ~frame_index{0};

using free_list_position = free_list::position;

/// Where on a list a block goes.
enum class list_end : bool { head, tail };

/// Whether the last pageblock of a reserve may be taken from it too.
enum class keep_last : bool { no, yes };

/// A block and the list that it came from.
struct taken_block {
  frame_index frame = no_frame;
  migratetype type{};

  [[nodiscard]] explicit operator bool() const { return frame != no_frame; }
};

/// The frames of a pageblock that belong to a zone.
struct block_range {
  frame_index first = 0;
  frame_index last = 0;       ///< one past the end
  bool ends_in_zone = false;  ///< the pageblock's end is not beyond the zone's
  bool whole = false;         ///< all of the pageblock is within the zone
};

/// What a pageblock holds besides pages that stay where they are.
struct block_census {
  frame_count free = 0;
  frame_count movable = 0;  ///< pages in use that count as movable
};

/// Blocks of one order that follow one another.
struct block_run {
  frame_index first = no_frame;
  std::uint32_t count = 0;
};

/// What merging free blocks came to, not counted in the ledger yet.
struct merge_result {
  std::uint32_t merged = 0;  ///< buddies taken off their lists
  std::uint32_t listed = 0;  ///< blocks put on a list
};

/// How a refill last found a page, remembered from page to page (B5).
enum class search_mode : unsigned char { normal, cma, steal };

/// Who acts within one zone, and on which page set there.
struct actor {
  zone& z;
  per_cpu_pages& pcp;
  cpu_id cpu;                 ///< whose page set that is
  pending_counters& pending;  ///< those of the CPU that acts
  work& done;
};

/// What the flags that say where a page may lie come to: which zone is tried first, at which
/// remembered margin, and for pages of which type.
struct route {
  std::uint8_t zone = 0;
  std::uint8_t margin = 0;
  std::uint8_t type = 0;
  std::uint8_t unused = 0;  ///< four bytes are easier to index than three
};

/// Whom the OOM killer may choose, and whether it has.
struct oom_entry {
  oom_candidate* candidate = nullptr;
  bool killed = false;
};

class allocator_core {
 public:
  allocator_core(memory_map memory, const kernel_profile& profile, const tuning& settings,
                 unsigned cpus, std::vector<zone> zones);

  memory_map memory_;
  kernel_profile profile_;
  tuning settings_;
  unsigned cpus_;
  std::vector<zone> zones_;  // ascending
  frame_table frames_;
  std::vector<cma_area> cma_areas_;
  std::vector<cma_bitmap> cma_bitmaps_;  // one an area
  void set_cma_areas(const std::vector<cma_area>& areas) {
    cma_areas_ = areas;
    cma_bitmaps_.clear();
    for (const auto& area : areas) cma_bitmaps_.emplace_back(area);
  }
  allocator_counts counts_;
  lru_state lru_;
  std::vector<page_owner*> owners_;              // by ID less one; nullptr: not attached
  std::vector<owner_id> unused_owners_{};        // removed, to be given out again
  std::map<frame_index, std::uint32_t> pins_{};  // how often a page is pinned
  reclaim_state reclaim_;
  reclaim_counts reclaim_counts_;
  std::vector<shrinker*> shrinkers_;
  std::vector<oom_entry> oom_candidates_;
  daemon_waker* waker_ = nullptr;
  std::vector<allocator_observer*> observers_;
  allocation_gate* gate_ = nullptr;
  static constexpr std::uint8_t no_zone = 0xff;
  /// The index of the zone that a request tries first, by the highest that it may use.
  std::array<std::uint8_t, zone_types> preferred_zone_{};

  /// Whether anybody listens or may refuse.
  [[nodiscard]] bool is_attended() const { return gate_ != nullptr || !observers_.empty(); }
  void update_attended() { hot_cpus_ = is_attended() ? 0 : cpus_; }

  // The common case, in hot_path.hpp.
  /// By the flags dma, highmem, dma32, movable and reclaimable, which are the lowest bits.
  std::array<route, 32> routes_{};
  /// A margin that is never remembered.
  static constexpr std::uint8_t no_margin = 31;
  unsigned hot_cpus_ = 0;  ///< CPUs that may take the short way: all, or none if attended
  frame_index allocate_hot(context& ctx, unsigned order, gfp flags);
  frame_index take_hot(context& ctx, zone& z, const route& way, unsigned order, gfp flags);
  frame_index allocate_page_below(context& ctx, gfp flags);
  bool end_allocation_hot(frame_index frame, unsigned order);
  bool free_hot(context& ctx, std::uint64_t block, unsigned order);
  // What the short way is told of a zone and a page set, to be derived again after a change.
  void derive_trim(const zone& z, per_cpu_pages& pcp) const;
  void set_below_high(zone& z, bool below) const;

  // Requests: A1, A2, A4, A14. allocate.cpp
  frame_index allocate(context& ctx, const request& wanted);
  frame_index walk_zones(context& ctx, const request& wanted, attempt how, std::size_t preferred);
  [[nodiscard]] bool admits(zone& z, const request& wanted, attempt how) const;
  frame_index take_page(actor& a, const request& wanted, attempt how);
  frame_index take_directly(actor& a, const request& wanted, attempt how);
  // Frees: A10, B6, drains. pcp.cpp
  void free(context& ctx, frame_index frame, unsigned order);
  void drain_zone(context& ctx, zone& z, cpu_id cpu);
  void drain_zone_everywhere(context& ctx, zone& z);

  // Pageblocks.
  [[nodiscard]] migratetype block_type(frame_index frame) const {
    return static_cast<migratetype>(frames_.tag(frame / block_frames) ^ fresh_tag);
  }
  void set_block_type(frame_index frame, migratetype type) {
    frames_.set_tag(frame / block_frames, static_cast<unsigned>(type) ^ fresh_tag);
  }
  // A frame in use that counts as movable, or no longer. The short way knows no flags: a page that
  // has one is marked like a larger block.
  void flag_movable(frame_index frame, bool movable);
  [[nodiscard]] zone& zone_of(frame_index frame);
  [[nodiscard]] static actor act(context& ctx, zone& z) { return act_on(ctx, z, ctx.cpu); }
  [[nodiscard]] static actor act_on(context& ctx, zone& z, cpu_id cpu) {
    return {z, z.cpus[cpu.value()], cpu, z.cpus[ctx.cpu.value()].pending, ctx.done};
  }

  // What pages in use are used for: page_use.cpp.
  void assign(cpu_id cpu, frame_index frame, const page_use& use);
  void forget_use(frame_index frame);
  [[nodiscard]] page_owner* owner_of(page_info page) const;
  [[nodiscard]] bool is_given_up(frame_index frame) const;
  [[nodiscard]] std::size_t pages_in(const std::vector<frame_index>& blocks) const;
  [[nodiscard]] bool is_claimed_page(pfn frame) const;
  void pin(frame_index frame);
  void unpin(frame_index frame);
  std::expected<frame_index, errc> move_elsewhere(context& ctx, frame_index frame);

  // The slow path and what it ends with: slow_path.cpp, oom.cpp.
  frame_index allocate_slowly(context& ctx, const request& wanted, std::size_t preferred);
  bool kill_largest(context& ctx);

  // Reclaim: reclaim.cpp, lru_ageing.cpp, page_io.cpp, shrinking.cpp, direct_reclaim.cpp,
  // kswapd.cpp.
  frame_count reclaim_directly(context& ctx, const request& wanted);
  frame_count reclaim_proactively(context& ctx, frame_count pages);
  [[nodiscard]] frame_count reclaimable_pages(const zone& z) const;
  frame_count shrink_caches(context& ctx, unsigned priority);
  [[nodiscard]] frame_count pages_freed() const;
  void activate(frame_index frame);
  void mark_accessed(frame_index frame);
  void begin_writeback(frame_index frame);
  void end_writeback(frame_index frame);
  bool take_swap_slots(frame_count pages);
  balance_result balance(context& ctx, daemon_wish wish);
  [[nodiscard]] bool is_balanced(daemon_wish wish);
  void wake_kswapd(daemon_wish wish, bool waits);
  void wake_kcompactd(daemon_wish wish);
  void rest_kswapd(daemon_wish wish);
  void set_reclaim_active(zone& z, bool active) const;

  // The LRU lists: lru.cpp.
  void link_lru(frame_index frame, page_flags flags, list_end end);
  void unlink_lru(frame_index frame, page_flags flags);
  [[nodiscard]] std::uint64_t& lru_pages_of(frame_index frame, page_flags flags);
  [[nodiscard]] frame_list& lru_list_of(page_flags flags);
  void set_flags(frame_index frame, page_flags flags);
  void add_to_lru(cpu_id cpu, frame_index frame);
  void put_on_lru(frame_index frame, list_end end = list_end::head);
  void take_off_lru(frame_index frame);
  void flush_lru_batch(cpu_id cpu);
  void flush_lru_batches();

  // Moving pages: migration.cpp.
  void take_for_move(frame_index frame);
  void put_back_from_move(cpu_id cpu, frame_index frame);
  migration_result move_page(context& ctx, frame_index from, frame_index to);

  // Contiguous ranges: contig.cpp.
  std::expected<void, errc> take_range(context& ctx, frame_index first, frame_index last,
                                       migratetype type);
  void drop_clean_pages(context& ctx, std::vector<frame_index>& batch);
  void hand_out_pages(frame_index head, unsigned order);

  // Compaction: compaction.cpp, compaction_requests.cpp, skip_hints.cpp.
  const zone* capture_zone_ = nullptr;  // a block that merging brings to the order is kept
  unsigned capture_order_ = 0;
  migratetype capture_type_{};
  frame_index captured_ = no_frame;
  [[nodiscard]] bool captures(unsigned order, migratetype type) const;
  direct_compaction compact_directly(context& ctx, const request& wanted, bool may_use_fs,
                                     compact_priority priority);
  void compact_in_background(context& ctx, unsigned order, zone_type highest);
  void compact_everything(context& ctx);
  bool compact_proactively(context& ctx);
  [[nodiscard]] static unsigned external_fragmentation(const zone& z);
  [[nodiscard]] unsigned fragmentation_score() const;
  void note_compaction(compact_result result) {
    ++counts_.compaction_results[static_cast<unsigned>(result)];
  }
  compact_result compaction_suitability(const zone& z, int order, zone_type highest,
                                        bool may_use_cma);
  void reset_scanners(zone& z);
  void reset_skip_hints(zone& z);
  bool clear_skip_hint(const zone& z, std::uint64_t frame, bool source, bool target);
  void report_scan(scan_event::scanner which, std::uint64_t first, std::uint64_t last,
                   std::uint64_t taken) const;
  // Whether a frame has a descriptor; one of this zone; the ends of its pageblock have.
  [[nodiscard]] bool has_descriptor(std::uint64_t frame) const;
  [[nodiscard]] bool is_described_in(const zone& z, std::uint64_t frame) const;
  [[nodiscard]] bool is_pageblock_of(const zone& z, std::uint64_t frame) const;

  // Requests and frees as a user makes them, counted and told of: page_allocator.cpp.
  frame_index allocate_block(context& ctx, order size, gfp flags);
  [[nodiscard]] unsigned order_of(frame_index block) const {
    return frames_.mark_at(pfn{block}).order();
  }
  frame_index allocate_page(context& ctx, gfp flags) {
    return allocate_block(ctx, order{0}, flags);
  }
  void end_request(context& ctx, order size, gfp flags, std::optional<pfn> found);
  // A block that is on no list any more.
  void hand_out(frame_index frame, unsigned order) {
    frames_.touch(frame / block_frames);
    frames_.set_allocated(frame, order);
  }
  void free_block(context& ctx, frame_index frame, unsigned order);
  void free_page(context& ctx, frame_index frame) { free_block(ctx, frame, 0); }

  // Free lists: free_lists.hpp.
  void insert(actor& a, frame_index frame, unsigned order, migratetype type, list_end end);
  void remove(actor& a, frame_index frame, unsigned order);
  [[nodiscard]] frame_index first_block(zone& z, unsigned order, migratetype type);
  frame_index take_first(actor& a, unsigned order, migratetype type);
  void make_room(zone& z, unsigned order, migratetype type);
  void rotate(zone& z, unsigned order, migratetype type, free_list_position head);
  template <class F>
  void for_each_free_block(frame_index block, F f);

  // The buddy system: A7, A11. buddy.cpp
  frame_index take_smallest(actor& a, unsigned order, migratetype type);
  block_run take_run(actor& a, unsigned order, migratetype type, std::uint32_t most);
  void split(actor& a, frame_index frame, unsigned from, unsigned to, migratetype type);
  void give_back(actor& a, frame_index frame, unsigned order, migratetype type);
  merge_result merge(actor& a, frame_index frame, unsigned order, migratetype type);
  static void count_merges(actor& a, merge_result result);
  void merge_large(actor& a, frame_index frame, unsigned order, migratetype type,
                   list_end end = list_end::head);
  bool merge_capturing(actor& a, frame_index frame, unsigned order, migratetype type);

  // Lagging counters: A13. counters.hpp
  void change_free(actor& a, std::int64_t pages);
  void change_cma(actor& a, std::int64_t pages);
  void change_free(actor& a, std::int64_t pages, std::uint64_t times);
  void count_block(actor& a, std::int64_t pages, migratetype type);
  void count_special(actor& a, std::int64_t pages, migratetype type);

  // Choosing a block within a zone: A6, B5. fallback.cpp
  frame_index take_from(actor& a, unsigned order, migratetype type);
  taken_block choose(actor& a, const request& wanted, attempt how, search_mode& mode);
  taken_block choose_or_move(actor& a, const request& wanted, attempt how);
  taken_block choose_or_claim(actor& a, const request& wanted, attempt how, search_mode& mode);
  bool move_fallback(actor& a, const request& wanted, attempt how);
  void convert(actor& a, const request& wanted, frame_index frame, unsigned found,
               bool whole_block);
  frame_index claim(actor& a, const request& wanted, attempt how);
  frame_index claim_block(actor& a, const request& wanted, frame_index frame, unsigned found,
                          migratetype found_type);
  frame_index steal(actor& a, const request& wanted);
  void report_fallback(const actor& a, const request& wanted, frame_index frame, unsigned found,
                       migratetype found_type);

  // Pageblocks as a whole: A9. pageblocks.cpp
  [[nodiscard]] static block_range pageblock_range(const zone& z, frame_index frame);
  [[nodiscard]] block_census census(actor& a, const block_range& range) const;
  void move_free_blocks(actor& a, const block_range& range, migratetype type);
  void move_alone(actor& a, frame_index frame, unsigned order, migratetype type);
  [[nodiscard]] bool has_enough_alike(const block_census& found, migratetype wanted,
                                      migratetype old_type) const;
  std::vector<allocated_block> take_free_blocks(context& ctx, frame_index frame);
  void boost_watermarks(actor& a, const request& wanted);

  // Per-CPU page sets: A5, B4. pcp.cpp
  frame_index allocate_from_pcp(actor& a, const request& wanted, attempt how, unsigned list);
  void refill(actor& a, const request& wanted, attempt how, page_ring& ring);
  void refill_by_run(actor& a, const request& wanted, page_ring& ring, std::uint32_t& blocks);
  [[nodiscard]] std::uint32_t refill_size(actor& a, unsigned order);
  void free_to_pcp(actor& a, packed_page page, unsigned order, unsigned list);
  [[nodiscard]] bool is_free_high(const per_cpu_pages& pcp, unsigned order,
                                  std::uint32_t count) const;
  void note_free(per_cpu_pages& pcp, unsigned order) const;
  void trim_to_fixed_high(actor& a, unsigned list, bool free_high);
  void trim_to_adaptive_high(actor& a, unsigned list, bool free_high);
  void bulk_free(actor& a, std::uint32_t pages, unsigned list);
  std::uint32_t free_from_tail(actor& a, unsigned list, std::uint32_t pages);
  void free_blocks(actor& a, page_ring& ring, std::uint32_t blocks, unsigned order);
  void free_blocks_watchfully(actor& a, page_ring& ring, std::uint32_t blocks, unsigned order);
  void prefetch_for_free(const page_ring& ring, unsigned order);

  // High-order atomic reserve: A12, B9. highatomic.cpp
  void reserve_highatomic(actor& a, frame_index frame, unsigned order);
  bool unreserve_highatomic(context& ctx, const request& wanted, keep_last keep);

 private:
  static constexpr frame_index block_frames = static_cast<frame_index>(pageblock_frames);
  // The tag of a pageblock that nobody has touched is 0 and means movable, as at boot.
  static constexpr unsigned fresh_tag = static_cast<unsigned>(migratetype::movable);
};

}  // namespace memsim::detail
