// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The page allocator: decides which frame a request gets, as Linux does.
///
///     page_allocator memory{{.memory = memory_map::x86_64(16_GiB)}};
///     context ctx;
///     const auto block = memory.alloc(ctx, order{0}, gfp_highuser_movable);
///     if (!block) fmt::print("{}\n", block.error());
///     else memory.free(ctx, *block, order{0});

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/compaction.hpp>
#include <memsim/alloc/gfp.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/page_owner.hpp>
#include <memsim/alloc/reclaim.hpp>
#include <memsim/alloc/tuning.hpp>
#include <memsim/alloc/zone.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/frames/frame_table.hpp>
#include <memsim/frames/memory_map.hpp>

namespace memsim {

class allocation_gate;
class allocator_observer;

namespace detail {
class allocator_core;
}

/// A machine's memory as it boots: everything free and movable.
struct page_allocator_config {
  memory_map memory;
  kernel_profile profile = linux_6_12;
  unsigned cpus = 1;                  ///< 1 to 4096
  frame_count movable_zone = 0;       ///< frames at the top that become ZONE_MOVABLE
  std::vector<cma_area> cma_areas{};  ///< pageblock-aligned, disjoint, each within one zone
  tuning settings{};
};

/// Events since the allocator was made.
struct allocator_counts {
  std::array<std::uint64_t, page_orders> allocations{};  ///< blocks handed out, by order
  std::array<std::uint64_t, page_orders> frees{};        ///< blocks given back, by order
  std::uint64_t failed_allocations = 0;
  std::uint64_t fallbacks = 0;
  std::uint64_t pageblocks_converted = 0;
  std::uint64_t highatomic_blocks_reserved = 0;
  std::uint64_t watermark_boosts = 0;
  std::uint64_t kswapd_wakeups = 0;
  std::uint64_t pages_migrated = 0;
  std::uint64_t migrations_refused = 0;
  std::uint64_t range_requests = 0;
  std::uint64_t failed_range_requests = 0;
  std::uint64_t pages_migrated_in_vain = 0;
  std::uint64_t clean_pages_dropped = 0;
  std::uint64_t compactions = 0;
  std::array<std::uint64_t, compact_results> compaction_results{};  ///< of zones that were asked
  std::uint64_t compaction_stalls = 0;
  std::uint64_t compaction_captures = 0;
  std::uint64_t migrate_scanned = 0;
  std::uint64_t free_scanned = 0;
  std::uint64_t pages_isolated = 0;

  friend bool operator==(const allocator_counts&, const allocator_counts&) = default;
};

class page_allocator {
 public:
  /// Boots.
  /// \throws usage_error if the configuration is out of range; the message names the field
  explicit page_allocator(const page_allocator_config& config);

  /// Takes up from a recorded state.
  /// \return errc::inconsistent if the state contradicts itself: a block in two places, a block
  ///         outside its zone, lists that do not add up to the counters
  [[nodiscard]] static std::expected<page_allocator, error> restore(const allocator_state& state,
                                                                    const kernel_profile& profile,
                                                                    const tuning& settings = {});

  /// A copy is a fork of the memory: the same state, observed and gated by nobody, with nobody to
  /// shrink, to kill or to run its daemons.
  page_allocator(const page_allocator&);
  page_allocator& operator=(const page_allocator&);
  page_allocator(page_allocator&&) noexcept;
  page_allocator& operator=(page_allocator&&) noexcept;
  ~page_allocator();

  /// Takes a block of 2^order frames.
  ///
  /// A request that may wait (__GFP_DIRECT_RECLAIM) reclaims and compacts when nothing is free
  /// above the min mark, and as the last resort has the OOM killer free something: page owners,
  /// shrinkers and OOM candidates are called then. A failed request is not free of side effects, as
  /// in the kernel: refills, fallback conversions and boosts in the zones that were tried remain.
  ///
  /// \return errc::no_memory; errc::injected if a gate refused
  /// \throws usage_error if `size` is above max_page_order, `ctx.cpu` is not a CPU of the machine,
  ///         or `flags` asks for both mobilities
  [[nodiscard]] std::expected<pfn, error> alloc(context& ctx, order size, gfp flags);

  /// Gives back a block that alloc() returned.
  /// \throws usage_error if no block of exactly this order is allocated at `block`: it is free
  ///         already, has another order, is not memory; nothing has changed then
  void free(context& ctx, pfn block, order size);

  /// Empties one CPU's page sets of every zone into the free lists.
  void drain(context& ctx, cpu_id cpu);
  /// Empties the page sets of every CPU.
  void drain_all(context& ctx);

  /// Makes frames that are in use since before the allocator a block that can be freed.
  /// \throws usage_error if one of them is not memory or is part of another block
  void adopt(pfn block, order size);

  /// Makes an allocated block of order `from` blocks of order `to`, each to be freed by itself, as
  /// the kernel's split_page() does. If the block was flagged movable, all of them are; if it was
  /// assigned, that ends: whoever owns the parts assigns them.
  /// \throws usage_error if no block of exactly order `from` is allocated at `block`, it is pinned,
  /// or
  ///         `to` is above it; nothing has changed then
  void split(pfn block, order from, order to);

  /// Takes every free block below pageblock order of the pageblock that holds `frame`, whatever
  /// list it is on: from now on they are allocated, and freed one by one.
  /// \return the blocks, ascending
  /// \throws usage_error if `frame` is not memory that the allocator manages
  [[nodiscard]] std::vector<allocated_block> take_free_blocks(context& ctx, pfn frame);

  /// Whether a frame in use counts as movable (on an LRU list, or movable by its driver) when its
  /// pageblock is judged; freeing the block that it heads clears this.
  /// \throws usage_error if the frame is free, on a per-CPU list, inside an allocated block but not
  ///         its first, or not memory
  void set_movable(pfn frame, rule movable);

  /// Registers an owner, which must outlive the allocator or be replaced.
  /// \throws usage_error if there are 65535 already
  owner_id add_owner(page_owner& owner);
  /// Attaches an owner to the pages of a copied or restored allocator.
  /// \throws usage_error if no such owner was registered
  void attach_owner(owner_id id, page_owner& owner);
  /// Ends an ownership: its pages are nobody's from now on, and the owner need not live on. Takes
  /// time in proportion to the memory that was ever assigned.
  /// \throws usage_error if no such owner was registered
  void remove_owner(owner_id id);

  /// Says what an allocated block is used for. It can then be moved: pages of kind driver by their
  /// driver, all others as pages on the LRU lists, which they join with the next of their CPU's
  /// batches. Freeing the block ends this.
  /// \throws usage_error if no allocated block begins at `block`, it is pinned, or the owner is not
  ///         registered
  void assign(context& ctx, pfn block, const page_use& use);
  /// What is known of a page in use.
  [[nodiscard]] page_info page(pfn frame) const;
  /// Pages that wait in the CPUs' batches join the LRU lists.
  void flush_lru_batches();

  /// Somebody used a page: it becomes active when that happens twice before it is reclaimed.
  /// \throws usage_error if the page is not on the LRU lists or on its way there; so do the next
  void mark_accessed(pfn page);
  /// Somebody changed a page: its contents cannot be had again before they are written.
  void mark_dirty(pfn page);
  /// Its owner writes a page by its own choice.
  /// \throws usage_error also if the page is under writeback already
  void start_writeback(pfn page);
  /// The write that start_writeback() or the owner's `started` began is over. The page is clean,
  /// and if reclaim waits for it, goes to where it is reclaimed next.
  /// \throws usage_error if the page is not under writeback
  void end_writeback(pfn page);

  /// The size of swap, in pages.
  /// \throws usage_error if more slots are in use
  void set_swap(frame_count slots);
  [[nodiscard]] frame_count swap_size() const;
  [[nodiscard]] frame_count free_swap() const;
  /// Slots of pages that were dropped, whose contents are not wanted any more or in memory again.
  /// \throws usage_error if fewer are in use
  void release_swap(frame_count slots);

  /// Adds a shrinker, which must outlive the allocator or be removed.
  void add_shrinker(shrinker&);
  void remove_shrinker(shrinker&);
  /// Adds a process that the OOM killer may choose; it must outlive the allocator or be removed.
  void add_oom_candidate(oom_candidate&);
  void remove_oom_candidate(oom_candidate&);
  /// Has the OOM killer choose for somebody whose page fault found no memory, as a fault handler's
  /// VM_FAULT_OOM did up to Linux 5.15.
  /// \return whether there was anybody to kill
  bool kill_for_fault(context& ctx);

  /// Reclaims pages that nobody has asked for yet (proactive reclaim), with the means of a request
  /// in need: from the LRU lists of all zones and by shrinkers, less and less choosy.
  /// \return pages reclaimed: a few more than were asked for at times, fewer if there are no more
  frame_count reclaim(context& ctx, frame_count pages);
  /// A run of the reclaim daemon kswapd: reclaims until a zone up to the highest meets its high
  /// mark, less and less choosy, or nothing is left to try.
  balance_result balance(context& ctx, daemon_wish wish);
  /// What kswapd has been woken for, if it has been.
  [[nodiscard]] std::optional<daemon_wish> take_kswapd_wish();
  /// What kcompactd has been woken for: compact_in_background().
  [[nodiscard]] std::optional<daemon_wish> take_kcompactd_wish();
  /// Whether kswapd has got nothing so often that it rests until somebody else gets something.
  [[nodiscard]] bool is_kswapd_hopeless() const;
  /// What kswapd does when it goes to sleep: compaction may look again where it found nothing, and
  /// its daemon is woken.
  void rest_kswapd(daemon_wish wish);
  /// Sets or, with nullptr, removes who runs the daemons; it must outlive the allocator.
  void set_daemon_waker(daemon_waker*);

  /// Takes a reference to an assigned page that migration does not know of, as direct I/O does: it
  /// cannot move, nor be freed, until each pin is undone.
  /// \throws usage_error if the page is not assigned
  void pin(pfn page);
  /// A pin for as long as somebody likes (FOLL_LONGTERM): a page that lies in a CMA area or in
  /// ZONE_MOVABLE is moved elsewhere first.
  /// \return where the page is now; errc::no_memory or errc::busy if it could not be moved, and
  /// then
  ///         it is not pinned
  [[nodiscard]] std::expected<pfn, error> pin_longterm(context& ctx, pfn page);
  /// \throws usage_error if the page is not pinned
  void unpin(pfn page);

  /// Takes exactly these frames: what is in use there is moved elsewhere. They are pages in use
  /// then, each to be freed by itself. On failure everything is given back, except that pages that
  /// were moved stay where they are, and pageblocks have the type `type`.
  ///
  /// \param type  the type that the pageblocks have, and have afterwards: cma within a CMA area,
  /// else
  ///              movable. As in the kernel, nobody checks it
  /// \return errc::busy if something is in the way, errc::no_memory if what is in the way had
  ///         nowhere to go
  /// \throws usage_error if the range is empty, does not begin in a zone or ends beyond memory; one
  ///         that only begins in a zone is busy
  [[nodiscard]] std::expected<void, error> alloc_contig_range(
      context& ctx, pfn first, frame_count count, migratetype type = migratetype::movable);
  /// Takes the first range of `count` frames, aligned to as many, that can be had: for what is
  /// larger than the largest order.
  /// \param count  a power of two
  /// \param flags  for the zones that may be used
  [[nodiscard]] std::expected<pfn, error> alloc_contig_pages(context& ctx, frame_count count,
                                                             gfp flags = gfp_kernel);
  /// Frees the pages of a range one by one.
  /// \throws usage_error if one of them is not a page in use, or is pinned; nothing has changed
  /// then
  void free_contig_range(context& ctx, pfn first, frame_count count);

  /// Claims frames of a CMA area: the first run of unclaimed ones that can be had.
  ///
  /// The search does not wrap. Where a run is busy it goes on by one alignment, so that many
  /// attempts can be made in vain; what they moved stays moved.
  /// \return errc::no_memory if no run is unclaimed, errc::busy if those that are cannot be had
  /// \throws usage_error if there is no such area, or `count` is 0
  [[nodiscard]] std::expected<pfn, error> cma_alloc(context& ctx, std::size_t area,
                                                    frame_count count, order align = order{0});
  /// \throws usage_error if the frames are not claimed, or one of them is pinned; nothing has
  ///         changed then
  void cma_release(context& ctx, std::size_t area, pfn first, frame_count count);
  [[nodiscard]] const cma_counts& cma_counts_of(std::size_t area) const;
  /// Frames of an area that are claimed.
  [[nodiscard]] frame_count cma_claimed(std::size_t area) const;

  /// Compacts on behalf of a request, zone by zone, and then tries once to serve it: a step of the
  /// slow path.
  [[nodiscard]] direct_compaction compact_for(context& ctx, order size, gfp flags,
                                              compact_priority priority);
  /// A round of the compaction daemon over the zones up to `highest`.
  void compact_in_background(context& ctx, order size, zone_type highest);
  /// Compacts every zone completely, as writing to /proc/sys/vm/compact_memory does.
  void compact_everything(context& ctx);
  /// How much of the free memory is of no use for huge pages, 0 to 100: each zone's part of free
  /// pages in blocks below pageblock order, weighted by its size.
  [[nodiscard]] unsigned fragmentation_score() const;
  /// What the compaction daemon does every 500 ms: if the score is above the high limit, every zone
  /// is compacted until its own is at most the low one. The limits follow from
  /// tuning::compaction_proactiveness; 0 does nothing.
  /// \return whether it was worth while: false says that the score did not fall
  bool compact_proactively(context& ctx);
  /// Forgets skip hints that are due to be, as the reclaimer does when it goes to sleep.
  void reset_skip_hints();

  [[nodiscard]] const kernel_profile& profile() const;
  [[nodiscard]] const tuning& settings() const;
  [[nodiscard]] const memory_map& memory() const;
  [[nodiscard]] unsigned cpus() const;
  /// Zones with memory, in ascending address order.
  [[nodiscard]] std::span<const zone> zones() const;
  [[nodiscard]] const frame_table& frames() const;
  [[nodiscard]] std::span<const cma_area> cma_areas() const;

  /// The type of the pageblock that holds the frame; `frame` below frames().end().
  [[nodiscard]] migratetype pageblock_type(pfn frame) const;
  /// Free blocks of one list, head first.
  [[nodiscard]] std::vector<pfn> free_list(const zone& z, order size, migratetype type) const;

  /// The whole state as plain data: restore() of it is an equal allocator.
  [[nodiscard]] allocator_state state() const;
  /// A digest of everything that bears on future decisions.
  [[nodiscard]] digest state_digest() const;

  [[nodiscard]] const allocator_counts& counts() const;
  [[nodiscard]] const reclaim_counts& reclaim_events() const;
  [[nodiscard]] std::vector<statistic_value> statistics() const;

  /// Adds a listener, which must outlive the allocator or be removed.
  void add_observer(allocator_observer&);
  void remove_observer(allocator_observer&);
  /// Sets or, with nullptr, removes the gate, which must outlive the allocator.
  void set_gate(allocation_gate*);

 private:
  explicit page_allocator(std::unique_ptr<detail::allocator_core> core);
  std::expected<pfn, error> alloc_larger(context& ctx, order size, gfp flags);
  std::expected<pfn, error> alloc_by_rules(context& ctx, order size, gfp flags);
  void free_larger(context& ctx, pfn block, order size);
  void free_by_rules(context& ctx, pfn block, order size);

  std::unique_ptr<detail::allocator_core> core_;
};

}  // namespace memsim
