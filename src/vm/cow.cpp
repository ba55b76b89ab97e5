// SPDX-License-Identifier: Apache-2.0
// Writes to pages that are write-protected: taken over, copied, or split first.
#include <vector>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

bool virtual_memory::may_reuse(pfn page, reuse_test test) const {
  switch (test) {
    case reuse_test::never: return false;
    case reuse_test::sole_mapping_and_reference:
      return pages_.mapcount(page) == 1 && pages_.count(page) == 1;
    case reuse_test::highest_mapcount: return pages_.highest_mapcount(page) == 1;
    case reuse_test::sole_reference: return pages_.count(page) == 1;
    case reuse_test::exclusive: return pages_[page].exclusive;
    case reuse_test::exclusive_or_sole_reference:
      return pages_[page].exclusive || pages_.count(page) == 1;
  }
  std::unreachable();
}

// The page is one process's alone; the reverse map is told where to look, as the kernel does it.
void virtual_memory::take_over(pfn page, const vma& area) {
  ++fault_counts_.reuses;
  auto& p = pages_[page];
  if (how_.cow.part_owner == owner_move::if_sole_reference) {
    if (!p.exclusive && pages_.count(page) == 1) own(page, area);
  } else if (how_.cow.part_owner == owner_move::always || pages_.total_mapcount(page) == 1) {
    own(page, area);
  }
  p.exclusive = true;
}

// To 5.8 a huge page that is mapped whole stays with its anon_vma.
void virtual_memory::take_over_whole(pfn page, const vma& area) {
  ++fault_counts_.reuses;
  auto& p = pages_[page];
  if (!p.exclusive && how_.cow.part_owner == owner_move::if_sole_reference) own(page, area);
  p.exclusive = true;
}

void virtual_memory::own(pfn page, const vma& area) {
  auto& owner = pages_[pages_.head_of(page)].owner;
  if (std::exchange(owner, area.own) == area.own) return;
  fault_counts_.lost_mappings += pages_.total_mapcount(page) - mappings_of(page).size();
}

bool address_space::is_enough(const table_walk& at, const vma& area, purpose how) const {
  const auto entry = *at.entry;
  if (how == purpose::write) return entry.is_present() && entry.has(page_entry::writable);
  if (how == purpose::read || area.with == sharing::shared_pages || !entry.is_page()) return true;
  return !vm_->pages_.is_private(entry.frame()) || vm_->pages_[entry.frame()].exclusive;
}

// There is a page, but not for this.
std::expected<void, error> address_space::fault_protected(context& ctx, vma& area, vpn page,
                                                          const table_walk& at, purpose how) {
  auto& entry = *at.entry;
  const auto use = [&] {
    if (how == purpose::write) entry.set(page_entry::writable | page_entry::dirty);
    ++ctx.done.entries_written;
    return std::expected<void, error>{};
  };
  if (area.with == sharing::shared_pages) {
    if (!entry.is_bare()) {
      const auto may = area.source->make_writable(ctx, request(area, page, how), entry.frame());
      // It may have been replaced, or gone to make room.
      if (!may || !entry.is_present()) return may;
    }
    return use();
  }
  const auto& rules = vm_->how_.cow;
  const auto huge = entry.is_page() ? vm_->pages_[entry.frame()].huge() : huge_page_id::none;
  if (at.size == page_size::k4) {
    if (entry.is_page() && vm_->pages_.is_private(entry.frame())) {
      const auto test = huge == huge_page_id::none ? rules.single : rules.part;
      if (vm_->may_reuse(entry.frame(), test)) {
        vm_->take_over(entry.frame(), area);
        return use();
      }
    }
    return replace(ctx, area, page, entry, how);
  }
  if (huge == huge_page_id::none && !entry.is_zero()) {
    return copy_large(ctx, area, page, at, how);
  }
  if (entry.is_page() && vm_->may_reuse(entry.frame(), rules.whole)) {
    vm_->take_over_whole(entry.frame(), area);
    return use();
  }
  if (rules.whole_copy == huge_copy::whole) return copy_huge(ctx, area, page, entry);
  split_pmd(ctx, page, keep_dirty::no);
  return {};
}

// Its process was killed while the page was allocated: there is nothing to map it to.
std::expected<void, error> address_space::drop_killed(context& ctx, pfn fresh) {
  vm_->free_if_unused(ctx, fresh);
  return was_killed_error();
}

// By a huge page of its own or, without one, by small ones.
std::expected<void, error> address_space::copy_huge(context& ctx, vma& area, vpn page,
                                                    page_entry& entry) {
  prepare(area);
  const auto first = page.base(page_size::m2);
  const auto advised = area.advice == thp_advice::huge ? huge_advice::madvised : huge_advice::none;
  const auto fresh = vm_->new_huge_page(ctx, request(area, first, purpose::write),
                                        huge_fault_flags(vm_->how_.defrag, advised));
  if (!fresh) {
    ++vm_->counts_.fault_fallback;
    if (killed_) return was_killed_error();
    if (entry.is_table()) return {};
    if (entry.is_page()) return copy_parts(ctx, area, first, entry);
    split_pmd(ctx, page, keep_dirty::no);
    return {};
  }
  if (killed_) return drop_killed(ctx, vm_->pages_[*fresh].first);
  if (entry.is_table()) {
    // Memory was short, and the page has been split for it: small pages are copied.
    vm_->free_if_unused(ctx, vm_->pages_[*fresh].first);
    return {};
  }
  ++vm_->counts_.fault_alloc;
  // To allocate may have moved the page, but not the entry.
  const auto old = entry;
  if (old.is_page()) {
    const auto target = vm_->pages_[*fresh].first;
    for (frame_count i = 0; i < pageblock_frames; ++i) {
      vm_->pages_[target + i].content = vm_->pages_[old.frame() + i].content;
    }
    ++vm_->fault_counts_.huge_copies;
    vm_->fault_counts_.needless_copies += vm_->pages_.highest_mapcount(old.frame()) == 1;
    ctx.done.pages_copied += pageblock_frames;
  } else {
    ctx.done.pages_zeroed += pageblock_frames;
  }
  map_whole(ctx, entry, area, *fresh);
  vm_->unmap_entry(ctx, old, page_size::m2);
  flush(ctx, stale_range::of(first, pageblock_frames, page_size::m2));
  return {};
}

std::expected<void, error> address_space::copy_parts(context& ctx, vma& area, vpn page,
                                                     page_entry whole) {
  std::vector<pfn> copies;
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    const auto content = vm_->pages_[whole.frame() + i].content;
    const auto copy = vm_->new_page(ctx, request(area, page + i, purpose::write), content);
    if (copy) copies.push_back(*copy);
    // Likewise.
    whole = *table_.find(page, page_size::m2);
    if (!copy || killed_ || whole.is_table()) {
      for (const auto c : copies) vm_->free_if_unused(ctx, c);
      if (killed_) return was_killed_error();
      return whole.is_table() ? std::expected<void, error>{} : std::unexpected{copy.error()};
    }
  }
  vm_->fault_counts_.copies += pageblock_frames;
  vm_->fault_counts_.needless_copies += vm_->pages_.highest_mapcount(whole.frame()) == 1;
  ctx.done.pages_copied += pageblock_frames;
  ctx.done.entries_written += pageblock_frames + 1;
  auto& entries = table_.install_deposited(page);
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    entries[i] = page_entry::page(copies[i]).with(page_entry::writable | page_entry::dirty);
    vm_->map_small(copies[i]);
  }
  vm_->unmap_entry(ctx, whole, page_size::m2);
  flush(ctx, stale_range::of(page, pageblock_frames, page_size::m2));
  return {};
}

// A page of a backing whose pages are large: it says by what it is replaced.
std::expected<void, error> address_space::copy_large(context& ctx, vma& area, vpn page,
                                                     const table_walk& at, purpose how) {
  const auto first = page.base(at.size);
  const auto shared = at.entry->frame();
  const auto want = request(area, first, purpose::write);
  const auto fresh = area.source->copy_on_write(ctx, want, shared);
  if (!fresh) {
    if (fresh.error().code() == errc::again) return {};
    return std::unexpected{fresh.error()};
  }
  if (killed_ && *fresh == shared) return was_killed_error();
  if (*fresh != shared) {
    prepare(area);
    give(ctx, want, *fresh, at.size, shared);
  }
  if (killed_) return drop_killed(ctx, *fresh);
  vm_->pages_[*fresh].exclusive = true;
  auto next = page_entry::page(*fresh);
  if (how == purpose::write) next.set(page_entry::writable | page_entry::dirty);
  const auto old = std::exchange(*at.entry, next);
  ++ctx.done.entries_written;
  if (*fresh == shared) return {};
  vm_->map_small(*fresh);
  vm_->unmap_entry(ctx, old, at.size);
  flush(ctx, stale_range::of(first, frames_of(at.size), at.size));
  return {};
}

// By a page of its own with the same contents.
std::expected<void, error> address_space::replace(context& ctx, vma& area, vpn page,
                                                  page_entry& entry, purpose how) {
  prepare(area);
  const bool has_content = entry.is_page() || entry.is_bare();
  const auto content = has_content ? vm_->content(entry.frame()) : 0;
  const auto fresh = vm_->new_page(ctx, request(area, page, how), content);
  if (!fresh) return std::unexpected{fresh.error()};
  auto next = page_entry::page(*fresh);
  if (how == purpose::write) next.set(page_entry::writable | page_entry::dirty);
  const auto old = std::exchange(entry, next);
  ++ctx.done.entries_written;
  vm_->map_small(*fresh);
  if (!old.is_none()) flush(ctx, stale_range::of(page, 1, page_size::k4));
  if (!has_content) {
    ++ctx.done.pages_zeroed;
    return {};
  }
  ++ctx.done.pages_copied;
  if (old.is_bare()) {
    ++vm_->fault_counts_.copies;
    return {};
  }
  if (how == purpose::unshare) {
    ++vm_->fault_counts_.unshared;
  } else {
    ++vm_->fault_counts_.copies;
    vm_->fault_counts_.needless_copies +=
        vm_->pages_.is_private(old.frame()) && vm_->pages_.mapcount(old.frame()) == 1;
  }
  vm_->unmap_small(ctx, old.frame());
  vm_->end_unmapping();
  return {};
}

}  // namespace memsim
