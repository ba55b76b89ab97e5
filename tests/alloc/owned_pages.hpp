// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// An owner for tests: knows where each of its pages is, as long as it is told.

#include <cstdint>
#include <map>
#include <set>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim {

class owned_pages final : public page_owner {
 public:
  explicit owned_pages(page_allocator& memory) : memory_{memory}, id_{memory.add_owner(*this)} {}

  /// Takes a page and assigns it.
  /// \return its tag, or nothing if there was no memory
  std::optional<std::uint32_t> add(context& ctx, page_kind kind = page_kind::anonymous,
                                   gfp flags = gfp_highuser_movable, order size = order{0}) {
    const auto page = memory_.alloc(ctx, size, flags);
    if (!page) return std::nullopt;
    const auto tag = next_++;
    where[tag] = *page;
    memory_.assign(ctx, *page, {.kind = kind, .owner = id_, .tag = tag});
    return tag;
  }
  void remove(context& ctx, std::uint32_t tag, order size = order{0}) {
    memory_.free(ctx, where.at(tag), size);
    where.erase(tag);
  }

  bool lends(pfn, std::uint32_t tag) override { return !keeps.contains(tag); }
  bool lets_move(pfn, pfn, std::uint32_t tag) override { return !stays.contains(tag); }
  void moved(pfn from, pfn to, std::uint32_t tag) override {
    lost_track = lost_track || where.at(tag) != from;
    where[tag] = to;
    ++moves;
  }
  bool drops(pfn page, std::uint32_t tag) override {
    if (!gives_up) return false;
    lost_track = lost_track || where.at(tag) != page;
    where.erase(tag);
    return true;
  }

  [[nodiscard]] owner_id id() const { return id_; }

  std::map<std::uint32_t, pfn> where;
  std::set<std::uint32_t> keeps;  ///< driver pages that it does not lend
  std::set<std::uint32_t> stays;  ///< pages that it does not let go
  bool gives_up = true;           ///< clean file pages
  bool lost_track = false;
  std::uint64_t moves = 0;

 private:
  page_allocator& memory_;
  owner_id id_;
  std::uint32_t next_ = 0;
};

}  // namespace memsim
