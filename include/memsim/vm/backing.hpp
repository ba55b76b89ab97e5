// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What mappings are backed by: the one place where a policy of memory plugs in.
///
/// A backing is a file, a device, or anonymous memory. Processes map it; it says what its pages
/// are. Page tables, private copies, huge pages, pins and the reverse map are virtual_memory's.
///
///     struct scratch final : backing {            // pages that are kept until it is gone
///       using backing::backing;
///       std::map<std::uint64_t, pfn> pages;
///       std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override
///       {
///         auto& page = pages[want.index()];
///         if (page == pfn{}) page = *vm().memory().alloc(ctx, order{0}, gfp_highuser_movable);
///         return backing_page{.what = backing_page::kept, .first = page};
///       }
///     };
///     scratch file{vm};
///     process.mmap(ctx, 16, {.source = &file, .with = sharing::shared_pages});
///
/// docs/extending.md builds one that is worth having.

#include <cstdint>
#include <expected>
#include <list>
#include <optional>

#include <memsim/alloc/gfp.hpp>
#include <memsim/arch/virtual_page.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/vm/memory_access.hpp>
#include <memsim/vm/vma.hpp>

namespace memsim {

class address_space;
class virtual_memory;

/// A mapping, as its backing sees it. It may write to `area.note`, and to nothing else of it.
struct mapped_area {
  address_space& process;
  vma& area;
};

/// A page that a process uses and has no entry for, or none that is good enough.
struct fault_request {
  mapped_area in;
  vpn page;
  memory_access how;

  /// Of the page in the backing, in pages of 4 KiB.
  [[nodiscard]] std::uint64_t index() const { return in.area.number_of(page); }
};

/// What a backing has for a page.
struct backing_page {
  enum kind : unsigned char {
    zeroes,   ///< nothing: a private page of zeroes, or a huge one, is made when it is written
    kept,     ///< a page that the backing keeps, and of which private mappings take copies
    given,    ///< a page for this process alone, by allocate(); forked children share it
    no_page,  ///< frames without descriptors: nobody counts their mappings, nobody can hold them
  };

  kind what = zeroes;
  pfn first{};
  page_size size = page_size::k4;  ///< the granule; the page and `first` are aligned to it
  /// Set: it has just been taken and filled with this, in every 4 KiB; 0: zeroes. Otherwise its
  /// contents are as they were, or zeroes, if it was never mapped.
  std::optional<std::uint64_t> filled{};
  /// Whether a shared mapping may write to it at once; otherwise make_writable() is asked.
  bool writable = false;
};

/// A page that nobody maps or holds any more.
struct released_page {
  pfn first{};
  order size{};
  bool is_private = false;  ///< it was allocated or given, and not kept
  std::uint64_t index = 0;
};

/// What a backing could do about a page that the machine has lost.
enum class failure_outcome : unsigned char {
  recovered,  ///< the contents can be had again: who touches the page gets another
  lost,       ///< who maps it gets SIGBUS, and whoever is given the same frame again
};

/// Its verbs are called by the virtual memory that it belongs to. Those with a `context` may use
/// the allocator; none may change mappings but by virtual_memory's own verbs for it.
class backing {
 public:
  /// \param vm  whose processes map it; must outlive it
  explicit backing(virtual_memory& vm);
  backing(const backing&) = delete;
  backing& operator=(const backing&) = delete;
  /// Nothing maps it, and no private page of its is in memory.
  virtual ~backing();

  [[nodiscard]] virtual_memory& vm() const { return *vm_; }
  /// Its number among those of its virtual memory, from 1.
  [[nodiscard]] std::uint32_t id() const { return id_; }
  /// Areas that map it, by their first page of it; among equals a child's directly after its
  /// parent's, and otherwise in the order in which they were made. One that was cut is as if it
  /// were new: Linux takes it out of its tree for that.
  [[nodiscard]] const std::list<mapped_area>& mappings() const { return mappings_; }

  /// Mappings are multiples of it; so is what is unmapped of them.
  [[nodiscard]] virtual page_size granule() const { return page_size::k4; }
  /// Whether its pages may be held: get_user_pages() fails otherwise with EFAULT.
  [[nodiscard]] virtual bool lends_pages() const { return true; }
  /// Whether areas that continue each other become one.
  [[nodiscard]] virtual bool joins_areas() const { return true; }
  /// Whether a child has its parent's entries also for shared pages, instead of faults.
  [[nodiscard]] virtual bool copies_entries_at_fork() const { return false; }

  /// Promises what a mapping may use, at mmap(), unless `of.area.no_reserve`. What it returns is
  /// what mmap() returns; what was mapped in its place is gone then, as in Linux.
  [[nodiscard]] virtual std::expected<void, error> reserve(context& ctx, const mapped_area& of);
  /// The page that a process uses.
  /// \return errc::bus_error (SIGBUS), errc::no_memory
  [[nodiscard]] virtual std::expected<backing_page, error> fault(context& ctx,
                                                                 const fault_request& want) = 0;
  /// A private page: for zeroes that are written, or for a copy. From the page allocator, unless
  /// overridden.
  /// \return errc::no_memory
  [[nodiscard]] virtual std::expected<pfn, error> allocate(context& ctx, const fault_request& want,
                                                           order size, gfp flags);
  /// Lets a shared mapping write to a page that is mapped to be read.
  [[nodiscard]] virtual std::expected<void, error> make_writable(context& ctx,
                                                                 const fault_request& want,
                                                                 pfn page);
  /// For a granule above 4 KiB: the page to be written instead of `shared`, which may be the same.
  /// \return errc::again to have the fault begin anew, with whatever is mapped then;
  ///         errc::bus_error, errc::no_memory
  /// \throws usage_error unless overridden
  [[nodiscard]] virtual std::expected<pfn, error> copy_on_write(context& ctx,
                                                                const fault_request& want,
                                                                pfn shared);
  /// A process wrote to a page that is kept.
  virtual void written(std::uint64_t index, std::uint64_t content);
  /// A child has the same mapping as its parent. If it is refused so is fork(), and unmap() does
  /// not come for it.
  [[nodiscard]] virtual std::expected<void, error> fork(context& ctx, const mapped_area& parent,
                                                        const mapped_area& child);
  /// For a granule above 4 KiB: an entry of a mapping is about to go.
  virtual void unmapping(context& ctx, const mapped_area& of, vpn page, pfn frame);
  /// A mapping, or the part of it that its area stands for, is gone; the entries of all that goes
  /// with it are already.
  virtual void unmap(context& ctx, const mapped_area& of);
  /// The last mapping is gone, and what unmapped it is done. It may end itself.
  virtual void unused(context& ctx);
  /// Nobody maps or holds a page any more. Private ones go to the page allocator and kept ones
  /// stay, unless overridden.
  virtual void release(context& ctx, const released_page& page);
  /// Gives up pages of [first, first + count); nobody maps them any more.
  virtual void punch_hole(context& ctx, std::uint64_t first, frame_count count);
  /// Gives up the pages from `size` on, and has no more from then on.
  virtual void truncate(context& ctx, std::uint64_t size);
  /// A page that it keeps, or its frame without a descriptor, is lost; nobody maps it any more.
  virtual failure_outcome memory_failure(context& ctx, std::uint64_t index);
  /// A private page that it allocated or gave is lost, for a granule above 4 KiB; release() does
  /// not come for it.
  virtual void lost(context& ctx, const released_page& page);
  /// Which page lies in a frame without a descriptor, if it is one of its.
  [[nodiscard]] virtual std::optional<std::uint64_t> index_of(pfn frame) const;

 private:
  friend class virtual_memory;

  virtual_memory* vm_;
  std::uint32_t id_;
  std::list<mapped_area> mappings_;
};

/// Zeroes that are private when written. Huge pages are where virtual_memory_config says.
class anonymous_backing final : public backing {
 public:
  using backing::backing;
  std::expected<backing_page, error> fault(context& ctx, const fault_request& want) override;
};

}  // namespace memsim
