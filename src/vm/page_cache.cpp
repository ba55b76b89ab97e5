// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/page_cache.hpp>

#include <limits>
#include <utility>

namespace memsim {

page_cache::page_cache(page_allocator& memory, page_store* store)
    : memory_{&memory},
      store_{store},
      id_{memory.add_owner(*this)},
      alive_{std::make_shared<char>()} {}

file_id page_cache::add_file() {
  if (memory_ == nullptr) throw_usage("a file is added after the page cache was detached");
  files_.emplace_back();
  return file_id{static_cast<std::uint32_t>(files_.size() - 1)};
}

const page_cache::pages& page_cache::pages_of(file_id file) const {
  const auto number = static_cast<std::size_t>(file);
  if (number >= files_.size()) throw_usage("file {}: there are {}", number, files_.size());
  return files_[number];
}

page_cache::pages& page_cache::pages_of(file_id file) {
  return const_cast<pages&>(std::as_const(*this).pages_of(file));
}

// The page, there before or not. Modelling assumption: no page is read ahead.
std::expected<pfn, error> page_cache::get(context& ctx, file_id file, std::uint64_t index) {
  if (const auto page = find(file, index)) {
    ++counts_.hits;
    return *page;
  }
  ++counts_.misses;
  // May reclaim, and so change what is cached.
  const auto page = memory_->alloc(ctx, order{0}, gfp_highuser_movable);
  if (!page) return page;
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const auto slot = free_slots_.back();
  free_slots_.pop_back();
  entries_[slot] = {.file = file, .index = index, .page = *page};
  pages_of(file).emplace(index, slot);
  ++cached_;
  memory_->assign(ctx, *page, {.kind = page_kind::file, .owner = id_, .tag = slot});
  return page;
}

std::expected<pfn, error> page_cache::read(context& ctx, file_id file, std::uint64_t index) {
  const auto misses = counts_.misses;
  const auto page = get(ctx, file, index);
  if (!page) return page;
  ctx.done.pages_read += counts_.misses - misses;
  memory_->mark_accessed(*page);
  return page;
}

std::expected<pfn, error> page_cache::write(context& ctx, file_id file, std::uint64_t index) {
  const auto page = get(ctx, file, index);
  if (!page) return page;
  memory_->mark_dirty(*page);
  memory_->mark_accessed(*page);
  return page;
}

std::optional<pfn> page_cache::find(file_id file, std::uint64_t index) const {
  const auto& of_file = pages_of(file);
  const auto found = of_file.find(index);
  if (found == of_file.end()) return std::nullopt;
  return entries_[found->second].page;
}

frame_count page_cache::sync(context& ctx, file_id file) {
  frame_count started = 0;
  for (const auto& [index, slot] : pages_of(file)) {
    const auto page = entries_[slot].page;
    const auto flags = memory_->page(page).flags;
    if (!flags.has_any(page_flag::dirty) || flags.has_any(page_flag::writeback)) continue;
    const auto outcome = writes(page, slot);
    if (outcome == write_outcome::refused) break;
    memory_->start_writeback(page);
    if (outcome == write_outcome::written) memory_->end_writeback(page);
    ++ctx.done.pages_written_back;
    ++started;
  }
  return started;
}

// The index entry goes; the page is somebody else's business.
void page_cache::forget(std::uint32_t slot) {
  const auto& gone = entries_[slot];
  pages_of(gone.file).erase(gone.index);
  entries_[slot] = {};
  free_slots_.push_back(slot);
  --cached_;
}

void page_cache::give_up(context& ctx, std::uint32_t slot) {
  const auto page = entries_[slot].page;
  // Modelling assumption: nobody waits for the write of a page that is not wanted any more.
  if (entries_[slot].write != 0) memory_->end_writeback(page);
  if (mapper_ != nullptr) mapper_->unmap_file_page(page);
  forget(slot);
  memory_->free(ctx, page, order{0});
}

void page_cache::truncate(context& ctx, file_id file, std::uint64_t first) {
  punch_hole(ctx, file, first, std::numeric_limits<std::uint64_t>::max() - first);
}

void page_cache::punch_hole(context& ctx, file_id file, std::uint64_t first, std::uint64_t count) {
  auto& of_file = pages_of(file);
  for (auto at = of_file.lower_bound(first); at != of_file.end() && at->first - first < count;) {
    const auto slot = (at++)->second;
    if (memory_->page(entries_[slot].page).flags.has_any(page_flag::pinned)) continue;
    give_up(ctx, slot);
  }
}

void page_cache::abandon(file_id file, std::uint64_t index) {
  const auto& of_file = pages_of(file);
  const auto found = of_file.find(index);
  if (found == of_file.end()) throw_usage("page {} of a file is not in memory", index);
  const auto slot = found->second;
  if (entries_[slot].write != 0) memory_->end_writeback(entries_[slot].page);
  forget(slot);
}

frame_count page_cache::drop_clean(context& ctx) {
  constexpr auto kept = page_flag::dirty | page_flag::writeback | page_flag::pinned;
  frame_count dropped = 0;
  for (std::uint32_t slot = 0; slot < entries_.size(); ++slot) {
    const auto& e = entries_[slot];
    const auto& of_file = files_[static_cast<std::size_t>(e.file)];
    const auto at = of_file.find(e.index);
    if (at == of_file.end() || at->second != slot) continue;
    if (memory_->page(e.page).flags.has_any(kept)) continue;
    if (mapper_ != nullptr && mapper_->is_mapped(e.page)) continue;
    give_up(ctx, slot);
    ++dropped;
  }
  return dropped;
}

void page_cache::detach() {
  if (memory_ == nullptr) return;
  for (const auto& e : entries_) {
    if (e.write != 0) memory_->end_writeback(e.page);
  }
  memory_->remove_owner(id_);
  memory_ = nullptr;
  alive_ = nullptr;
  files_.clear();
  entries_.clear();
  free_slots_.clear();
  cached_ = 0;
}

std::vector<statistic_value> page_cache::statistics() const {
  return values_of(counts_, page_cache_statistics);
}

void page_cache::moved(pfn from, pfn to, std::uint32_t tag) {
  if (mapper_ != nullptr) mapper_->file_page_moved(from, to);
  entries_[tag].page = to;
  ++counts_.moved;
}

bool page_cache::was_referenced(pfn page, std::uint32_t) {
  return mapper_ != nullptr && mapper_->was_accessed(page);
}

void page_cache::add_mapper(file_mapper& mapper) {
  if (mapper_ != nullptr && mapper_ != &mapper) {
    throw_usage("pages of a page cache are mapped by one virtual memory");
  }
  mapper_ = &mapper;
  ++mapper_uses_;
}

void page_cache::remove_mapper() {
  if (mapper_uses_ == 0) throw_usage("nobody maps pages of this page cache");
  if (--mapper_uses_ == 0) mapper_ = nullptr;
}

bool page_cache::drops(pfn page, std::uint32_t tag) {
  if (mapper_ != nullptr && mapper_->is_locked(page)) return false;
  if (mapper_ != nullptr) mapper_->unmap_file_page(page);
  forget(tag);
  ++counts_.reclaimed;
  return true;
}

write_outcome page_cache::writes(pfn page, std::uint32_t tag) {
  if (mapper_ != nullptr) mapper_->protect_file_page(page);
  if (store_ == nullptr) {
    ++counts_.writes_started;
    return write_outcome::written;
  }
  const auto write = ++writes_;
  const auto outcome = store_->write([this, tag, write, alive = std::weak_ptr{alive_}] {
    if (!alive.expired()) written(tag, write);
  });
  if (outcome != write_outcome::refused) ++counts_.writes_started;
  if (outcome == write_outcome::started) entries_[tag].write = write;
  return outcome;
}

// The page may have been given up meanwhile, and its slot be another page's.
void page_cache::written(std::uint32_t slot, std::uint64_t write) {
  if (entries_[slot].write != write) return;
  entries_[slot].write = 0;
  memory_->end_writeback(entries_[slot].page);
}

}  // namespace memsim
