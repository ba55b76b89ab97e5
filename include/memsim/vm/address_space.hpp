// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The memory of a process: areas, a page table, and what faults make of them.

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <boost/intrusive/set.hpp>

#include <memsim/alloc/reclaim.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/vm/access_result.hpp>
#include <memsim/vm/mapped_pages.hpp>
#include <memsim/vm/memory_access.hpp>
#include <memsim/vm/page_table.hpp>
#include <memsim/vm/process_config.hpp>
#include <memsim/vm/stale_range.hpp>
#include <memsim/vm/vma.hpp>

namespace memsim {

class backing;
class user_tlbs;
class virtual_memory;
struct backing_page;
struct fault_request;

/// How memory is mapped.
struct mapping_request {
  protection allowed = protection::read_write;
  thp_advice advice = thp_advice::none;
  bool locked = false;      ///< MAP_LOCKED
  bool no_reserve = false;  ///< MAP_NORESERVE: the backing is to promise nothing
  /// Where; what is mapped there goes. Otherwise above all that is mapped, aligned to 2 MiB or, if
  /// that is more, to the granule of what is mapped.
  std::optional<vpn> at{};
  /// What is mapped; nullptr: anonymous memory.
  backing* source = nullptr;
  sharing with = sharing::private_copies;
  /// The page of `source` that is mapped first.
  std::uint64_t offset = 0;
};

enum class pin_term : unsigned char { short_term, long_term };

/// A page as somebody holds it: none for the zero page.
struct held_page {
  std::optional<pfn> page{};

  friend bool operator==(const held_page&, const held_page&) = default;
};

/// How pages are held: `{hold_kind::pin, memory_access::read}`.
struct hold_mode {
  hold_kind kind = hold_kind::pin;
  memory_access access = memory_access::write;
  /// For as long as somebody likes (FOLL_LONGTERM): pages leave CMA areas and ZONE_MOVABLE first.
  pin_term term = pin_term::short_term;
};

inline constexpr hold_mode pin_to_write{hold_kind::pin, memory_access::write};
inline constexpr hold_mode pin_to_read{hold_kind::pin, memory_access::read};
/// As splice() and vmsplice() do.
inline constexpr hold_mode reference_to_read{hold_kind::reference, memory_access::read};

/// What of a range is in memory, in pages of 4 KiB: as /proc/PID/smaps.
struct residence {
  frame_count resident = 0;
  frame_count unshared = 0;  ///< of those, pages that nobody else maps
  frame_count huge = 0;      ///< of those, pages mapped by entries of 2 MiB
};

/// Made by virtual_memory::add_process() and by fork().
///
/// The OOM killer may choose it, that of the machine and those of its memory groups. Its memory is
/// free then; it stays as one that maps nothing and whose accesses fail with errc::killed, until
/// virtual_memory::exit(). In the middle of a fault only its pages go at once, and in the middle of
/// a fork or a move nothing does before that is over.
class address_space final : public oom_candidate {
 public:
  explicit address_space(virtual_memory& vm, const process_config& how = {});
  address_space(const address_space&) = delete;
  address_space& operator=(const address_space&) = delete;
  ~address_space() override;

  /// Maps memory: private and zeroes until it is written, unless the request says otherwise.
  ///
  /// With MAP_LOCKED it is locked, and had as far as it can be: that it could not is no failure.
  /// \return errc::no_memory if there is no room for so many pages; errc::invalid if they do not
  ///         fit the granule of what is mapped; what the backing refuses it for; with MAP_LOCKED
  ///         errc::again if more would be locked than RLIMIT_MEMLOCK allows, and
  ///         errc::not_permitted if that is 0
  /// \throws usage_error if there are no pages, or more than an address space has, or anonymous
  ///         memory is to be shared
  std::expected<vpn, error> mmap(context& ctx, frame_count pages, const mapping_request& how = {});
  /// Unmaps what is mapped of a range.
  /// \return errc::invalid if it would cut a page of a backing's granule; nothing has changed
  std::expected<void, error> munmap(context& ctx, vpn first, frame_count pages);
  /// Changes what may be done with pages.
  /// \return errc::no_memory if something of the range is not mapped; what comes before it has
  ///         changed then
  std::expected<void, error> mprotect(context& ctx, vpn first, frame_count pages,
                                      protection allowed);
  /// Moves pages to `to`; what is mapped there goes first.
  /// \return errc::bad_address if `first` is not mapped, or the range not within one area;
  ///         errc::invalid if it overlaps where it is to go; errc::no_memory, and then nothing
  ///         moved
  std::expected<void, error> mremap(context& ctx, vpn first, frame_count pages, vpn to);
  /// MADV_HUGEPAGE, MADV_NOHUGEPAGE.
  /// \return errc::no_memory as mprotect()
  std::expected<void, error> madvise(context& ctx, vpn first, frame_count pages, thp_advice advice);
  /// MADV_DONTNEED: pages become zeroes again.
  /// \return errc::no_memory if something of the range is not mapped; the rest is done.
  ///         errc::invalid at the first area that is locked; what comes before it is done
  std::expected<void, error> discard(context& ctx, vpn first, frame_count pages);
  /// MADV_FREE: pages that this process alone maps become zeroes when memory is short, unless they
  /// are written to before. Until then they read as they were.
  ///
  /// Modelling assumption: a huge page is split first, if nobody holds it or maps parts of it.
  /// \return as discard(); errc::invalid also at the first area that is not anonymous
  std::expected<void, error> discard_lazily(context& ctx, vpn first, frame_count pages);
  /// Locks pages in memory, and gets those that are not there: of what may be written, pages of the
  /// process's own. A page that is locked already is not counted twice.
  ///
  /// Modelling assumptions: which pages are got, and that what comes before a hole is locked.
  ///
  /// \return errc::not_permitted if RLIMIT_MEMLOCK is 0 and it is enforced; errc::no_memory if more
  ///         would be locked than it allows, and then nothing is, or if something of the range is
  ///         not mapped or may not be used; errc::again if there was no memory for a page, and then
  ///         the range is locked
  std::expected<void, error> mlock(context& ctx, vpn first, frame_count pages);
  /// Locks do not add up: pages that were locked twice are not locked after this.
  /// \return errc::no_memory if something of the range is not mapped; what comes before it is done
  std::expected<void, error> munlock(context& ctx, vpn first, frame_count pages);
  /// Counts pages of something else against RLIMIT_MEMLOCK, such as buffers of io_uring.
  /// \return errc::again if more would be locked than it allows
  std::expected<void, error> charge_locked(frame_count pages);
  /// \throws usage_error if fewer pages were charged
  void uncharge_locked(frame_count pages);
  /// Pages of locked areas, in memory or not, and pages charged (VmLck).
  [[nodiscard]] frame_count locked_pages() const;
  /// Whether RLIMIT_MEMLOCK allows so many pages more to be locked.
  [[nodiscard]] bool may_lock(frame_count more) const;
  /// setuid(): who is not root any more has no CAP_IPC_LOCK.
  void set_user(std::uint32_t user) {
    if (user != 0) how_.ipc_lock = false;
    how_.user = user;
  }
  /// Holds for what is locked from now on, as setrlimit().
  void set_memlock_limit(frame_count pages) { how_.memlock_limit = pages; }

  /// MADV_COLLAPSE of 2 MiB.
  /// \return errc::invalid if they cannot be a huge page, errc::again if somebody holds a page,
  ///         errc::no_memory; errc::busy if the limit of a memory group does not allow it
  std::expected<void, error> collapse(context& ctx, vpn first);

  /// An access of the CPU that acts, through its TLB where there are TLBs: what it keeps is served,
  /// whatever has become of the page table, unless it allows less than what is asked. Otherwise the
  /// page table is walked, after a fault if need be.
  /// \return errc::bad_address: no area there, or not with these rights (SIGSEGV);
  ///         errc::no_memory
  std::expected<access_result, error> access(context& ctx, vpn page, memory_access how);
  /// What a page has in it: an access that reads.
  /// \return errc::bad_address: no area there, or not with these rights (SIGSEGV);
  ///         errc::no_memory
  std::expected<std::uint64_t, error> read(context& ctx, vpn page);
  /// Changes what a page has in it: an access that writes.
  std::expected<void, error> write(context& ctx, vpn page, std::uint64_t content);

  /// Takes references to pages: get_user_pages().
  /// \return what was held, or with pins nothing at all if not all of it could be;
  ///         errc::bad_address if not even the first could be, errc::no_memory; of long-term pins
  ///         errc::busy if a page cannot leave where it must not stay
  std::expected<std::vector<held_page>, error> hold(context& ctx, vpn first, frame_count pages,
                                                    const hold_mode& how);
  /// Pages from `first` on that the process does not map any more where they were held: what it
  /// writes there is not what the holder reads.
  [[nodiscard]] frame_count incoherent(vpn first, std::span<const held_page> held) const;

  /// A copy of the process, whose pages are shared until somebody writes.
  /// \return errc::no_memory; nothing is left of the child then
  std::expected<address_space*, error> fork(context& ctx);

  /// Splits the huge pages that are mapped in a range, as writing to debugfs's split_huge_pages.
  void split_huge_pages(context& ctx, vpn first, frame_count pages);

  /// Its number in TLBs; 0 where there are none.
  [[nodiscard]] asid id() const { return id_; }
  [[nodiscard]] const process_config& config() const { return how_; }
  [[nodiscard]] bool was_killed() const { return killed_; }
  /// Calls `what` once, when all that is mapped has gone for good: at exit(), or when it is killed.
  /// There its owner closes the files that the process had open, as the kernel does for who dies.
  void when_ended(std::function<void(context&)> what) { ended_ = std::move(what); }

  [[nodiscard]] const vma* find(vpn page) const;
  [[nodiscard]] bool maps_any(vpn first, frame_count pages) const;
  /// Where a translation of the page ends.
  [[nodiscard]] table_walk walk(vpn page) const { return table_.walk(page); }
  /// The page of 4 KiB, or the part of a huge one, that is mapped.
  [[nodiscard]] std::optional<pfn> translate(vpn page) const;
  [[nodiscard]] residence resident(vpn first, frame_count pages) const;
  [[nodiscard]] const page_table& table() const { return table_; }
  [[nodiscard]] page_table& table() { return table_; }

  // oom_candidate
  [[nodiscard]] oom_usage usage() const override;
  [[nodiscard]] int score_adjustment() const override { return how_.score_adjustment; }
  void killed(context& ctx) override;

 private:
  friend class virtual_memory;
  friend class khugepaged;
  using areas = boost::intrusive::set<vma>;
  struct delete_area;
  // To unshare is to become the only one that maps the page, as a pin to read wants it.
  enum class purpose : unsigned char { read, write, unshare };
  [[nodiscard]] static purpose purpose_of(memory_access how) {
    return how == memory_access::write ? purpose::write : purpose::read;
  }
  /// Who faults: an access of the process, or the kernel that fills its memory.
  enum class cause : bool { kernel, access };
  /// Whether the parts of a large page are dirty if it was.
  enum class keep_dirty : bool { no, yes };
  /// What goes on in it, and so what the OOM killer may free at once.
  enum class activity : unsigned char { nothing, faulting, changing };
  /// Says what goes on. Who was killed meanwhile ends with it.
  class activity_scope {
   public:
    activity_scope(context& ctx, address_space& who, activity now)
        : ctx_{ctx}, who_{who}, before_{std::exchange(who.doing_, now)} {}
    activity_scope(const activity_scope&) = delete;
    activity_scope& operator=(const activity_scope&) = delete;
    ~activity_scope() {
      who_.doing_ = before_;
      if (!who_.killed_ || before_ != activity::nothing) return;
      ctx_.is_victim = false;
      who_.end(ctx_);
    }

   private:
    context& ctx_;
    address_space& who_;
    activity before_;
  };
  /// What is in the 512 entries of a page table.
  struct table_census {
    frame_count none = 0;  ///< nothing, or the zero page
    frame_count shared = 0;
    frame_count writable = 0;
    frame_count referenced = 0;
    std::optional<vpn> held{};  ///< the first that somebody holds
    std::optional<vpn> lost{};  ///< the first that the machine lost
  };

  // state.cpp
  void add_to(digest& d) const;

  // areas.cpp
  static void check_range(vpn first, frame_count pages);
  [[nodiscard]] areas::iterator area_above(vpn page) const;
  [[nodiscard]] vma* area_of(vpn page) const;
  vma& add_area(const vma& like);
  void remove_area(vma& area);
  void prepare(vma& area);
  void split_area(context& ctx, vma& area, vpn at);
  void merge_areas(vpn first, vpn end);
  template <class Differs, class Change>
  bool change_areas(context& ctx, vpn first, vpn end, bool stops, Differs differs, Change change);
  void protect(context& ctx, const vma& area, protection before, stale_range& stale);
  std::expected<void, error> set_locked(context& ctx, vpn first, frame_count pages, bool locked);
  std::expected<void, error> munmap(context& ctx, vpn first, frame_count pages,
                                    const backing* goes_on);
  void munmap_all(context& ctx);

  // processes.cpp
  void end(context& ctx);
  static std::unexpected<error> was_killed_error();

  // locked_memory.cpp
  [[nodiscard]] std::expected<void, error> may_map(const mapping_request& how,
                                                   frame_count pages) const;
  [[nodiscard]] bool may_lock_any() const;
  std::expected<void, error> populate(context& ctx, vpn first, frame_count pages);

  // faults.cpp
  [[nodiscard]] std::expected<table_walk, error> fault(context& ctx, vpn page, purpose how,
                                                       cause why);
  [[nodiscard]] fault_request request(vma& area, vpn page, purpose how);
  [[nodiscard]] std::uint64_t content_at(const table_walk& at, vpn page) const;
  void set_content(vpn page, pfn frame, std::uint64_t content);
  std::expected<void, error> fault_missing(context& ctx, vma& area, vpn page, purpose how);
  std::expected<void, error> fault_zeroes(context& ctx, vma& area, vpn page, purpose how);
  std::expected<page_entry*, error> make_entry(context& ctx, const fault_request& want,
                                               backing_page& found);
  std::expected<void, error> map_backing(context& ctx, const fault_request& want,
                                         backing_page found);
  void fill(const backing_page& found);
  void drop_given(context& ctx, const fault_request& want, const backing_page& found);
  void give(context& ctx, const fault_request& want, pfn page, page_size size,
            std::optional<pfn> copied);
  std::expected<void, error> resolve(context& ctx, vma& area, vpn page, table_walk at, purpose how);
  [[nodiscard]] bool may_be_huge(const vma& area, vpn page) const;
  std::expected<bool, error> make_huge(context& ctx, vma& area, vpn page, purpose how);
  void map_whole(context& ctx, page_entry& entry, const vma& area, huge_page_id huge);

  // cow.cpp
  [[nodiscard]] bool is_enough(const table_walk& at, const vma& area, purpose how) const;
  std::expected<void, error> fault_protected(context& ctx, vma& area, vpn page,
                                             const table_walk& at, purpose how);
  std::expected<void, error> drop_killed(context& ctx, pfn fresh);
  std::expected<void, error> copy_huge(context& ctx, vma& area, vpn page, page_entry& entry);
  std::expected<void, error> copy_parts(context& ctx, vma& area, vpn page, page_entry whole);
  std::expected<void, error> copy_large(context& ctx, vma& area, vpn page, const table_walk& at,
                                        purpose how);
  std::expected<void, error> replace(context& ctx, vma& area, vpn page, page_entry& entry,
                                     purpose how);

  // access.cpp
  std::expected<access_result, error> access_uncached(context& ctx, vpn page, memory_access how);
  std::expected<std::uint64_t, error> read_cached(context& ctx, vpn page);
  std::expected<void, error> write_cached(context& ctx, vpn page, std::uint64_t content);
  void flush(context& ctx, const stale_range& stale);
  void flush_all(context& ctx);
  void flush_moved(vpn page, page_size size);
  void leave_tlbs();

  // unmap.cpp
  void split_pmd(context& ctx, vpn page, keep_dirty dirty);
  void split_pmd_across(context& ctx, vpn at);
  enum class zap : unsigned char { all, kept_pages };
  void unmap(context& ctx, vpn first, vpn end, zap what = zap::all);
  void unmap_one(context& ctx, page_entry& entry, page_size size);
  void free_lazily(context& ctx, vpn first, vpn end);
  void trim_tables(context& ctx, vpn around);
  template <class Use>
  void for_stretches(vpn first, vpn end, vpn to, page_size unit, Use use);
  std::expected<void, error> prepare_move(context& ctx, vpn first, vpn end, vpn to, page_size unit);
  void move_entries(context& ctx, vpn first, vpn end, vpn to, page_size unit);
  template <class Use>
  void for_entries(vpn first, vpn end, Use use);

  // fork.cpp
  std::expected<void, error> copy_area(context& ctx, vma& from, address_space& child);
  std::expected<void, error> share_large(context& ctx, const table_walk& at, vpn page, vma& from,
                                         vma& to, address_space& child);
  [[nodiscard]] page_entry share(page_entry& entry, const vma& area);
  [[nodiscard]] bool stays_with_parent(pfn page) const;
  std::expected<void, error> copy_entries(context& ctx, vpn first, vpn end, const vma& from,
                                          vma& to, address_space& child);
  std::expected<void, error> copy_now(context& ctx, vma& area, vpn page, pfn original,
                                      page_entry& entry);

  // areas.cpp
  [[nodiscard]] std::expected<void, error> check_granule(vpn first, vpn end) const;

  // collapse.cpp
  [[nodiscard]] table_census look_at_table(context& ctx, vpn first);
  std::expected<void, error> replace_table(context& ctx, vma& area, vpn first);

  virtual_memory* vm_;
  user_tlbs* tlbs_;  // nullptr: none
  asid id_;
  process_config how_;
  std::uint64_t number_ = 0;  // in the order in which processes were made
  activity doing_ = activity::nothing;
  bool killed_ = false;
  bool may_be_chosen_ = false;  // by an OOM killer
  frame_count charged_locked_ = 0;
  mutable page_table table_;
  mutable areas areas_;
  bool has_pinned_ = false;
  bool uses_huge_zero_ = false;
  std::function<void(context&)> ended_{};
};

/// Calls `use(entry, size, page)` for each entry of a range that is not empty. Large pages are not
/// cut by its ends.
template <class Use>
void address_space::for_entries(vpn first, vpn end, Use use) {
  for (auto page = first; page < end;) {
    const auto at = table_.walk(page);
    const vpn base{page.value() / at.span * at.span};
    if (at.entry == nullptr || at.size != page_size::k4) {
      if (at.entry != nullptr && at.entry->is_leaf()) use(*at.entry, at.size, base);
      page = base + at.span;
      continue;
    }
    const auto table = page.base(page_size::m2);
    const auto count = std::min(table + page_table_entries, end).value() - page.value();
    for (frame_count i = 0; i < count; ++i) {
      if (at.entry[i].is_leaf()) use(at.entry[i], page_size::k4, page + i);
    }
    page = page + count;
  }
}

}  // namespace memsim
