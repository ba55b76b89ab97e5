// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/reservation.hpp>

#include <algorithm>

namespace memsim {

void end_promises(context& ctx, page_pool& pool, limited_pool& limits) {
  if (limits.in_use || !limits.limits.is_unused()) return;
  // Once.
  const auto least = limits.limits.limits().least.value_or(0);
  limits.limits = subpool{{}};
  pool.unreserve(ctx, least);
}

reservation::reservation(page_pool& pool, page_size size, limited_pool* limits)
    : pool_{&pool}, frames_{frames_of(size)}, limits_{limits} {}

reservation::interval reservation::of(const vma& area) const {
  const auto first = area.offset / frames_;
  return interval::right_open(first, first + area.pages() / frames_);
}

std::uint64_t reservation::count_within(const indices& set, const interval& where) {
  return (set & where).size();
}

std::optional<std::uint64_t> reservation::take_of_limits(std::uint64_t pages) {
  return limits_ == nullptr ? pages : limits_->limits.take(pages);
}

std::uint64_t reservation::give_to_limits(context& ctx, std::uint64_t pages) {
  if (limits_ == nullptr) return pages;
  const auto unneeded = limits_->limits.give(pages);
  end_promises(ctx, *pool_, *limits_);
  return unneeded;
}

std::expected<void, error> reservation::reserve(context& ctx, const mapped_area& of_area) {
  auto& area = of_area.area;
  area.note = 0;
  if (area.no_reserve) return {};
  const bool is_shared = area.with == sharing::shared_pages;
  const auto where = of(area);
  const auto pages = boost::icl::length(where) - (is_shared ? count_within(shared_, where) : 0);
  const auto needed = take_of_limits(pages);
  if (!needed) {
    return fail(errc::no_memory, "{} pages more, with {} of {} used", pages, limits_->limits.used(),
                *limits_->limits.limits().most);
  }
  if (auto promised = pool_->reserve(ctx, *needed); !promised) {
    // As in the kernel, what this says is not needed is forgotten.
    static_cast<void>(give_to_limits(ctx, pages));
    return promised;
  }
  if (is_shared) {
    shared_ += where;
  } else {
    area.note = ++owners_made_ << owner_shift;
    consumed_[owners_made_];
  }
  return {};
}

bool reservation::is_promised(const vma& area, std::uint64_t index) const {
  if (area.with == sharing::shared_pages) return boost::icl::contains(shared_, index);
  const auto owner = consumed_.find(area.note >> owner_shift);
  return owner != consumed_.end() && !boost::icl::contains(owner->second, index);
}

std::uint64_t reservation::left_of(const vma& area) const {
  const auto owner = consumed_.find(area.note >> owner_shift);
  if (owner == consumed_.end()) return 0;
  const auto where = of(area);
  return boost::icl::length(where) - count_within(owner->second, where);
}

void reservation::unmap(context& ctx, const mapped_area& gone,
                        const std::list<mapped_area>& others) {
  if (!is_owner(gone.area)) return;
  if (const auto left = left_of(gone.area); left > 0) {
    pool_->unreserve(ctx, give_to_limits(ctx, left));
  }
  const auto owner = gone.area.note >> owner_shift;
  const bool is_last = std::ranges::none_of(others, [&](const mapped_area& m) {
    return &m.area != &gone.area && m.area.note >> owner_shift == owner;
  });
  if (is_last) consumed_.erase(owner);
}

std::expected<pfn, error> reservation::take(context& ctx, const vma& area, std::uint64_t index,
                                            bool outside) {
  if (area.with == sharing::shared_pages) {
    return take(ctx, &shared_, !boost::icl::contains(shared_, index), true, index, outside);
  }
  const auto owner = consumed_.find(area.note >> owner_shift);
  if (owner == consumed_.end()) return take(ctx, nullptr, true, false, index, outside);
  return take(ctx, &owner->second, boost::icl::contains(owner->second, index), true, index,
              outside);
}

std::expected<pfn, error> reservation::take(context& ctx, std::uint64_t index) {
  return take(ctx, &shared_, !boost::icl::contains(shared_, index), true, index, false);
}

// `missing`: nothing was promised for the page, or what was promised is used up.
std::expected<pfn, error> reservation::take(context& ctx, indices* noted_in, bool missing,
                                            bool may_be_entitled, std::uint64_t index,
                                            bool outside) {
  std::uint64_t needed = missing ? 1 : 0;
  const bool asks_limits = missing || outside;
  if (asks_limits) {
    const auto of_limits = take_of_limits(1);
    if (!of_limits) return fail(errc::no_space, "page {}: the limit is reached", index);
    needed = *of_limits;
  }
  const auto page =
      pool_->take(ctx, {.entitled = may_be_entitled && needed == 0, .spares_reserve = outside});
  if (!page) {
    // As above.
    if (asks_limits) static_cast<void>(give_to_limits(ctx, 1));
    return page;
  }
  if (noted_in != nullptr) noted_in->insert(index);
  return page;
}

void reservation::put(context& ctx, pfn page) {
  const bool again = restored_.erase(page) > 0 || give_to_limits(ctx, 1) == 0;
  pool_->put(ctx, page, again ? after_use::reserved : after_use::available);
}

void reservation::lose(context& ctx, pfn page) {
  pool_->lose();
  if (restored_.erase(page) > 0) {
    static_cast<void>(pool_->promise());
  } else if (give_to_limits(ctx, 1) == 0 && !pool_->promise()) {
    // There is no page that the limits could be promised instead.
    limits_->limits.lose_promise();
  }
}

void reservation::undo(context& ctx, pfn page) { pool_->put(ctx, page, after_use::reserved); }

void reservation::restore(vma& area, std::uint64_t index, pfn page) {
  const auto owner = consumed_.find(area.note >> owner_shift);
  if (owner == consumed_.end()) return;
  owner->second.erase(index);
  restored_.insert(page);
}

void reservation::punch(std::uint64_t index) { shared_.erase(index); }

void reservation::truncate(context& ctx, std::uint64_t first, std::uint64_t freed) {
  const auto rest = interval::right_open(first, ~std::uint64_t{0});
  const auto lost = count_within(shared_, rest);
  if (freed > lost) {
    throw_usage("{} pages freed from page {} on, where {} were promised", freed, first, lost);
  }
  shared_ -= rest;
  pool_->unreserve(ctx, give_to_limits(ctx, lost - freed));
}

}  // namespace memsim
