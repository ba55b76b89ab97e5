// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Processes on one machine, and the pages that they share.
///
///     virtual_memory vm{memory};
///     auto& parent = vm.add_process();
///     const auto heap = parent.mmap(ctx, 2_MiB .frames(), {.advice = thp_advice::huge});
///     parent.write(ctx, *heap, 1);                    // a fault, and a huge page
///     auto& child = **parent.fork(ctx);
///     child.write(ctx, *heap, 2);                     // a copy of 4 KiB
///
/// Source: docs/linux-rules/thp.md.

#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/alloc/page_owner.hpp>
#include <memsim/alloc/thp_defrag.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/vm/address_space.hpp>
#include <memsim/vm/backing.hpp>
#include <memsim/vm/cow_rules.hpp>
#include <memsim/vm/mapped_pages.hpp>
#include <memsim/vm/memory_group.hpp>
#include <memsim/vm/page_cache.hpp>
#include <memsim/vm/process_config.hpp>

namespace memsim {

class user_tlbs;

/// Where page faults make huge pages: /sys/kernel/mm/transparent_hugepage/enabled.
enum class thp_enabled : unsigned char { always, madvise, never };

struct virtual_memory_config {
  cow_rules cow = cow_linux_6_12;
  thp_enabled huge_pages = thp_enabled::madvise;
  thp_defrag defrag = thp_defrag::madvise;
  /// A read of untouched memory maps the huge zero page.
  bool use_huge_zero_page = true;
  /// Through which processes access memory, from the beginning; must outlive them. None: they
  /// access it directly, and nothing is flushed.
  user_tlbs* tlbs = nullptr;
};

/// Events since the beginning, as /proc/vmstat has them.
struct thp_counts {
  std::uint64_t fault_alloc = 0;
  std::uint64_t fault_fallback = 0;
  std::uint64_t fault_fallback_charge = 0;
  std::uint64_t collapse_alloc = 0;
  std::uint64_t collapse_alloc_failed = 0;
  std::uint64_t split_page = 0;
  std::uint64_t deferred_split_page = 0;
  std::uint64_t split_pmd = 0;
  std::uint64_t zero_page_alloc = 0;

  friend bool operator==(const thp_counts&, const thp_counts&) = default;
};

inline constexpr std::array thp_statistics{
    statistic<thp_counts>{"thp_fault_alloc", "pages", "huge pages that faults made",
                          &thp_counts::fault_alloc},
    statistic<thp_counts>{"thp_fault_fallback", "faults",
                          "faults that took small pages because there was no huge one",
                          &thp_counts::fault_fallback},
    statistic<thp_counts>{"thp_fault_fallback_charge", "faults",
                          "of those, faults that the limit of a memory group left no huge page to",
                          &thp_counts::fault_fallback_charge},
    statistic<thp_counts>{"thp_collapse_alloc", "pages", "huge pages made of small ones",
                          &thp_counts::collapse_alloc},
    statistic<thp_counts>{"thp_collapse_alloc_failed", "events",
                          "times there was no huge page to put small ones into",
                          &thp_counts::collapse_alloc_failed},
    statistic<thp_counts>{"thp_split_page", "splits", "huge pages that became small ones",
                          &thp_counts::split_page},
    statistic<thp_counts>{"thp_deferred_split_page", "pages",
                          "huge pages put on the queue of those to be split",
                          &thp_counts::deferred_split_page},
    statistic<thp_counts>{"thp_split_pmd", "splits",
                          "mappings of huge pages that became mappings of their parts",
                          &thp_counts::split_pmd},
    statistic<thp_counts>{"thp_zero_page_alloc", "pages", "huge zero pages made",
                          &thp_counts::zero_page_alloc},
};

/// What page faults did since the beginning.
struct fault_counts {
  std::uint64_t faults = 0;
  std::uint64_t reuses = 0;
  std::uint64_t copies = 0;
  std::uint64_t huge_copies = 0;
  std::uint64_t needless_copies = 0;
  std::uint64_t unshared = 0;
  std::uint64_t fork_copies = 0;
  std::uint64_t lost_mappings = 0;

  friend bool operator==(const fault_counts&, const fault_counts&) = default;
};

inline constexpr std::array fault_statistics{
    statistic<fault_counts>{"page_faults", "faults", "accesses that found no entry to use",
                            &fault_counts::faults},
    statistic<fault_counts>{"cow_reuses", "faults",
                            "writes that took over a write-protected private page",
                            &fault_counts::reuses},
    statistic<fault_counts>{"cow_copies", "pages", "pages of 4 KiB that writes copied",
                            &fault_counts::copies},
    statistic<fault_counts>{"cow_huge_copies", "pages", "huge pages that writes copied whole",
                            &fault_counts::huge_copies},
    statistic<fault_counts>{"cow_needless_copies", "faults",
                            "writes that copied what nobody else mapped",
                            &fault_counts::needless_copies},
    statistic<fault_counts>{"pages_unshared", "pages", "copies made for pins to read",
                            &fault_counts::unshared},
    statistic<fault_counts>{"fork_copies", "pages",
                            "copies that fork made because the page was pinned",
                            &fault_counts::fork_copies},
    statistic<fault_counts>{"rmap_lost_mappings", "mappings",
                            "mappings that cannot be found any more, because the page went to "
                            "another process's anon_vma",
                            &fault_counts::lost_mappings},
};

/// Where a page is mapped.
struct mapping_place {
  address_space* process;
  vpn page;
  page_size size;

  friend bool operator==(const mapping_place&, const mapping_place&) = default;
};

/// What became of a page that the machine lost, and who gets SIGBUS for it.
struct failure_report {
  failure_outcome outcome{};
  std::vector<mapping_place> mapped{};  ///< where it was mapped
};

/// Which mappings of a backing's pages go.
enum class unmap_what : unsigned char {
  kept_pages,  ///< those of pages that the backing keeps
  all,         ///< private copies, too
};

/// Stays where it is, as do its processes, and outlives the allocator or is gone before its pages
/// are asked for, memory is reclaimed, or the OOM killer looks for somebody.
class virtual_memory final : public page_owner, public file_mapper {
 public:
  explicit virtual_memory(page_allocator& memory, const virtual_memory_config& how = {});
  virtual_memory(const virtual_memory&) = delete;
  virtual_memory& operator=(const virtual_memory&) = delete;
  ~virtual_memory() override;

  /// A memory group. It stays, as pages may be charged to it when its processes are gone.
  /// \throws usage_error if its parent is not a group of this
  memory_group& add_group(const memory_group_config& how = {});
  /// A process with nothing mapped.
  /// \throws usage_error if the group is not one of this, or the score adjustment out of range
  address_space& add_process(const process_config& how = {});
  /// Ends a process: it is gone, and with it its pages, unless somebody else maps or holds them.
  void exit(context& ctx, address_space& process);
  [[nodiscard]] std::size_t processes() const { return processes_.size(); }

  /// Gives back references that address_space::hold() took.
  void release(context& ctx, std::span<const held_page> pages, hold_kind kind);
  /// What is in a page of 4 KiB now: what a device reads that holds it.
  [[nodiscard]] std::uint64_t content(pfn page) const;
  /// What a device writes.
  void set_content(pfn page, std::uint64_t content);

  /// Everything that maps a page, or the huge page that it is a part of, as the reverse map finds
  /// it: by anon_vma, or by backing.
  [[nodiscard]] std::vector<mapping_place> mappings_of(pfn page) const;
  /// Removes the entries for pages [first, first + count) of a backing from all processes.
  /// \throws usage_error if these are not whole pages of its granule; so do the next two
  void unmap(context& ctx, backing& of, std::uint64_t first, frame_count count, unmap_what what);
  /// Removes the entries for a page from all processes but one.
  void unmap(context& ctx, pfn page, const address_space* except = nullptr);
  /// Removes the entry for a page from one process, without a word to its backing.
  void unmap(context& ctx, address_space& process, vpn page);
  /// fallocate(FALLOC_FL_PUNCH_HOLE): pages of a backing are unmapped and given up.
  void punch_hole(context& ctx, backing& of, std::uint64_t first, frame_count count);
  /// ftruncate(): the same from `size` on, private copies included.
  void truncate(context& ctx, backing& of, std::uint64_t size);
  /// A backing gives up a page that it kept: nothing is known of it any more.
  /// \throws usage_error if somebody maps or holds it
  void forget(pfn page);
  /// The machine has lost a frame. Who maps a private page gets SIGBUS from then on, and the frame
  /// is not used again; of a page that a backing keeps it says whether there is another copy.
  ///
  /// Modelling assumption: the failure comes as an asynchronous one, while nobody reads the page.
  /// \return errc::busy if somebody holds the page; errc::invalid if nobody uses the frame so
  std::expected<failure_report, error> memory_failure(context& ctx, pfn frame);
  /// Frames that memory_failure() took out of use (HardwareCorrupted).
  [[nodiscard]] frame_count corrupted() const { return corrupted_; }

  /// Splits the huge pages that wait for it, as far as nobody holds them, and frees the huge zero
  /// page if no process uses it: all that reclaim does by its shrinkers when memory is short.
  /// \return huge pages split
  std::uint64_t shrink(context& ctx);
  /// Splits a huge page into its parts.
  /// \return errc::busy if somebody holds it
  std::expected<void, error> split(context& ctx, huge_page_id id);

  /// Huge pages that some process maps as a whole (nr_anon_transparent_hugepages).
  [[nodiscard]] std::uint64_t mapped_huge_pages() const { return mapped_huge_; }
  [[nodiscard]] const mapped_pages& pages() const { return pages_; }
  [[nodiscard]] page_allocator& memory() { return *memory_; }
  [[nodiscard]] virtual_memory_config& config() { return how_; }
  [[nodiscard]] const virtual_memory_config& config() const { return how_; }
  [[nodiscard]] const thp_counts& counts() const { return counts_; }
  [[nodiscard]] const fault_counts& faults() const { return fault_counts_; }
  [[nodiscard]] std::vector<statistic_value> statistics() const;
  /// A digest of all processes, their entries, and the pages that these map.
  [[nodiscard]] digest state_digest() const;
  /// Pages that went because MADV_FREE allowed it (pglazyfreed).
  [[nodiscard]] std::uint64_t lazily_freed() const { return lazily_freed_; }
  /// What is mapped if nothing else is said.
  [[nodiscard]] backing& anonymous() { return anonymous_; }

  // page_owner
  [[nodiscard]] bool lets_move(pfn from, pfn to, std::uint32_t tag) override;
  void moved(pfn from, pfn to, std::uint32_t tag) override;
  [[nodiscard]] bool drops(pfn page, std::uint32_t tag) override;
  [[nodiscard]] bool was_referenced(pfn page, std::uint32_t) override { return was_accessed(page); }

  // file_mapper
  [[nodiscard]] bool is_mapped(pfn page) const override { return pages_.mapcount(page) > 0; }
  [[nodiscard]] bool is_locked(pfn page) const override;
  void unmap_file_page(pfn page) override;
  void protect_file_page(pfn page) override;
  void file_page_moved(pfn from, pfn to) override;
  [[nodiscard]] bool was_accessed(pfn page) override;

 private:
  friend class address_space;
  friend class backing;
  friend class khugepaged;

  // The queue of deferred splits, and the huge zero page, as reclaim makes them smaller.
  class split_shrinker final : public shrinker {
   public:
    explicit split_shrinker(virtual_memory& vm) : vm_{&vm} {}
    [[nodiscard]] std::uint64_t count() const override;
    std::uint64_t scan(context& ctx, std::uint64_t objects) override;

   private:
    virtual_memory* vm_;
  };
  class zero_shrinker final : public shrinker {
   public:
    explicit zero_shrinker(virtual_memory& vm) : vm_{&vm} {}
    [[nodiscard]] std::uint64_t count() const override;
    std::uint64_t scan(context& ctx, std::uint64_t objects) override;

   private:
    virtual_memory* vm_;
  };

  // An area that maps pages of an anon_vma.
  struct attachment {
    address_space* space;
    vma* area;
  };
  // processes.cpp
  address_space& make_process(const process_config& how);
  void enlist(address_space& process);

  // memory_group.cpp
  std::expected<void, error> charge(context& ctx, const fault_request& want, pfn first,
                                    order size) {
    if (want.in.process.config().group == nullptr) return {};
    return charge_group(ctx, want, first, size);
  }
  std::expected<void, error> charge_group(context& ctx, const fault_request& want, pfn first,
                                          order size);
  bool kill_largest_of(context& ctx, memory_group& full);

  // rmap.cpp
  static void check_whole(const backing& of, std::uint64_t first, frame_count count);
  [[nodiscard]] static std::list<address_space::activity_scope> keep_processes(context& ctx,
                                                                               const backing& of);
  anon_vma_id add_anon_vma();
  [[nodiscard]] std::vector<attachment>& attached(anon_vma_id id);
  void attach(address_space& space, vma& area);
  void place_after(const vma& parent, const vma& child);
  void place_last(const vma& area);
  void detach(vma& area);
  [[nodiscard]] bool finds_all_mappings(pfn page) const;
  void replace_frames(pfn from, pfn to);

  // page_references.cpp
  [[nodiscard]] std::expected<pfn, error> new_page(context& ctx, const fault_request& want,
                                                   std::uint64_t content);
  [[nodiscard]] std::expected<huge_page_id, error> new_huge_page(context& ctx,
                                                                 const fault_request& want,
                                                                 gfp flags);
  void keep(const backing& of, std::uint64_t number, const backing_page& found);
  void map_small(pfn page);
  void map_huge(huge_page_id id);
  void unmap_small(context& ctx, pfn page);
  void unmap_huge(context& ctx, huge_page_id id);
  void unmap_entry(context& ctx, page_entry gone, page_size size);
  void end_unmapping();
  void split_mapping(huge_page_id id);
  std::expected<pfn, error> hold(context& ctx, pfn page, const hold_mode& how);
  void put(context& ctx, pfn page, hold_kind kind);
  void free_if_unused(context& ctx, pfn page);

  [[nodiscard]] bool is_assigned(pfn page) const;
  [[nodiscard]] backing& backing_of(const mapped_page& page) const;

  void fill(pfn page, std::uint64_t content);

  // memory_failure.cpp
  [[nodiscard]] bool is_lost(pfn frame) const { return lost_.contains(frame); }
  void retire(context& ctx, pfn frame);
  std::expected<failure_report, error> lose_bare(context& ctx, pfn frame);

  // lazy_free.cpp
  void free_lazily(context& ctx, pfn page);
  void keep_written(context& ctx);

  // cow.cpp
  [[nodiscard]] bool may_reuse(pfn page, reuse_test test) const;
  void take_over(pfn page, const vma& area);
  void take_over_whole(pfn page, const vma& area);
  void own(pfn page, const vma& area);

  // huge_pages.cpp
  void queue_split(huge_page_id id);
  void unqueue_split(huge_page_id id);
  void split_now(context& ctx, huge_page_id id);
  [[nodiscard]] bool use_huge_zero_page(context& ctx, address_space& space);

  page_allocator* memory_;
  virtual_memory_config how_;
  std::vector<backing*> backings_;  // by id less one; nullptr: gone
  owner_id id_;
  mapped_pages pages_;
  detail::page_charges charges_;
  std::vector<std::unique_ptr<address_space>> processes_;  // in the order in which they were made
  std::uint64_t processes_made_ = 0;
  std::vector<std::vector<attachment>> attached_;  // by anon_vma
  std::deque<huge_page_id> to_split_;
  std::optional<pfn> huge_zero_{};
  std::uint64_t huge_zero_users_ = 0;
  std::uint64_t mapped_huge_ = 0;
  // A huge page of which consecutive parts are being unmapped, and the last of them.
  huge_page_id unmapping_{};
  pfn unmapped_last_{};
  // Contents of frames without descriptors.
  std::map<pfn, std::uint64_t> bare_contents_;
  frame_count corrupted_ = 0;
  std::set<pfn> lost_;  // frames of corrupted_ that have a descriptor
  // Lazily free pages that reclaim found to be dirty.
  std::vector<pfn> written_again_;
  std::uint64_t lazily_freed_ = 0;
  thp_counts counts_;
  fault_counts fault_counts_;
  anonymous_backing anonymous_;
  split_shrinker split_shrinker_{*this};
  zero_shrinker zero_shrinker_{*this};
};

}  // namespace memsim
