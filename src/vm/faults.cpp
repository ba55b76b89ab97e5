// SPDX-License-Identifier: Apache-2.0
// What an access finds, and what is done when that is not enough.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

std::expected<std::uint64_t, error> address_space::read(context& ctx, vpn page) {
  if (tlbs_ != nullptr) return read_cached(ctx, page);
  const auto at = fault(ctx, page, purpose::read, cause::access);
  if (!at) return std::unexpected{at.error()};
  at->entry->set(page_entry::accessed);
  return content_at(*at, page);
}

std::expected<void, error> address_space::write(context& ctx, vpn page, std::uint64_t content) {
  if (tlbs_ != nullptr) return write_cached(ctx, page, content);
  const auto at = fault(ctx, page, purpose::write, cause::access);
  if (!at) return std::unexpected{at.error()};
  at->entry->set(page_entry::accessed | page_entry::dirty);
  set_content(page, at->entry->frame() + (page.value() - page.base(at->size).value()), content);
  return {};
}

void address_space::set_content(vpn page, pfn frame, std::uint64_t content) {
  vm_->set_content(frame, content);
  const auto* const area = area_of(page);
  if (area != nullptr && area->with == sharing::shared_pages) {
    area->source->written(area->number_of(page), content);
  }
}

std::uint64_t address_space::content_at(const table_walk& at, vpn page) const {
  if (at.entry->is_zero()) return 0;
  return vm_->content(at.entry->frame() + (page.value() - page.base(at.size).value()));
}

fault_request address_space::request(vma& area, vpn page, purpose how) {
  return {.in = {*this, area},
          .page = page,
          .how = how == purpose::write ? memory_access::write : memory_access::read};
}

// The entry through which the access can be made. Whoever is killed for it has none.
std::expected<table_walk, error> address_space::fault(context& ctx, vpn page, purpose how,
                                                      cause why) {
  const auto enter = [&] {
    if (why == cause::access) ++ctx.done.page_faults;
  };
  auto* const area = area_of(page);
  const auto needed = how == purpose::write ? protection::read_write : protection::read;
  if (area == nullptr || area->allowed < needed) {
    enter();
    if (killed_) return was_killed_error();
    return fail(errc::bad_address, "page {} {}", page,
                area == nullptr ? "is not mapped" : "may not be used so");
  }
  auto at = table_.walk(page);
  if (at.entry != nullptr && at.entry->is_present() && is_enough(at, *area, how)) return at;
  enter();
  const auto done = [&] {
    const activity_scope faulting{ctx, *this, activity::faulting};
    return resolve(ctx, *area, page, at, how);
  }();
  if (killed_) return was_killed_error();
  if (!done) return std::unexpected{done.error()};
  return table_.walk(page);
}

// A huge page may be split first, and a page be mapped before it is copied.
std::expected<void, error> address_space::resolve(context& ctx, vma& area, vpn page, table_walk at,
                                                  purpose how) {
  ++vm_->fault_counts_.faults;
  if (!vm_->written_again_.empty()) vm_->keep_written(ctx);
  do {
    auto done = at.entry == nullptr || at.entry->is_none() ? fault_missing(ctx, area, page, how)
                : at.entry->is_poison() ? fail(errc::bus_error, "page {} was lost", page)
                                        : fault_protected(ctx, area, page, at, how);
    if (!done || killed_) return done;
    at = table_.walk(page);
  } while (!is_enough(at, area, how));
  return {};
}

std::expected<void, error> address_space::fault_missing(context& ctx, vma& area, vpn page,
                                                        purpose how) {
  const auto want = request(area, page, how);
  if (const auto granule = area.source->granule(); granule != page_size::k4) {
    // What a page was promised for is not taken in vain.
    const auto made = table_.make(ctx, page.base(granule), granule);
    if (!made) return std::unexpected{made.error()};
  }
  const auto found = area.source->fault(ctx, want);
  if (!found) return std::unexpected{found.error()};
  if (found->what == backing_page::zeroes) {
    if (area.with == sharing::shared_pages || area.source->granule() != page_size::k4) {
      throw_usage("page {}: zeroes are for private mappings of pages of 4K", page);
    }
    return fault_zeroes(ctx, area, page, how);
  }
  return map_backing(ctx, want, *found);
}

// Tables are made first. If memory is short for them a page that the backing keeps may go: it is
// asked again then.
std::expected<page_entry*, error> address_space::make_entry(context& ctx, const fault_request& want,
                                                            backing_page& found) {
  const auto before = table_.tables();
  auto made = table_.make(ctx, want.page.base(found.size), found.size);
  if (!made || found.what != backing_page::kept || table_.tables() == before) return made;
  const auto again = want.in.area.source->fault(ctx, want);
  if (!again) return std::unexpected{again.error()};
  const auto filled = again->first == found.first && !again->filled ? found.filled : again->filled;
  found = *again;
  found.filled = filled;
  return made;
}

std::expected<void, error> address_space::fault_zeroes(context& ctx, vma& area, vpn page,
                                                       purpose how) {
  const auto at = table_.walk(page);
  if ((at.entry == nullptr || at.size != page_size::k4) && may_be_huge(area, page)) {
    const auto made = make_huge(ctx, area, page, how);
    if (!made) return std::unexpected{made.error()};
    if (*made) return {};
  }
  const auto made = table_.make(ctx, page, page_size::k4);
  if (!made) return std::unexpected{made.error()};
  if (how == purpose::write) return replace(ctx, area, page, **made, how);
  **made = page_entry::zero_page();
  ++ctx.done.entries_written;
  return {};
}

// The page of a backing, or for a private write a copy of it.
std::expected<void, error> address_space::map_backing(context& ctx, const fault_request& want,
                                                      backing_page found) {
  auto& area = want.in.area;
  const bool is_shared = area.with == sharing::shared_pages;
  const bool is_copied = !is_shared && found.what == backing_page::kept;
  const auto check = [&] {
    if (found.size == area.source->granule() && found.first.value() % frames_of(found.size) == 0) {
      return;
    }
    throw_usage("a backing with pages of {} gave one of {} at frame {}", area.source->granule(),
                found.size, found.first);
  };
  check();
  const auto base = want.page.base(found.size);
  const auto made = make_entry(ctx, want, found);
  if (!made) {
    if (found.what == backing_page::given) drop_given(ctx, want, found);
    return std::unexpected{made.error()};
  }
  check();
  if (killed_) {
    if (found.what == backing_page::given) drop_given(ctx, want, found);
    return was_killed_error();
  }
  if (vm_->is_lost(found.first)) return fail(errc::bus_error, "page {} was lost", want.page);
  if (found.what == backing_page::no_page) {
    if (found.filled) fill(found);
    **made = page_entry::bare(found.first);
  } else if (found.what == backing_page::given) {
    prepare(area);
    give(ctx, want, found.first, found.size, std::nullopt);
    if (found.filled) fill(found);
    vm_->map_small(found.first);
    **made = page_entry::page(found.first);
  } else {
    vm_->keep(*area.source, area.number_of(base), found);
    vm_->map_small(found.first);
    **made = page_entry::page(found.first);
  }
  ++ctx.done.entries_written;
  const bool may_write = area.allowed == protection::read_write && !is_copied;
  if (may_write && (found.writable || found.what != backing_page::kept)) {
    (*made)->set(page_entry::writable);
  }
  return {};
}

void address_space::fill(const backing_page& found) {
  for (frame_count i = 0; i < frames_of(found.size); ++i) {
    vm_->fill(found.first + i, *found.filled);
  }
}

// There is nothing to map it to any more.
void address_space::drop_given(context& ctx, const fault_request& want, const backing_page& found) {
  const auto& area = want.in.area;
  area.source->release(ctx, {.first = found.first,
                             .size = order_of(found.size),
                             .is_private = true,
                             .index = area.number_of(want.page.base(found.size))});
}

bool address_space::may_be_huge(const vma& area, vpn page) const {
  const auto first = page.base(page_size::m2);
  if (first < area.first || area.end < first + pageblock_frames) return false;
  if (area.advice == thp_advice::no_huge) return false;
  const auto enabled = vm_->how_.huge_pages;
  return enabled == thp_enabled::always ||
         (enabled == thp_enabled::madvise && area.advice == thp_advice::huge);
}

// False: there is none, it is a matter of small pages now.
std::expected<bool, error> address_space::make_huge(context& ctx, vma& area, vpn page,
                                                    purpose how) {
  prepare(area);
  const auto first = page.base(page_size::m2);
  const auto entry = table_.make(ctx, first, page_size::m2);
  if (!entry) return std::unexpected{entry.error()};
  if (auto set_aside = table_.deposit(ctx); !set_aside) return std::unexpected{set_aside.error()};
  if (how == purpose::read && vm_->how_.use_huge_zero_page) {
    if (vm_->use_huge_zero_page(ctx, *this)) {
      **entry = page_entry::zero_page();
      ++ctx.done.entries_written;
      return true;
    }
  } else {
    const auto advised =
        area.advice == thp_advice::huge ? huge_advice::madvised : huge_advice::none;
    const auto huge = vm_->new_huge_page(ctx, request(area, first, how),
                                         huge_fault_flags(vm_->how_.defrag, advised));
    if (huge) {
      ctx.done.pages_zeroed += pageblock_frames;
      ++vm_->counts_.fault_alloc;
      map_whole(ctx, **entry, area, *huge);
      return true;
    }
    if (huge.error().code() == errc::busy) ++vm_->counts_.fault_fallback_charge;
  }
  table_.withdraw(ctx);
  ++vm_->counts_.fault_fallback;
  return false;
}

void address_space::map_whole(context& ctx, page_entry& entry, const vma& area, huge_page_id huge) {
  entry = page_entry::page(vm_->pages_[huge].first).with(page_entry::dirty);
  if (area.allowed == protection::read_write) entry.set(page_entry::writable);
  ++ctx.done.entries_written;
  vm_->map_huge(huge);
}

// A page of a backing is this process's own from now on.
void address_space::give(context& ctx, const fault_request& want, pfn page, page_size size,
                         std::optional<pfn> copied) {
  const auto frames = frames_of(size);
  const auto& area = want.in.area;
  auto& head = vm_->pages_.add_large(page, size);
  for (frame_count i = 0; i < frames && copied; ++i) {
    vm_->pages_[page + i].content = vm_->content(*copied + i);
  }
  head.number = area.number_of(want.page.base(size));
  head.owner = area.own;
  head.source = area.source->id();
  head.exclusive = true;
  (copied ? ctx.done.pages_copied : ctx.done.pages_zeroed) += frames;
}

std::expected<std::vector<held_page>, error> address_space::hold(context& ctx, vpn first,
                                                                 frame_count pages,
                                                                 const hold_mode& how) {
  check_range(first, pages);
  const bool is_pin = how.kind == hold_kind::pin;
  if (is_pin) has_pinned_ = true;
  auto needed = how.access == memory_access::write ? purpose::write : purpose::read;
  if (is_pin && needed == purpose::read && vm_->how_.cow.unshares_for_read_pins) {
    needed = purpose::unshare;
  }
  const auto hold_one = [&](vpn page) -> std::expected<held_page, error> {
    const auto at = fault(ctx, page, needed, cause::kernel);
    if (!at) return std::unexpected{at.error()};
    if (at->entry->is_zero()) return held_page{};
    if (at->entry->is_bare() || !area_of(page)->source->lends_pages()) {
      return fail(errc::bad_address, "page {} is of memory that is not lent", page);
    }
    const auto held = vm_->hold(ctx, *translate(page), how);
    if (!held) return std::unexpected{held.error()};
    return held_page{*held};
  };
  std::vector<held_page> held;
  for (frame_count i = 0; i < pages; ++i) {
    const auto page = [&]() -> std::expected<held_page, error> {
      const activity_scope changing{ctx, *this, activity::changing};
      return hold_one(first + i);
    }();
    if (killed_) {
      if (page) held.push_back(*page);
      vm_->release(ctx, held, how.kind);
      return was_killed_error();
    }
    if (!page) {
      if (is_pin) vm_->release(ctx, held, how.kind);
      if (is_pin || held.empty()) return std::unexpected{page.error()};
      break;
    }
    held.push_back(*page);
  }
  return held;
}

frame_count address_space::incoherent(vpn first, std::span<const held_page> held) const {
  frame_count lost = 0;
  for (std::size_t i = 0; i < held.size(); ++i) lost += translate(first + i) != held[i].page;
  return lost;
}

}  // namespace memsim
