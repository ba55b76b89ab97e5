// SPDX-License-Identifier: Apache-2.0
// Small pages that become a huge one: what MADV_COLLAPSE and khugepaged share.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

std::expected<void, error> address_space::collapse(context& ctx, vpn first) {
  check_range(first, pageblock_frames);
  const activity_scope changing{ctx, *this, activity::changing};
  if (first != first.base(page_size::m2)) {
    return fail(errc::invalid, "page {} does not begin 2 MiB", first);
  }
  const auto above = area_above(first);
  if (above == areas_.end() || above->first >= first + pageblock_frames) {
    return fail(errc::no_memory, "nothing is mapped in the 2 MiB from page {}", first);
  }
  auto* const area = &*above;
  const auto refuse = [&](std::string_view why) {
    return fail(errc::invalid, "2 MiB from page {}: {}", first, why);
  };
  if (area->first > first || area->end < first + pageblock_frames) return refuse("not of one area");
  if (area->advice == thp_advice::no_huge) return refuse("advised against");
  // Modelling assumption: only anonymous memory, not files.
  if (area->source != &vm_->anonymous_) return refuse("not anonymous");
  if (area->own == anon_vma_id::none) return refuse("nothing of it was ever used");
  auto* const pmd = table_.find(first, page_size::m2);
  if (pmd == nullptr || pmd->is_none()) return refuse("nothing of it is in memory");
  if (pmd->is_leaf()) return {};
  const auto found = look_at_table(ctx, first);
  if (found.lost) return refuse("a page was lost");
  if (found.held) return fail(errc::again, "page {} is held", *found.held);
  if (found.writable == 0) return refuse("nothing of it is writable");
  return replace_table(ctx, *area, first);
}

// There is a table. Pages are shared if anybody else maps them.
address_space::table_census address_space::look_at_table(context& ctx, vpn first) {
  table_census found;
  const auto* const entries = table_.find(first, page_size::k4);
  ctx.done.entries_scanned += page_table_entries;
  for (frame_count i = 0; i < page_table_entries; ++i) {
    const auto entry = entries[i];
    found.writable += entry.has(page_entry::writable);
    if (entry.is_poison() && !found.lost) found.lost = first + i;
    if (!entry.is_page()) {
      ++found.none;
      continue;
    }
    found.shared += vm_->pages_.mapcount(entry.frame()) > 1;
    found.referenced += entry.has(page_entry::accessed);
    if (!found.held && vm_->pages_.is_held(entry.frame())) found.held = first + i;
  }
  return found;
}

// By a huge page with the same contents. The area has all of its 2 MiB.
std::expected<void, error> address_space::replace_table(context& ctx, vma& area, vpn first) {
  const auto huge = vm_->new_huge_page(ctx, request(area, first, purpose::write), gfp_transhuge);
  const bool was_had = huge || huge.error().code() == errc::busy;
  ++(was_had ? vm_->counts_.collapse_alloc : vm_->counts_.collapse_alloc_failed);
  if (!huge) return std::unexpected{huge.error()};
  const auto fresh = vm_->pages_[*huge].first;
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    auto& entry = *table_.find(first + i, page_size::k4);
    const auto old = std::exchange(entry, page_entry{});
    ++ctx.done.entries_written;
    ++(old.is_page() ? ctx.done.pages_copied : ctx.done.pages_zeroed);
    if (!old.is_page()) continue;
    vm_->pages_[fresh + i].content = vm_->pages_[old.frame()].content;
    vm_->unmap_small(ctx, old.frame());
  }
  vm_->end_unmapping();
  flush(ctx, stale_range::of(first, pageblock_frames, page_size::k4));
  table_.set_aside(first);
  map_whole(ctx, *table_.find(first, page_size::m2), area, *huge);
  ++ctx.done.mappings_collapsed;
  return {};
}

}  // namespace memsim
