// SPDX-License-Identifier: Apache-2.0
// Memory that stays in memory, and how much of it a process may have: mlock(2), getrlimit(2).
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

bool address_space::may_lock_any() const { return how_.ipc_lock || how_.memlock_limit > 0; }

bool address_space::may_lock(frame_count more) const {
  const auto limit = how_.memlock_limit;
  const auto locked = locked_pages();
  return how_.ipc_lock || (locked <= limit && more <= limit - locked);
}

frame_count address_space::locked_pages() const {
  auto sum = charged_locked_;
  for (const auto& area : areas_) sum += area.locked ? area.pages() : 0;
  return sum;
}

// Before anything is unmapped to make room.
std::expected<void, error> address_space::may_map(const mapping_request& how,
                                                  frame_count pages) const {
  if (killed_) return was_killed_error();
  if (!how.locked) return {};
  if (!may_lock_any()) {
    return fail(errc::not_permitted, "{} pages: the process may lock none", pages);
  }
  if (may_lock(pages)) return {};
  return fail(errc::again, "{} pages: {} of {} are locked already", pages, locked_pages(),
              how_.memlock_limit);
}

std::expected<void, error> address_space::mlock(context& ctx, vpn first, frame_count pages) {
  check_range(first, pages);
  if (killed_) return was_killed_error();
  if (!may_lock_any()) {
    return fail(errc::not_permitted, "{} pages: the process may lock none", pages);
  }
  const auto end = first + pages;
  frame_count already = 0;
  for (auto at = area_above(first); at != areas_.end() && at->first < end; ++at) {
    if (!at->locked) continue;
    already += std::min(at->end, end).value() - std::max(at->first, first).value();
  }
  if (!may_lock(pages - already)) {
    return fail(errc::no_memory, "{} pages: {} of {} are locked already", pages, locked_pages(),
                how_.memlock_limit);
  }
  if (auto done = set_locked(ctx, first, pages, true); !done) return done;
  return populate(ctx, first, pages);
}

std::expected<void, error> address_space::munlock(context& ctx, vpn first, frame_count pages) {
  check_range(first, pages);
  return set_locked(ctx, first, pages, false);
}

// As if each page was used.
std::expected<void, error> address_space::populate(context& ctx, vpn first, frame_count pages) {
  for (auto page = first; page < first + pages; page = page + 1) {
    const auto& area = *area_of(page);
    if (!area.source->lends_pages()) {
      return fail(errc::no_memory, "page {} is of memory that is not lent", page);
    }
    const bool writes = area.allowed == protection::read_write;
    const auto at = fault(ctx, page, writes ? purpose::write : purpose::read, cause::kernel);
    if (at) {
      at->entry->set(page_entry::accessed);
      continue;
    }
    // mlock(2) has names of its own for these.
    switch (at.error().code()) {
      case errc::no_memory: return std::unexpected{error{errc::again, at.error().message()}};
      case errc::bad_address: return std::unexpected{error{errc::no_memory, at.error().message()}};
      default: return std::unexpected{at.error()};
    }
  }
  return {};
}

std::expected<void, error> address_space::charge_locked(frame_count pages) {
  if (killed_) return was_killed_error();
  if (!may_lock(pages)) {
    return fail(errc::again, "{} pages: {} of {} are locked already", pages, locked_pages(),
                how_.memlock_limit);
  }
  charged_locked_ += pages;
  return {};
}

void address_space::uncharge_locked(frame_count pages) {
  if (pages > charged_locked_) {
    throw_usage("{} pages cannot be unlocked: {} were charged", pages, charged_locked_);
  }
  charged_locked_ -= pages;
}

}  // namespace memsim
