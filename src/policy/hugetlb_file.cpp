// SPDX-License-Identifier: Apache-2.0
// What a file of huge pages does for those that map it.
#include <algorithm>
#include <limits>

#include <memsim/policy/hugetlb.hpp>
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

hugetlb_file::hugetlb_file(hugetlb& pool, hugetlb_mount* in, frame_count size)
    : backing{pool.vm()},
      pool_{&pool},
      in_{in},
      size_{size / frames_of(pool.config().size)},
      promises_{pool.pool_, pool.config().size, in == nullptr ? nullptr : &in->limited_},
      has_name_{in != nullptr} {}

hugetlb_file::~hugetlb_file() = default;

page_size hugetlb_file::granule() const { return pool_->how_.size; }

std::uint64_t hugetlb_file::huge(std::uint64_t pages) const { return pages / frames_of(granule()); }

std::optional<pfn> hugetlb_file::page_at(std::uint64_t index) const {
  const auto found = cached_.find(huge(index));
  if (found == cached_.end()) return std::nullopt;
  return found->second.first + index % frames_of(granule());
}

std::expected<void, error> hugetlb_file::reserve(context& ctx, const mapped_area& of) {
  if (auto promised = promises_.reserve(ctx, of); !promised) return promised;
  if (of.area.allowed == protection::read_write) {
    size_ = std::max(size_, huge(of.area.offset + of.area.pages()));
  }
  return {};
}

error hugetlb_file::no_page(const fault_request& want, const error& why) {
  return error{errc::bus_error, fmt::format("page {}: {}", want.page, why)};
}

std::expected<backing_page, error> hugetlb_file::fault(context& ctx, const fault_request& want) {
  const auto& area = want.in.area;
  const auto index = huge(want.index());
  if (reservation::is_robbed(area)) {
    return fail(errc::bus_error, "page {}: it was taken away for who was promised it", want.page);
  }
  backing_page found{.what = backing_page::kept, .size = granule(), .writable = true};
  if (const auto cached = cached_.find(index); cached != cached_.end()) {
    found.first = cached->second.first;
    if (!std::exchange(cached->second.was_mapped, true)) found.filled = 0;
    return found;
  }
  if (index >= size_) {
    return fail(errc::bus_error, "page {} of a file of {}", index, size_);
  }
  const auto page = promises_.take(ctx, area, index);
  if (!page) return std::unexpected{no_page(want, page.error())};
  found.first = *page;
  if (area.with == sharing::shared_pages) {
    cached_[index] = {.first = *page, .was_mapped = true};
    found.filled = 0;
    ctx.done.pages_zeroed += frames_of(granule());
  } else {
    found.what = backing_page::given;
    ++pages_out_;
  }
  return found;
}

// Who was promised a page gets the one that is there, at the others' cost, if there is no other.
std::expected<pfn, error> hugetlb_file::copy_on_write(context& ctx, const fault_request& want,
                                                      pfn shared) {
  const auto& area = want.in.area;
  const auto& pages = vm().pages();
  const bool is_private = pages.is_private(shared);
  const bool outside = is_private && reservation::is_owner(area);
  // A forked child that gets a copy of a pinned page does not map it.
  const bool maps_it = want.in.process.translate(want.page.base(granule())) == shared;
  if (maps_it && is_private && pages.mapcount(shared) == 1) return shared;
  const auto page = promises_.take(ctx, area, huge(want.index()), outside);
  if (page) {
    ++pages_out_;
    return page;
  }
  if (!outside || !rob(ctx, want, shared)) return std::unexpected{no_page(want, page.error())};
  return fail(errc::again, "page {}: it was taken from others", want.page);
}

// Looks at the same address in the process of each mapping, whatever is mapped there: even in the
// one that wants the page.
bool hugetlb_file::rob(context& ctx, const fault_request& want, pfn page) {
  const auto index = want.in.area.number_of(want.page);
  const auto first = want.page.base(granule());
  bool any = false;
  for (const auto& [process, area] : mappings()) {
    if (&area == &want.in.area || area.with == sharing::shared_pages) continue;
    if (reservation::is_owner(area)) continue;
    if (index < area.offset || index - area.offset >= area.pages()) continue;
    const auto at = process.walk(first);
    if (at.entry == nullptr || !at.entry->is_page() || at.entry->frame() != page) continue;
    vm().unmap(ctx, process, first);
    reservation::mark_robbed(area);
    any = true;
  }
  return any;
}

std::expected<void, error> hugetlb_file::fork(context&, const mapped_area&,
                                              const mapped_area& child) {
  reservation::disown(child);
  return {};
}

void hugetlb_file::unmapping(context&, const mapped_area& of, vpn page, pfn frame) {
  if (!pool_->how_.zap_restores_promise || pool_->counts().surplus > 0) return;
  if (!vm().pages().is_private(frame) || vm().pages().mapcount(frame) != 1) return;
  promises_.restore(of.area, huge(of.area.number_of(page)), frame);
}

void hugetlb_file::unmap(context& ctx, const mapped_area& of) {
  promises_.unmap(ctx, of, mappings());
}

void hugetlb_file::unused(context& ctx) {
  if (!has_name_) end(ctx);
}

// Pages of a file stay in it; those that were private, or are of it no more, go to the pool.
void hugetlb_file::release(context& ctx, const released_page& page) {
  const auto cached = cached_.find(huge(page.index));
  if (!page.is_private && cached != cached_.end() && cached->second.first == page.first) return;
  if (!page.is_private) vm().forget(page.first);
  promises_.put(ctx, page.first);
  --pages_out_;
  if (ended_ && pages_out_ == 0) pool_->forget(*this);
}

// Who holds it gives it back.
void hugetlb_file::uncache(context& ctx, pfn page) {
  if (vm().pages().count(page) == 0) {
    vm().forget(page);
    promises_.put(ctx, page);
  } else {
    ++pages_out_;
  }
}

void hugetlb_file::punch_hole(context& ctx, std::uint64_t first, frame_count count) {
  vm().unmap(ctx, *this, first, count, unmap_what::all);
  const auto last = first + std::min(count, std::numeric_limits<std::uint64_t>::max() - first);
  const auto end = cached_.lower_bound(huge(last));
  for (auto at = cached_.lower_bound(huge(first)); at != end;) {
    const auto page = at->second.first;
    promises_.punch(at->first);
    at = cached_.erase(at);
    uncache(ctx, page);
  }
}

void hugetlb_file::truncate(context& ctx, std::uint64_t size) {
  size_ = huge(size);
  std::vector<pfn> gone;
  for (auto at = cached_.lower_bound(size_); at != cached_.end(); at = cached_.erase(at)) {
    gone.push_back(at->second.first);
  }
  for (const auto page : gone) uncache(ctx, page);
  promises_.truncate(ctx, size_, gone.size());
}

void hugetlb_file::end(context& ctx) {
  ended_ = true;
  truncate(ctx, 0);
  if (in_ != nullptr) std::erase_if(in_->names_, [&](const auto& n) { return n.second == this; });
  if (pages_out_ == 0) pool_->forget(*this);
}

std::expected<void, error> hugetlb_file::allocate_range(context& ctx, std::uint64_t first,
                                                        frame_count count, bool keep_size) {
  const auto frames = frames_of(granule());
  if (count == 0 || first % frames != 0 || count % frames != 0) {
    throw_usage("{} pages from page {}: a file of pages of {} has whole ones", count, first,
                granule());
  }
  if (count > std::numeric_limits<std::uint64_t>::max() - first) {
    return fail(errc::invalid, "{} pages from page {}: no file is so large", count, first);
  }
  for (auto index = huge(first); index < huge(first + count); ++index) {
    if (cached_.contains(index)) continue;
    const auto page = promises_.take(ctx, index);
    if (!page) return std::unexpected{page.error()};
    cached_[index] = {.first = *page};
    ctx.done.pages_zeroed += frames;
  }
  if (!keep_size) size_ = std::max(size_, huge(first + count));
  return {};
}

// Modelling assumption: the pool is smaller by the page, and what was promised for it is not
// promised again.
failure_outcome hugetlb_file::memory_failure(context& ctx, std::uint64_t index) {
  if (const auto found = cached_.find(huge(index)); found != cached_.end()) {
    promises_.punch(huge(index));
    promises_.lose(ctx, found->second.first);
    cached_.erase(found);
  }
  return failure_outcome::lost;
}

void hugetlb_file::lost(context& ctx, const released_page& page) {
  promises_.lose(ctx, page.first);
  --pages_out_;
  if (ended_ && pages_out_ == 0) pool_->forget(*this);
}

}  // namespace memsim
