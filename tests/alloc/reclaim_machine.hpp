// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A small machine whose pages belong to an owner that does as it is told.

#include <map>
#include <set>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>

#include "catch.hpp"

namespace memsim {

/// Notes what reclaim asks of it.
struct obedient_owner final : page_owner {
  std::map<std::uint32_t, pfn> pages;
  std::set<std::uint32_t> used;       ///< referenced through a mapping since last asked
  std::vector<std::uint32_t> gone{};  ///< in the order in which they were given up
  std::vector<std::uint32_t> written{};
  std::vector<std::uint32_t> swapped{};
  write_outcome writing = write_outcome::written;

  void moved(pfn, pfn to, std::uint32_t tag) override { pages[tag] = to; }
  bool drops(pfn, std::uint32_t tag) override {
    gone.push_back(tag);
    pages.erase(tag);
    return true;
  }
  bool was_referenced(pfn, std::uint32_t tag) override { return used.erase(tag) > 0; }
  write_outcome writes(pfn, std::uint32_t tag) override {
    if (writing != write_outcome::refused) written.push_back(tag);
    return writing;
  }
  write_outcome swaps_out(pfn, std::uint32_t tag) override {
    if (writing != write_outcome::refused) swapped.push_back(tag);
    return writing;
  }
};

/// Lists of allocator_state::lru_lists.
enum lru_list : std::size_t { inactive_anonymous, active_anonymous, inactive_file, active_file };

inline constexpr gfp gfp_without_reclaim = gfp_highuser_movable - gfp_reclaim;

struct reclaim_machine {
  explicit reclaim_machine(const kernel_profile& profile = linux_6_12, bytes size = 64_MiB,
                           const tuning& settings = {})
      : memory{{.memory = memory_map::x86_64(size), .profile = profile, .settings = settings}} {
    owner_number = memory.add_owner(owner);
  }
  reclaim_machine(const reclaim_machine&) = delete;
  reclaim_machine& operator=(const reclaim_machine&) = delete;

  /// A page of the owner's, without reclaim; false if there is none.
  bool add(page_kind kind, gfp flags = gfp_without_reclaim) {
    const auto page = memory.alloc(ctx, order{0}, flags);
    if (!page) return false;
    owner.pages[tags] = *page;
    memory.assign(ctx, *page, {.kind = kind, .owner = owner_number, .tag = tags++});
    return true;
  }
  /// As many as there are, or as `most`. They are on their LRU list then.
  std::uint32_t fill(page_kind kind, std::uint32_t most = ~0u) {
    const auto first = tags;
    while (tags - first < most && add(kind)) {
    }
    memory.flush_lru_batches();
    return tags - first;
  }
  /// Takes what is free, down to the min marks and to the last page on a CPU's list.
  std::vector<pfn> exhaust() {
    std::vector<pfn> taken;
    for (std::size_t before = 1; before != taken.size();) {
      before = taken.size();
      while (const auto page = memory.alloc(ctx, order{0}, gfp_kernel - gfp_reclaim)) {
        taken.push_back(*page);
      }
      memory.drain_all(ctx);
    }
    return taken;
  }
  [[nodiscard]] page_flags flags(std::uint32_t tag) const {
    return memory.page(owner.pages.at(tag)).flags;
  }
  /// A list from head to tail, as tags.
  [[nodiscard]] std::vector<std::uint32_t> list(lru_list which) const {
    std::vector<std::uint32_t> on_it;
    const auto state = memory.state();
    for (const auto page : state.lru_lists[which]) {
      on_it.push_back(memory.page(page).tag);
    }
    return on_it;
  }

  obedient_owner owner;
  page_allocator memory;
  context ctx;
  owner_id owner_number{};
  std::uint32_t tags = 0;
};

}  // namespace memsim
