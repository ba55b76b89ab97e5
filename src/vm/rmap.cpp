// SPDX-License-Identifier: Apache-2.0
// From a page to the entries that map it: through the areas of its anon_vma.
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

virtual_memory::virtual_memory(page_allocator& memory, const virtual_memory_config& how)
    : memory_{&memory},
      how_{how},
      id_{memory.add_owner(*this)},
      pages_{memory.frames().end()},
      anonymous_{*this} {
  memory.add_shrinker(split_shrinker_);
  memory.add_shrinker(zero_shrinker_);
}

virtual_memory::~virtual_memory() = default;

bool virtual_memory::is_locked(pfn page) const {
  if (!is_mapped(page)) return false;
  return std::ranges::any_of(mappings_of(page), [](const mapping_place& at) {
    const auto* const area = at.process->find(at.page);
    return area != nullptr && area->locked;
  });
}

std::vector<statistic_value> virtual_memory::statistics() const {
  auto values = values_of(counts_, thp_statistics);
  for (auto& value : values_of(fault_counts_, fault_statistics)) values.push_back(value);
  return values;
}

void virtual_memory::exit(context& ctx, address_space& process) {
  memory_->remove_oom_candidate(process);
  process.end(ctx);
  std::erase_if(processes_, [&](const auto& p) { return p.get() == &process; });
}

anon_vma_id virtual_memory::add_anon_vma() {
  attached_.emplace_back();
  return anon_vma_id{static_cast<std::uint32_t>(attached_.size())};
}

std::vector<virtual_memory::attachment>& virtual_memory::attached(anon_vma_id id) {
  return attached_[static_cast<std::size_t>(id) - 1];
}

// Anonymous memory is found by its anon_vma alone.
void virtual_memory::attach(address_space& space, vma& area) {
  for (const auto id : area.chain) attached(id).push_back({&space, &area});
  if (area.source == &anonymous_) return;
  auto& mappings = area.source->mappings_;
  auto after = mappings.end();
  while (after != mappings.begin() && area.offset < std::prev(after)->area.offset) --after;
  mappings.insert(after, {space, area});
}

// A child's area comes directly after its parent's.
void virtual_memory::place_after(const vma& parent, const vma& child) {
  if (parent.source == &anonymous_) return;
  auto& mappings = parent.source->mappings_;
  const auto place_of = [&](const vma& area) {
    return std::ranges::find(mappings, &area, [](const mapped_area& m) { return &m.area; });
  };
  mappings.splice(std::next(place_of(parent)), mappings, place_of(child));
}

// Behind those that map the same first page, as if it were new.
void virtual_memory::place_last(const vma& area) {
  if (area.source == &anonymous_) return;
  auto& mappings = area.source->mappings_;
  const auto from =
      std::ranges::find(mappings, &area, [](const mapped_area& m) { return &m.area; });
  auto after = std::next(from);
  while (after != mappings.end() && after->area.offset == area.offset) ++after;
  mappings.splice(after, mappings, from);
}

void virtual_memory::detach(vma& area) {
  for (const auto id : area.chain) {
    std::erase_if(attached(id), [&](const attachment& a) { return a.area == &area; });
  }
  if (area.source == &anonymous_) return;
  std::erase_if(area.source->mappings_, [&](const mapped_area& m) { return &m.area == &area; });
}

std::vector<mapping_place> virtual_memory::mappings_of(pfn page) const {
  const auto first = pages_.head_of(page);
  const bool is_huge = pages_[first].huge() != huge_page_id::none;
  const auto parts = is_huge ? pageblock_frames : 1;
  const auto& head = pages_[first];
  std::vector<mapping_place> found;
  const auto search = [&](address_space& space, const vma& area) {
    for (frame_count i = 0; i < parts; ++i) {
      const auto number = head.number + i;
      if (number < area.offset || number - area.offset >= area.pages()) continue;
      const auto where = area.first + (number - area.offset);
      const auto at = space.table_.walk(where);
      if (at.entry == nullptr || !at.entry->is_page() || at.entry->frame() != first + i) continue;
      if (at.size == page_size::k4 || where == where.base(at.size)) {
        found.push_back({&space, where, at.size});
      }
    }
  };
  if (head.is_private()) {
    const auto& areas = attached_[static_cast<std::size_t>(head.owner) - 1];
    for (const auto& [space, area] : areas) search(*space, *area);
  } else if (head.source != 0 && backings_[head.source - 1] != nullptr) {
    for (const auto& m : backings_[head.source - 1]->mappings()) search(m.process, m.area);
  }
  return found;
}

bool virtual_memory::finds_all_mappings(pfn page) const {
  return mappings_of(page).size() == pages_.total_mapcount(page);
}

bool virtual_memory::lets_move(pfn from, pfn, std::uint32_t) {
  return !pages_.is_held(from) && finds_all_mappings(from);
}

void virtual_memory::moved(pfn from, pfn to, std::uint32_t) { replace_frames(from, to); }

void virtual_memory::file_page_moved(pfn from, pfn to) { replace_frames(from, to); }

void virtual_memory::replace_frames(pfn from, pfn to) {
  const auto places = mappings_of(from);
  const auto huge = pages_[from].huge();
  const auto parts = huge == huge_page_id::none ? 1 : pageblock_frames;
  for (const auto& at : places) {
    auto& entry = *at.process->table_.walk(at.page).entry;
    entry = page_entry::page(to + (entry.frame().value() - from.value())).with(entry.flags());
    at.process->flush_moved(at.page, at.size);
  }
  for (frame_count i = 0; i < parts; ++i) {
    pages_[to + i] = std::exchange(pages_[from + i], mapped_page{});
    charges_.move(from + i, to + i);
  }
  if (huge != huge_page_id::none) pages_[huge].first = to;
}

// Whoever asks has no ledger: what it takes is not counted.
void virtual_memory::unmap_file_page(pfn page) {
  context uncounted;
  unmap(uncounted, page);
  forget(page);
}

void virtual_memory::protect_file_page(pfn page) {
  for (const auto& at : mappings_of(page)) {
    auto& entry = *at.process->table_.walk(at.page).entry;
    entry = entry.without(page_entry::writable | page_entry::dirty);
    at.process->flush_moved(at.page, at.size);
  }
}

bool virtual_memory::was_accessed(pfn page) {
  bool accessed = false;
  for (const auto& at : mappings_of(page)) {
    auto& entry = *at.process->table_.walk(at.page).entry;
    accessed = accessed || entry.has(page_entry::accessed);
    entry = entry.without(page_entry::accessed);
  }
  return accessed;
}

void virtual_memory::unmap(context& ctx, pfn page, const address_space* except) {
  const auto first = pages_.head_of(page);
  for (const auto& at : mappings_of(page)) {
    if (at.process == except) continue;
    // To release one may have ended the process of another.
    const auto now = at.process->table_.walk(at.page);
    if (now.entry == nullptr || !now.entry->is_page() || now.size != at.size) continue;
    if (pages_.head_of(now.entry->frame()) != first) continue;
    at.process->unmap_one(ctx, *now.entry, at.size);
    at.process->flush(ctx, stale_range::of(at.page, frames_of(at.size), at.size));
  }
  end_unmapping();
}

void virtual_memory::unmap(context& ctx, address_space& process, vpn page) {
  const auto at = process.table_.walk(page);
  if (at.entry == nullptr || !at.entry->is_leaf()) return;
  process.unmap_one(ctx, *at.entry, at.size);
  process.flush(ctx, stale_range::of(page.base(at.size), frames_of(at.size), at.size));
  end_unmapping();
}

void virtual_memory::unmap(context& ctx, backing& of, std::uint64_t first, frame_count count,
                           unmap_what what) {
  check_whole(of, first, count);
  const auto end = count > ~std::uint64_t{0} - first ? ~std::uint64_t{0} : first + count;
  const auto changing = keep_processes(ctx, of);
  for (const auto& [process, area] : of.mappings()) {
    const auto from = std::max(first, area.offset);
    const auto to = std::min(end, area.offset + area.pages());
    if (from >= to) continue;
    process.unmap(
        ctx, area.first + (from - area.offset), area.first + (to - area.offset),
        what == unmap_what::all ? address_space::zap::all : address_space::zap::kept_pages);
  }
}

// Whoever is killed meanwhile ends afterwards.
std::list<address_space::activity_scope> virtual_memory::keep_processes(context& ctx,
                                                                        const backing& of) {
  std::list<address_space::activity_scope> kept;
  for (const auto& [process, area] : of.mappings()) {
    if (process.doing_ != address_space::activity::nothing) continue;
    kept.emplace_back(ctx, process, address_space::activity::changing);
  }
  return kept;
}

// Up to the end of everything, or of a page.
void virtual_memory::check_whole(const backing& of, std::uint64_t first, frame_count count) {
  const auto frames = frames_of(of.granule());
  const bool to_end = count >= ~std::uint64_t{0} - first;
  if (first % frames == 0 && (to_end || count % frames == 0)) return;
  throw_usage("{} pages from page {} of a backing with pages of {}", count, first, of.granule());
}

void virtual_memory::punch_hole(context& ctx, backing& of, std::uint64_t first, frame_count count) {
  const auto changing = keep_processes(ctx, of);
  unmap(ctx, of, first, count, unmap_what::kept_pages);
  of.punch_hole(ctx, first, count);
}

void virtual_memory::truncate(context& ctx, backing& of, std::uint64_t size) {
  const auto changing = keep_processes(ctx, of);
  unmap(ctx, of, size, ~std::uint64_t{0} - size, unmap_what::all);
  of.truncate(ctx, size);
}

}  // namespace memsim
