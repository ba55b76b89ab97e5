// SPDX-License-Identifier: Apache-2.0
// Areas of an address space: made, split, merged and changed.
#include <algorithm>
#include <iterator>
#include <ranges>

#include <memsim/vm/user_tlbs.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {
namespace {

/// Modelling assumption: mappings go upwards from here, 2 MiB aligned.
constexpr vpn lowest_mapping{pageblock_frames};
constexpr std::uint64_t end_of_addresses = std::uint64_t{1} << 35;  // user space of four levels

constexpr vpn round_up(vpn page, page_size size) {
  return (page + (frames_of(size) - 1)).base(size);
}

}  // namespace

struct address_space::delete_area {
  void operator()(vma* area) const { delete area; }
};

address_space::address_space(virtual_memory& vm, const process_config& how)
    : vm_{&vm},
      tlbs_{vm.config().tlbs},
      id_{tlbs_ == nullptr ? asid{} : tlbs_->add_space()},
      how_{how},
      table_{vm.memory()} {}

address_space::~address_space() {
  leave_tlbs();
  areas_.clear_and_dispose(delete_area{});
}

void address_space::check_range(vpn first, frame_count pages) {
  if (pages == 0 || pages > end_of_addresses || first.value() > end_of_addresses - pages) {
    throw_usage("{} pages from page {}: an address space has pages 0 to {}", pages, first,
                end_of_addresses - 1);
  }
}

// The first that ends above the page.
address_space::areas::iterator address_space::area_above(vpn page) const {
  auto at = areas_.upper_bound(page, [](vpn p, const vma& a) { return p < a.first; });
  if (at != areas_.begin() && page < std::prev(at)->end) --at;
  return at;
}

vma* address_space::area_of(vpn page) const {
  const auto at = area_above(page);
  return at != areas_.end() && at->holds(page) ? &*at : nullptr;
}

const vma* address_space::find(vpn page) const { return area_of(page); }

bool address_space::maps_any(vpn first, frame_count pages) const {
  const auto at = area_above(first);
  return at != areas_.end() && at->first < first + pages;
}

vma& address_space::add_area(const vma& like) {
  auto* const area = new vma{like};
  areas_.insert(*area);
  vm_->attach(*this, *area);
  return *area;
}

void address_space::remove_area(vma& area) {
  vm_->detach(area);
  areas_.erase_and_dispose(areas_.iterator_to(area), delete_area{});
}

// An anon_vma of its own for what is allocated in it from now on.
void address_space::prepare(vma& area) {
  if (area.own != anon_vma_id::none) return;
  area.own = vm_->add_anon_vma();
  area.chain.push_back(area.own);
  vm_->attached(area.own).push_back({this, &area});
}

// The upper part is a new one.
void address_space::split_area(context& ctx, vma& area, vpn at) {
  split_pmd_across(ctx, at);
  auto upper = area;
  upper.first = at;
  upper.offset = area.number_of(at);
  area.end = at;
  add_area(upper);
  vm_->place_last(area);
}

// What begins or ends within the range and is like its neighbour is one with it.
void address_space::merge_areas(vpn first, vpn end) {
  auto at = area_above(first);
  if (at != areas_.begin()) --at;
  while (at != areas_.end() && at->first <= end) {
    const auto next = std::next(at);
    if (next == areas_.end()) return;
    const bool alike = at->end == next->first && at->allowed == next->allowed &&
                       at->advice == next->advice && at->locked == next->locked &&
                       at->no_reserve == next->no_reserve && at->source->joins_areas() &&
                       at->own == next->own && at->source == next->source &&
                       at->with == next->with && at->note == next->note &&
                       next->offset == at->number_of(next->first);
    if (!alike) {
      at = next;
      continue;
    }
    at->end = next->end;
    remove_area(*next);
  }
}

// Changes the areas of a range, which are split where it ends.
//
// Returns false at a hole, behind which nothing is changed if `stops`.
template <class Differs, class Change>
bool address_space::change_areas(context& ctx, vpn first, vpn end, bool stops, Differs differs,
                                 Change change) {
  bool whole = true;
  for (auto page = first; page < end;) {
    const auto at = area_above(page);
    if (at == areas_.end() || at->first >= end || at->first > page) {
      whole = false;
      if (stops || at == areas_.end() || at->first >= end) break;
      page = at->first;
    }
    const auto upto = std::min(at->end, end);
    if (differs(*at)) {
      auto* area = &*at;
      if (area->first < page) {
        split_area(ctx, *area, page);
        area = area_of(page);
      }
      if (upto < area->end) split_area(ctx, *area, upto);
      change(*area);
    }
    page = upto;
  }
  merge_areas(first, end);
  return whole;
}

std::expected<vpn, error> address_space::mmap(context& ctx, frame_count pages,
                                              const mapping_request& how) {
  check_range(how.at.value_or(vpn{}), pages);
  if (auto may = may_map(how, pages); !may) return std::unexpected{may.error()};
  const activity_scope changing{ctx, *this, activity::changing};
  auto& source = how.source == nullptr ? vm_->anonymous() : *how.source;
  const bool is_anonymous = how.source == nullptr;
  if (is_anonymous && (how.with == sharing::shared_pages || how.offset != 0)) {
    throw_usage("anonymous memory is private and has no offset: shared memory is of a file");
  }
  const auto granule = std::max(source.granule(), page_size::m2);
  auto first = round_up(lowest_mapping, granule);
  if (how.at) {
    first = *how.at;
  } else if (!areas_.empty()) {
    first = round_up(std::max(areas_.rbegin()->end, first), granule);
    if (first.value() > end_of_addresses - pages) {
      return fail(errc::no_memory, "{} pages: there is no room above page {}", pages, first);
    }
  }
  const auto fits = [&](std::uint64_t value) { return value % frames_of(source.granule()) == 0; };
  if (!fits(first.value()) || !fits(pages) || !fits(how.offset)) {
    return fail(errc::invalid, "{} pages at page {}, from page {} of a backing with pages of {}",
                pages, first, how.offset, source.granule());
  }
  if (how.at) {
    if (auto gone = munmap(ctx, first, pages, &source); !gone) return std::unexpected{gone.error()};
  }
  if (how.offset > ~std::uint64_t{0} - pages) {
    return fail(errc::invalid, "{} pages from page {}: no file is so large", pages, how.offset);
  }
  vma area;
  area.first = first;
  area.end = first + pages;
  area.allowed = how.allowed;
  area.advice = how.advice;
  area.locked = how.locked;
  area.no_reserve = how.no_reserve;
  area.with = how.with;
  area.source = &source;
  area.offset = is_anonymous ? first.value() : how.offset;
  if (auto may = source.reserve(ctx, {*this, area}); !may) {
    if (how.at && !is_anonymous && source.mappings().empty()) source.unused(ctx);
    return std::unexpected{may.error()};
  }
  add_area(area);
  if (killed_) return was_killed_error();
  merge_areas(first, first + pages);
  // What cannot be had now is had at the first use.
  if (how.locked && !populate(ctx, first, pages) && killed_) return was_killed_error();
  return first;
}

// Nothing is cut where a backing's pages are larger.
std::expected<void, error> address_space::check_granule(vpn first, vpn end) const {
  for (const auto at : {first, end}) {
    const auto* const area = area_of(at);
    if (area != nullptr && area->first < at && at != at.base(area->source->granule())) {
      return fail(errc::invalid, "page {} is within one of {}", at, area->source->granule());
    }
  }
  return {};
}

std::expected<void, error> address_space::munmap(context& ctx, vpn first, frame_count pages) {
  return munmap(ctx, first, pages, nullptr);
}

// `goes_on` is about to be mapped again.
std::expected<void, error> address_space::munmap(context& ctx, vpn first, frame_count pages,
                                                 const backing* goes_on) {
  check_range(first, pages);
  const activity_scope changing{ctx, *this, activity::changing};
  const auto end = first + pages;
  if (auto whole = check_granule(first, end); !whole) return whole;
  auto at = area_above(first);
  if (at == areas_.end() || at->first >= end) return {};
  if (at->first < first) split_area(ctx, *at, first);
  if (auto* const last = area_of(end); last != nullptr && last->first < end) {
    split_area(ctx, *last, end);
  }
  for (at = area_above(first); at != areas_.end() && at->first < end; ++at) {
    unmap(ctx, at->first, at->end);
  }
  std::vector<backing*> left;
  for (at = area_above(first); at != areas_.end() && at->first < end; at = area_above(first)) {
    auto& source = *at->source;
    source.unmap(ctx, {*this, *at});
    remove_area(*at);
    if (&source == &vm_->anonymous_ || &source == goes_on) continue;
    if (std::ranges::find(left, &source) == left.end()) left.push_back(&source);
  }
  trim_tables(ctx, first);
  // Linux gives up its references to files when it returns to the process, the last one first.
  for (auto* const source : left | std::views::reverse) {
    if (source->mappings().empty()) source->unused(ctx);
  }
  return {};
}

void address_space::munmap_all(context& ctx) {
  // One flush of everything, and none of what goes after that (F10).
  if (table_.tables() > 0) flush_all(ctx);
  leave_tlbs();
  if (!areas_.empty()) static_cast<void>(munmap(ctx, vpn{}, areas_.rbegin()->end.value()));
}

std::expected<void, error> address_space::mprotect(context& ctx, vpn first, frame_count pages,
                                                   protection allowed) {
  check_range(first, pages);
  const activity_scope changing{ctx, *this, activity::changing};
  if (auto granule = check_granule(first, first + pages); !granule) return granule;
  stale_range stale;
  const bool whole = change_areas(
      ctx, first, first + pages, true, [&](const vma& a) { return a.allowed != allowed; },
      [&](vma& area) {
        const auto before = std::exchange(area.allowed, allowed);
        protect(ctx, area, before, stale);
      });
  flush(ctx, stale);
  if (whole) return {};
  return fail(errc::no_memory, "not all of {} pages from page {} is mapped", pages, first);
}

// A large page is read-only then in any case: the next write finds whose it is.
//
// An entry that has changed is stale, even one that allows more now. What nothing could be done
// with is in no TLB. (F4)
void address_space::protect(context& ctx, const vma& area, protection before, stale_range& stale) {
  const bool may_write = area.allowed == protection::read_write;
  for_entries(area.first, area.end, [&](page_entry& entry, page_size size, vpn page) {
    ++ctx.done.entries_written;
    if (!entry.is_present()) return;
    const auto old = entry;
    const bool writes = may_write && vm_->how_.cow.restores_writable && size == page_size::k4 &&
                        entry.is_page() && entry.has(page_entry::dirty) &&
                        vm_->pages_[entry.frame()].exclusive;
    entry = writes ? entry.with(page_entry::writable) : entry.without(page_entry::writable);
    if (before == protection::none) return;
    if (entry != old || area.allowed == protection::none) stale.add(page, size);
  });
}

std::expected<void, error> address_space::madvise(context& ctx, vpn first, frame_count pages,
                                                  thp_advice advice) {
  check_range(first, pages);
  if (auto granule = check_granule(first, first + pages); !granule) return granule;
  const bool whole = change_areas(
      ctx, first, first + pages, false, [&](const vma& a) { return a.advice != advice; },
      [&](vma& area) { area.advice = advice; });
  if (whole) return {};
  return fail(errc::no_memory, "not all of {} pages from page {} is mapped", pages, first);
}

std::expected<void, error> address_space::set_locked(context& ctx, vpn first, frame_count pages,
                                                     bool locked) {
  if (auto granule = check_granule(first, first + pages); !granule) return granule;
  const bool whole = change_areas(
      ctx, first, first + pages, true,
      // What is not lent is never locked so, and cannot be got for it; nor is it unlocked so, where
      // its backing locks it.
      [&](const vma& a) { return a.locked != locked && a.source->lends_pages(); },
      [&](vma& area) { area.locked = locked; });
  if (whole) return {};
  return fail(errc::no_memory, "not all of {} pages from page {} is mapped", pages, first);
}

std::expected<void, error> address_space::discard(context& ctx, vpn first, frame_count pages) {
  check_range(first, pages);
  const activity_scope changing{ctx, *this, activity::changing};
  const auto end = first + pages;
  if (auto granule = check_granule(first, end); !granule) return granule;
  bool whole = true;
  auto page = first;
  for (auto at = area_above(first); at != areas_.end() && at->first < end; ++at) {
    whole = whole && at->first <= page;
    if (at->locked) return fail(errc::invalid, "page {} is locked", std::max(at->first, first));
    page = std::min(at->end, end);
    unmap(ctx, std::max(at->first, first), page);
  }
  if (whole && page == end) return {};
  return fail(errc::no_memory, "not all of {} pages from page {} is mapped", pages, first);
}

std::expected<void, error> address_space::mremap(context& ctx, vpn first, frame_count pages,
                                                 vpn to) {
  check_range(first, pages);
  check_range(to, pages);
  const activity_scope changing{ctx, *this, activity::changing};
  if (first < to + pages && to < first + pages) {
    return fail(errc::invalid, "{} pages cannot move from page {} to page {}: they overlap", pages,
                first, to);
  }
  const auto nothing = [&] {
    return fail(errc::bad_address, "{} pages from page {} are not of one area", pages, first);
  };
  if (area_of(first) == nullptr) return nothing();
  const auto end = first + pages;
  if (auto granule = check_granule(first, end); !granule) return granule;
  if (to != to.base(area_of(first)->source->granule())) {
    return fail(errc::invalid, "page {} is no place for pages of {}", to,
                area_of(first)->source->granule());
  }
  if (auto gone = munmap(ctx, to, pages); !gone) return gone;
  auto* const source = area_of(first);
  if (source->end < end) return nothing();
  auto moved = *source;
  // Before it has pages an area of anonymous memory may be numbered anew, and merge where it comes
  // to.
  const bool is_new = source->own == anon_vma_id::none && source->source == &vm_->anonymous_;
  moved.offset = is_new ? to.value() : source->number_of(first);
  moved.first = to;
  moved.end = to + pages;
  const auto unit = std::max(source->source->granule(), page_size::m2);
  if (auto prepared = prepare_move(ctx, first, end, to, unit); !prepared) {
    trim_tables(ctx, to);
    return prepared;
  }
  add_area(moved);
  move_entries(ctx, first, end, to, unit);
  // The mapping goes on elsewhere: its backing has lost none.
  if (source->first < first) split_area(ctx, *source, first);
  if (auto* const last = area_of(first); last->end > end) split_area(ctx, *last, end);
  remove_area(*area_of(first));
  trim_tables(ctx, first);
  merge_areas(to, to + pages);
  return {};
}

residence address_space::resident(vpn first, frame_count pages) const {
  residence found;
  const_cast<address_space*>(this)->for_entries(
      first, first + pages, [&](page_entry& entry, page_size size, vpn base) {
        if (!entry.is_page()) return;
        const auto from = std::max(first, base);
        const auto to = std::min(first + pages, base + frames_of(size));
        found.resident += to.value() - from.value();
        if (size == page_size::m2) found.huge += to.value() - from.value();
        for (auto page = from; page < to; page = page + 1) {
          const auto part = page.value() - base.value();
          found.unshared += vm_->pages_.mapcount(entry.frame() + part) == 1;
        }
      });
  return found;
}

}  // namespace memsim
