// SPDX-License-Identifier: Apache-2.0
// MADV_FREE: pages that go when memory is short, unless somebody writes to them before.
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

std::expected<void, error> address_space::discard_lazily(context& ctx, vpn first,
                                                         frame_count pages) {
  check_range(first, pages);
  const activity_scope changing{ctx, *this, activity::changing};
  const auto end = first + pages;
  bool whole = true;
  auto page = first;
  for (auto at = area_above(first); at != areas_.end() && at->first < end; ++at) {
    whole = whole && at->first <= page;
    const auto begin = std::max(at->first, first);
    if (at->source != &vm_->anonymous_ || at->locked) {
      return fail(errc::invalid, "page {} is {}", begin, at->locked ? "locked" : "not anonymous");
    }
    page = std::min(at->end, end);
    free_lazily(ctx, begin, page);
  }
  if (whole && page == end) return {};
  return fail(errc::no_memory, "not all of {} pages from page {} is mapped", pages, first);
}

// What others map as well stays.
void address_space::free_lazily(context& ctx, vpn first, vpn end) {
  split_pmd_across(ctx, first);
  split_pmd_across(ctx, end);
  const auto is_own = [&](pfn page) {
    return vm_->pages_.total_mapcount(page) == vm_->pages_.count(page) &&
           vm_->pages_.mapcount(page) == 1;
  };
  std::vector<huge_page_id> to_split;
  for_entries(first, end, [&](page_entry& entry, page_size size, vpn) {
    if (!entry.is_page() || size != page_size::m2) return;
    if (is_own(entry.frame())) to_split.push_back(vm_->pages_[entry.frame()].huge());
  });
  for (const auto id : to_split) static_cast<void>(vm_->split(ctx, id));
  stale_range stale;
  for_entries(first, end, [&](page_entry& entry, page_size size, vpn page) {
    if (!entry.is_page() || vm_->pages_[entry.frame()].huge() != huge_page_id::none) return;
    if (!is_own(entry.frame())) return;
    entry = entry.without(page_entry::dirty | page_entry::accessed);
    ++ctx.done.entries_written;
    stale.add(page, size);
    vm_->free_lazily(ctx, entry.frame());
  });
  flush(ctx, stale);
}

// On the lists it is like a clean page of a file from now on.
void virtual_memory::free_lazily(context& ctx, pfn page) {
  pages_[page].is_lazily_free = true;
  memory_->assign(ctx, page, {.kind = page_kind::file, .owner = id_});
}

bool virtual_memory::drops(pfn page, std::uint32_t) {
  if (!pages_[page].is_lazily_free || pages_.is_held(page)) return false;
  const auto places = mappings_of(page);
  const auto entry_at = [](const mapping_place& at) -> page_entry& {
    return *at.process->table_.walk(at.page).entry;
  };
  const auto is_dirty = [&](const mapping_place& at) {
    return entry_at(at).has(page_entry::dirty);
  };
  if (std::ranges::any_of(places, is_dirty) || !finds_all_mappings(page) || is_locked(page)) {
    written_again_.push_back(page);
    return false;
  }
  for (const auto& at : places) {
    entry_at(at) = {};
    at.process->flush_moved(at.page, at.size);
  }
  pages_[page] = {};
  charges_.drop(page, 1);
  ++lazily_freed_;
  return true;
}

// Reclaim found that they were written: they are like others again.
void virtual_memory::keep_written(context& ctx) {
  for (const auto page : std::exchange(written_again_, {})) {
    if (!pages_[page].is_lazily_free || pages_.is_held(page)) continue;
    pages_[page].is_lazily_free = false;
    memory_->assign(ctx, page, {.kind = page_kind::anonymous, .owner = id_});
  }
}

}  // namespace memsim
