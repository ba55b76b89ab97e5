// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What hugetlb promises the mappings of a file, taken out of hugetlb: reserve at mmap(), use at a
/// fault, give back. It works on any pool, for a backing of any kind.
///
///     reservation promises{pool, page_size::k4};        // a member of the backing
///     reserve(ctx, of)        ->  promises.reserve(ctx, of)
///     fault(ctx, want)        ->  promises.take(ctx, want.in.area, want.index())
///     fork(ctx, parent, c)    ->  promises.disown(c)
///     unmap(ctx, of)          ->  promises.unmap(ctx, of, mappings())
///     release(ctx, page)      ->  promises.put(ctx, page.first)
///
/// Shared mappings are promised the pages of the file that nobody was promised before; these stay
/// promised until the file loses them. A private mapping is promised a page for each of its own;
/// what is left of that goes with it, and a forked child has none.
///
/// What hugetlb does besides, it does itself: to take a page away from those who were promised none
/// for who was (hugetlb_file).
///
/// It writes to vma::note, in which a backing that has one may keep nothing else.
///
/// Source: docs/linux-rules/hugetlb.md.

#include <cstdint>
#include <expected>
#include <list>
#include <map>
#include <optional>
#include <set>

#include <boost/icl/interval_set.hpp>

#include <memsim/core/context.hpp>
#include <memsim/core/error.hpp>
#include <memsim/core/types.hpp>
#include <memsim/policy/page_pool.hpp>
#include <memsim/policy/subpool.hpp>
#include <memsim/vm/backing.hpp>

namespace memsim {

/// The limits under which a file takes pages, and whether they still are in force.
struct limited_pool {
  subpool limits;
  bool in_use = true;  ///< false: when nothing of it is used, its promises end
};

class reservation {
 public:
  /// \param pool    must outlive it
  /// \param size    of the pool's pages
  /// \param limits  nullptr: none; otherwise must outlive it
  reservation(page_pool& pool, page_size size, limited_pool* limits = nullptr);
  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;

  /// Promises a mapping its pages, unless it is one that wants no promise.
  /// \return errc::no_memory
  [[nodiscard]] std::expected<void, error> reserve(context& ctx, const mapped_area& of);
  /// A forked child's mapping has no part in its parent's promises.
  static void disown(const mapped_area& child) { child.area.note = 0; }
  /// A mapping, or a part of one, ends: what is left of its promises does, too.
  /// \param others  mappings of the same file, which may include it
  void unmap(context& ctx, const mapped_area& of, const std::list<mapped_area>& others);

  /// Whether the mapping itself was promised pages, as who made a private one is.
  [[nodiscard]] static bool is_owner(const vma& area) { return area.note >> owner_shift != 0; }
  /// Marks a mapping whose page was taken away, for somebody who was promised one.
  static void mark_robbed(vma& area) { area.note |= robbed; }
  [[nodiscard]] static bool is_robbed(const vma& area) { return (area.note & robbed) != 0; }

  /// A page for a mapping.
  /// \param index    of the page in its file, in pages of the pool's size
  /// \param outside  rather not by what was promised: for a copy
  /// \return errc::no_space
  [[nodiscard]] std::expected<pfn, error> take(context& ctx, const vma& area, std::uint64_t index,
                                               bool outside = false);
  /// A page for a file that nobody maps there.
  [[nodiscard]] std::expected<pfn, error> take(context& ctx, std::uint64_t index);
  /// A page is not used any more.
  void put(context& ctx, pfn page);
  /// A page that was in use is lost, and with it one of the pool; nothing is promised for it.
  void lose(context& ctx, pfn page);
  /// A page of a shared mapping was taken, and another one is used in its place: it is promised to
  /// that as before.
  void undo(context& ctx, pfn page);
  /// The owner of a private mapping gives a page up, and is promised it again when that is freed.
  void restore(vma& area, std::uint64_t index, pfn page);

  /// The file loses a page that it had; what was promised for it is used up. To be followed by
  /// put().
  void punch(std::uint64_t index);
  /// The file loses all promises from a page on.
  /// \param freed  pages that it had there
  void truncate(context& ctx, std::uint64_t first, std::uint64_t freed);

  /// Pages of the file that are promised or were taken by shared mappings.
  [[nodiscard]] std::uint64_t shared_pages() const { return shared_.size(); }
  /// Whether a fault for the page is sure to get one.
  [[nodiscard]] bool is_promised(const vma& area, std::uint64_t index) const;
  /// Pages that a private mapping was promised and has not taken.
  [[nodiscard]] std::uint64_t left_of(const vma& area) const;

 private:
  using indices = boost::icl::interval_set<std::uint64_t>;
  using interval = indices::interval_type;
  static constexpr unsigned owner_shift = 1;
  static constexpr std::uint32_t robbed = 1;

  [[nodiscard]] interval of(const vma& area) const;
  [[nodiscard]] static std::uint64_t count_within(const indices& set, const interval& where);
  [[nodiscard]] std::expected<pfn, error> take(context& ctx, indices* promised, bool missing,
                                               bool may_be_entitled, std::uint64_t index,
                                               bool outside);
  [[nodiscard]] std::optional<std::uint64_t> take_of_limits(std::uint64_t pages);
  std::uint64_t give_to_limits(context& ctx, std::uint64_t pages);

  page_pool* pool_;
  std::uint64_t frames_;
  limited_pool* limits_;
  indices shared_;                             // promised or taken
  std::map<std::uint32_t, indices> consumed_;  // by owner: what private mappings have taken
  std::uint32_t owners_made_ = 0;
  std::set<pfn> restored_;  // to be promised again when they are freed
};

/// The promises that a pool made to a user of it end, if nothing of it is used any more.
void end_promises(context& ctx, page_pool& pool, limited_pool& limits);

}  // namespace memsim
