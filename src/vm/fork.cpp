// SPDX-License-Identifier: Apache-2.0
// A child that shares its parent's pages until somebody writes.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

std::expected<address_space*, error> address_space::fork(context& ctx) {
  if (killed_) return was_killed_error();
  const activity_scope changing{ctx, *this, activity::changing};
  auto& child = vm_->make_process(how_);
  for (auto& area : areas_) {
    if (auto copied = copy_area(ctx, area, child); !copied) {
      flush_all(ctx);
      vm_->exit(ctx, child);
      return std::unexpected{copied.error()};
    }
  }
  // Whatever there was to share (F5).
  flush_all(ctx);
  vm_->enlist(child);
  return &child;
}

std::expected<void, error> address_space::copy_area(context& ctx, vma& from, address_space& child) {
  auto& to = child.add_area(from);
  vm_->place_after(from, to);
  to.locked = false;
  if (auto told = from.source->fork(ctx, {*this, from}, {child, to}); !told) {
    // It has no part in what is then undone.
    child.remove_area(to);
    return told;
  }
  // Without pages of its own there is nothing that could not be had by a fault.
  if (from.own == anon_vma_id::none && !from.source->copies_entries_at_fork()) return {};
  if (from.own != anon_vma_id::none) {
    to.own = anon_vma_id::none;
    child.prepare(to);
  }
  for (auto page = from.first; page < from.end;) {
    auto at = table_.walk(page);
    const vpn base{page.value() / at.span * at.span};
    if (at.entry != nullptr && at.size != page_size::k4 && at.entry->is_leaf()) {
      if (auto copied = share_large(ctx, at, base, from, to, child); !copied) return copied;
      // It may have been split.
      at = table_.walk(page);
    }
    if (at.entry == nullptr || at.size != page_size::k4) {
      page = base + at.span;
      continue;
    }
    const auto next = std::min(page.base(page_size::m2) + page_table_entries, from.end);
    if (auto copied = copy_entries(ctx, page, next, from, to, child); !copied) return copied;
    page = next;
  }
  return {};
}

// A pinned page that is one process's alone stays with it: the mapping of a huge page is split,
// that of a backing's large page copied.
std::expected<void, error> address_space::share_large(context& ctx, const table_walk& at, vpn page,
                                                      vma& from, vma& to, address_space& child) {
  auto& entry = *at.entry;
  const bool is_huge = entry.is_zero() ||
                       (entry.is_page() && vm_->pages_[entry.frame()].huge() != huge_page_id::none);
  const bool stays = entry.is_page() && stays_with_parent(entry.frame());
  if (stays && is_huge) {
    split_pmd(ctx, page, keep_dirty::no);
    return {};
  }
  const auto target = child.table_.make(ctx, page, at.size);
  if (!target) return std::unexpected{target.error()};
  if (is_huge) {
    if (auto set_aside = child.table_.deposit(ctx); !set_aside) return set_aside;
    if (entry.is_table()) {
      // Memory was short, and the page has been split for it.
      child.table_.withdraw(ctx);
      return {};
    }
  }
  if (stays) {
    const auto want = child.request(to, page, purpose::write);
    const auto copy = to.source->copy_on_write(ctx, want, entry.frame());
    // fork() has no SIGBUS.
    if (!copy && copy.error().code() == errc::bus_error) {
      return std::unexpected{error{errc::no_memory, copy.error().message()}};
    }
    if (!copy) return std::unexpected{copy.error()};
    if (*copy == entry.frame()) throw_usage("frame {} is pinned: a copy is another page", *copy);
    child.give(ctx, want, *copy, at.size, entry.frame());
    **target = page_entry::page(*copy).with(entry.flags());
    vm_->map_small(*copy);
    ++ctx.done.entries_written;
    return {};
  }
  if (entry.is_zero()) {
    static_cast<void>(vm_->use_huge_zero_page(ctx, child));
    **target = page_entry::zero_page();
  } else {
    if (entry.is_page()) {
      is_huge ? vm_->map_huge(vm_->pages_[entry.frame()].huge()) : vm_->map_small(entry.frame());
    }
    **target = share(entry, from);
  }
  ctx.done.entries_written += 2;
  return {};
}

// What the child has for an entry. Neither may write to a private page without a fault.
page_entry address_space::share(page_entry& entry, const vma& area) {
  if (entry.is_page()) vm_->pages_[entry.frame()].exclusive = false;
  if (area.with == sharing::private_copies) entry = entry.without(page_entry::writable);
  return entry;
}

bool address_space::stays_with_parent(pfn page) const {
  return has_pinned_ && vm_->how_.cow.fork_spares_pins && vm_->pages_[page].exclusive &&
         vm_->pages_.may_be_pinned(page);
}

std::expected<void, error> address_space::copy_entries(context& ctx, vpn first, vpn end,
                                                       const vma& from, vma& to,
                                                       address_space& child) {
  // The child has a table where its parent has one, with entries or without.
  const auto targets = child.table_.make(ctx, first, page_size::k4);
  if (!targets) return std::unexpected{targets.error()};
  auto* const entries = table_.find(first, page_size::k4);
  for (frame_count i = 0; i < end.value() - first.value(); ++i) {
    auto& entry = entries[i];
    auto& target = (*targets)[i];
    if (entry.is_none()) continue;
    if (entry.is_page() && stays_with_parent(entry.frame())) {
      if (auto copied = child.copy_now(ctx, to, first + i, entry.frame(), target); !copied) {
        return copied;
      }
      continue;
    }
    if (entry.is_page()) vm_->map_small(entry.frame());
    target = share(entry, from);
    ctx.done.entries_written += 2;
  }
  return {};
}

// The child gets a copy of the parent's page.
std::expected<void, error> address_space::copy_now(context& ctx, vma& area, vpn page, pfn original,
                                                   page_entry& entry) {
  const auto fresh =
      vm_->new_page(ctx, request(area, page, purpose::write), vm_->pages_[original].content);
  if (!fresh) return std::unexpected{fresh.error()};
  ++vm_->fault_counts_.fork_copies;
  ++ctx.done.pages_copied;
  ++ctx.done.entries_written;
  entry = page_entry::page(*fresh).with(page_entry::dirty);
  if (area.allowed == protection::read_write) entry.set(page_entry::writable);
  vm_->map_small(*fresh);
  return {};
}

}  // namespace memsim
