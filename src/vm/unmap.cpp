// SPDX-License-Identifier: Apache-2.0
// Entries that go, move, or become entries of smaller pages.
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

// The large page's mapping becomes one of each part, with a table that was set aside for it.
void address_space::split_pmd(context& ctx, vpn page, keep_dirty dirty) {
  const auto whole = *table_.find(page, page_size::m2);
  auto& entries = table_.install_deposited(page);
  if (whole.is_zero()) {
    entries.fill(page_entry::zero_page());
  } else {
    const auto flags =
        whole.flags() & ~(dirty == keep_dirty::yes ? std::uint64_t{0} : page_entry::dirty);
    for (frame_count i = 0; i < page_table_entries; ++i) {
      entries[i] = page_entry::page(whole.frame() + i).with(flags);
    }
    vm_->split_mapping(vm_->pages_[whole.frame()].huge());
  }
  flush(ctx, stale_range::of(page.base(page_size::m2), pageblock_frames, page_size::m2));
  ctx.done.entries_written += page_table_entries + 1;
  ++ctx.done.mappings_split;
  ++vm_->counts_.split_pmd;
}

// No large page reaches across an end of what is changed.
void address_space::split_pmd_across(context& ctx, vpn at) {
  if (at == at.base(page_size::m2)) return;
  const auto* const entry = table_.find(at, page_size::m2);
  if (entry != nullptr && entry->is_leaf()) split_pmd(ctx, at, keep_dirty::no);
}

void address_space::unmap(context& ctx, vpn first, vpn end, zap what) {
  split_pmd_across(ctx, first);
  split_pmd_across(ctx, end);
  stale_range stale;
  for_entries(first, end, [&](page_entry& entry, page_size size, vpn page) {
    const bool is_kept =
        !entry.is_poison() && (!entry.is_page() || !vm_->pages_.is_private(entry.frame()));
    if (what == zap::kept_pages && !is_kept) return;
    stale.add(page, size);
    if (size != page_size::k4 && entry.is_page()) {
      if (auto* const area = area_of(page); area->source->granule() != page_size::k4) {
        area->source->unmapping(ctx, {*this, *area}, page, entry.frame());
      }
    }
    unmap_one(ctx, entry, size);
  });
  vm_->end_unmapping();
  flush(ctx, stale);
}

void address_space::unmap_one(context& ctx, page_entry& entry, page_size size) {
  const auto gone = std::exchange(entry, page_entry{});
  ++ctx.done.entries_written;
  const bool is_huge =
      gone.is_zero() || (gone.is_page() && vm_->pages_[gone.frame()].huge() != huge_page_id::none);
  if (size == page_size::m2 && is_huge) table_.withdraw(ctx);
  vm_->unmap_entry(ctx, gone, size);
}

// Tables go where no area is left that could use them.
void address_space::trim_tables(context& ctx, vpn around) {
  const auto above = area_above(around);
  const auto first = above == areas_.begin() ? vpn{} : std::prev(above)->end;
  const auto end = above == areas_.end() ? page_table::end : above->first;
  table_.trim(ctx, first, end);
}

// Calls `use(page, next, target, whole)` for stretches of a move that one entry of `unit` has at
// either end; whole ones are all of it: of a table, or of a large page.
template <class Use>
void address_space::for_stretches(vpn first, vpn end, vpn to, page_size unit, Use use) {
  const auto rest_of_unit = [&](vpn page) {
    return frames_of(unit) - (page.value() - page.base(unit).value());
  };
  for (auto page = first; page < end;) {
    const auto target = to + (page.value() - first.value());
    const auto count = std::min(
        {rest_of_unit(page), rest_of_unit(target), frame_count{end.value() - page.value()}});
    const auto* const entry = table_.find(page, unit);
    if (entry != nullptr && !entry->is_none()) {
      use(page, page + count, target, count == frames_of(unit));
    }
    page = page + count;
  }
}

// All that the move takes of memory, so that it can fail before anything has moved. A table is made
// also where no entry comes to.
std::expected<void, error> address_space::prepare_move(context& ctx, vpn first, vpn end, vpn to,
                                                       page_size unit) {
  std::expected<void, error> done;
  for_stretches(first, end, to, unit, [&](vpn, vpn, vpn target, bool whole) {
    if (!done) return;
    const auto made = table_.make(ctx, target, whole ? unit : page_size::k4);
    if (!made) done = std::unexpected{made.error()};
  });
  return done;
}

// Each stretch is flushed before the next is moved (F9).
void address_space::move_entries(context& ctx, vpn first, vpn end, vpn to, page_size unit) {
  for_stretches(first, end, to, unit, [&](vpn page, vpn next, vpn target, bool whole) {
    if (whole) {
      const auto size = table_.find(page, unit)->is_table() ? page_size::k4 : unit;
      table_.move_whole(ctx, page, target, unit);
      return flush(ctx, stale_range::of(page, frames_of(unit), size));
    }
    if (table_.find(page, page_size::m2)->is_leaf()) split_pmd(ctx, page, keep_dirty::no);
    auto* const from = table_.find(page, page_size::k4);
    auto* const into = table_.find(target, page_size::k4);
    bool any_moved = false;
    for (frame_count i = 0; i < next.value() - page.value(); ++i) {
      if (from[i].is_none()) continue;
      any_moved = true;
      into[i] = std::exchange(from[i], page_entry{});
      ctx.done.entries_written += 2;
    }
    const frame_count moved = any_moved ? next.value() - page.value() : 0;
    flush(ctx, stale_range::of(page, moved, page_size::k4));
  });
}

void address_space::split_huge_pages(context& ctx, vpn first, frame_count pages) {
  for (auto page = first; page < first + pages && area_of(page) != nullptr; page = page + 1) {
    const auto mapped = translate(page);
    if (!mapped) continue;
    const auto huge = vm_->pages_[*mapped].huge();
    // Held ones stay as they are.
    if (huge != huge_page_id::none) static_cast<void>(vm_->split(ctx, huge));
  }
}

std::optional<pfn> address_space::translate(vpn page) const {
  const auto at = table_.walk(page);
  if (at.entry == nullptr || !at.entry->is_page()) return std::nullopt;
  return at.entry->frame() + (page.value() - page.base(at.size).value());
}

}  // namespace memsim
