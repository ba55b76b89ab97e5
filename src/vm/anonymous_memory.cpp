// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/anonymous_memory.hpp>

#include <utility>

namespace memsim {

anonymous_memory::anonymous_memory(page_allocator& memory, const anonymous_memory_config& how)
    : memory_{&memory}, how_{how}, id_{}, alive_{std::make_shared<char>()} {
  if (how.score_adjustment < never || how.score_adjustment > -never) {
    throw_usage("score_adjustment {}: allowed are {} to {}", how.score_adjustment, never, -never);
  }
  id_ = memory.add_owner(*this);
  memory.add_oom_candidate(*this);
}

anonymous_memory::~anonymous_memory() = default;

const anonymous_memory::entry* anonymous_memory::find_entry(std::uint64_t page) const {
  const auto number = page / page_table_entries;
  if (number >= tables_.size() || !tables_[number]) return nullptr;
  return &tables_[number]->entries[page % page_table_entries];
}

anonymous_memory::entry& anonymous_memory::entry_of(std::uint64_t page) {
  return tables_[page / page_table_entries]->entries[page % page_table_entries];
}

std::expected<pfn, error> anonymous_memory::touch(context& ctx, std::uint64_t page,
                                                  memory_access how) {
  if (page >= most_pages) throw_usage("page {}: there are {}", page, most_pages);
  if (memory_ == nullptr) throw_usage("page {} is touched after the memory was detached", page);
  if (find(page)) {
    auto& there = entry_of(page);
    there.accessed = true;
    // The copy in swap is out of date then.
    if (how == memory_access::write &&
        memory_->page(there.page).flags.has_any(page_flag::swap_cached)) {
      memory_->mark_dirty(there.page);
    }
    return there.page;
  }
  // May reclaim: what is found before is not to be relied on after.
  const auto frame = memory_->alloc(ctx, order{0}, gfp_highuser_movable);
  if (!frame) {
    ++counts_.failed_faults;
    return frame;
  }
  if (killed_) {
    // It was its own request that there was no memory for.
    memory_->free(ctx, *frame, order{0});
    ++counts_.failed_faults;
    return std::unexpected{error{errc::no_memory}};
  }
  const auto number = page / page_table_entries;
  if (number >= tables_.size()) tables_.resize(number + 1);
  auto& of = tables_[number];
  if (!of) {
    of = std::make_unique<table>();
    ++used_tables_;
  }
  auto& faulted = of->entries[page % page_table_entries];
  if (faulted.where == entry::state::untouched) {
    ++of->used;
    ++pages_;
    ++counts_.minor_faults;
    ++ctx.done.pages_zeroed;
  } else {
    // Modelling assumption: a slot is given up as soon as its page is in memory.
    memory_->release_swap(1);
    ++counts_.major_faults;
    ++ctx.done.pages_swapped_in;
  }
  faulted = {.page = *frame, .where = entry::state::resident, .accessed = true};
  ++resident_;
  memory_->assign(
      ctx, *frame,
      {.kind = page_kind::anonymous, .owner = id_, .tag = static_cast<std::uint32_t>(page)});
  return frame;
}

std::optional<pfn> anonymous_memory::find(std::uint64_t page) const {
  const auto* const at = find_entry(page);
  if (at == nullptr || at->where != entry::state::resident) return std::nullopt;
  return at->page;
}

void anonymous_memory::give_up(context& ctx, table& of, entry& what) {
  if (what.where == entry::state::untouched) return;
  if (what.where == entry::state::swapped) {
    memory_->release_swap(1);
  } else {
    if (memory_->page(what.page).flags.has_any(page_flag::pinned)) return;
    if (what.write != 0) memory_->end_writeback(what.page);
    --resident_;
    memory_->free(ctx, what.page, order{0});  // and its slot of swap, if it has one
  }
  what = {};
  --of.used;
  --pages_;
}

void anonymous_memory::release(context& ctx, std::uint64_t page) {
  if (find_entry(page) == nullptr) return;
  auto& of = tables_[page / page_table_entries];
  give_up(ctx, *of, entry_of(page));
  drop_unused(of);
}

void anonymous_memory::exit(context& ctx) {
  for (auto& of : tables_) {
    if (!of) continue;
    for (auto& e : of->entries) give_up(ctx, *of, e);
    drop_unused(of);
  }
}

void anonymous_memory::drop_unused(std::unique_ptr<table>& of) {
  if (of->used > 0) return;
  of.reset();
  --used_tables_;
}

void anonymous_memory::detach() {
  if (memory_ == nullptr) return;
  for (const auto& of : tables_) {
    if (!of) continue;
    for (const auto& e : of->entries) {
      if (e.write != 0) memory_->end_writeback(e.page);
    }
  }
  memory_->release_swap(swapped());
  memory_->remove_owner(id_);
  memory_->remove_oom_candidate(*this);
  memory_ = nullptr;
  alive_ = nullptr;
  tables_.clear();
  pages_ = resident_ = used_tables_ = 0;
}

frame_count anonymous_memory::page_tables() const { return used_tables_; }

std::vector<statistic_value> anonymous_memory::statistics() const {
  return values_of(counts_, anonymous_memory_statistics);
}

void anonymous_memory::moved(pfn, pfn to, std::uint32_t tag) {
  entry_of(tag).page = to;
  ++counts_.moved;
}

bool anonymous_memory::was_referenced(pfn, std::uint32_t tag) {
  return std::exchange(entry_of(tag).accessed, false);
}

write_outcome anonymous_memory::swaps_out(pfn, std::uint32_t tag) {
  if (how_.swap == nullptr) return write_outcome::written;
  const auto write = ++writes_;
  const auto outcome = how_.swap->write([this, tag, write, alive = std::weak_ptr{alive_}] {
    if (!alive.expired()) written(tag, write);
  });
  if (outcome == write_outcome::started) entry_of(tag).write = write;
  return outcome;
}

// The page may have been given up meanwhile.
void anonymous_memory::written(std::uint32_t tag, std::uint64_t write) {
  const auto* const at = find_entry(tag);
  if (at == nullptr || at->write != write) return;
  entry_of(tag).write = 0;
  memory_->end_writeback(at->page);
}

bool anonymous_memory::drops(pfn, std::uint32_t tag) {
  entry_of(tag) = {.where = entry::state::swapped};
  --resident_;
  ++counts_.swap_outs;
  return true;
}

oom_usage anonymous_memory::usage() const {
  return {.resident = resident_, .swapped = swapped(), .page_tables = page_tables()};
}

void anonymous_memory::killed(context& ctx) {
  killed_ = true;
  exit(ctx);
}

}  // namespace memsim
