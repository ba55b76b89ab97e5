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

std::expected<pfn, error> anonymous_memory::touch(context& ctx, std::uint64_t page,
                                                  memory_access how) {
  if (page >= most_pages) throw_usage("page {}: there are {}", page, most_pages);
  if (const auto at = entries_.find(page); at != entries_.end() && at->second.page) {
    at->second.accessed = true;
    const auto frame = *at->second.page;
    // The copy in swap is out of date then.
    if (how == memory_access::write && memory_->page(frame).flags.has_any(page_flag::swap_cached)) {
      memory_->mark_dirty(frame);
    }
    return frame;
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
  const auto [at, is_new] = entries_.try_emplace(page);
  if (is_new) {
    ++counts_.minor_faults;
    ++ctx.done.pages_zeroed;
  } else {
    // Modelling assumption: a slot is given up as soon as its page is in memory.
    memory_->release_swap(1);
    ++counts_.major_faults;
    ++ctx.done.pages_swapped_in;
  }
  at->second = {.page = *frame, .accessed = true};
  ++resident_;
  memory_->assign(
      ctx, *frame,
      {.kind = page_kind::anonymous, .owner = id_, .tag = static_cast<std::uint32_t>(page)});
  return frame;
}

std::optional<pfn> anonymous_memory::find(std::uint64_t page) const {
  const auto at = entries_.find(page);
  return at == entries_.end() ? std::nullopt : at->second.page;
}

anonymous_memory::entries::iterator anonymous_memory::give_up(context& ctx, entries::iterator at) {
  const auto frame = at->second.page;
  if (!frame) {
    memory_->release_swap(1);
    return entries_.erase(at);
  }
  if (memory_->page(*frame).flags.has_any(page_flag::pinned)) return ++at;
  if (at->second.write != 0) memory_->end_writeback(*frame);
  --resident_;
  memory_->free(ctx, *frame, order{0});  // and its slot of swap, if it has one
  return entries_.erase(at);
}

void anonymous_memory::release(context& ctx, std::uint64_t page) {
  if (const auto at = entries_.find(page); at != entries_.end()) give_up(ctx, at);
}

void anonymous_memory::exit(context& ctx) {
  for (auto at = entries_.begin(); at != entries_.end();) at = give_up(ctx, at);
}

frame_count anonymous_memory::page_tables() const {
  frame_count tables = 0;
  for (auto at = entries_.begin(); at != entries_.end(); ++tables) {
    at = entries_.lower_bound((at->first / page_table_entries + 1) * page_table_entries);
  }
  return tables;
}

std::vector<statistic_value> anonymous_memory::statistics() const {
  return values_of(counts_, anonymous_memory_statistics);
}

void anonymous_memory::moved(pfn, pfn to, std::uint32_t tag) {
  entries_.at(tag).page = to;
  ++counts_.moved;
}

bool anonymous_memory::was_referenced(pfn, std::uint32_t tag) {
  return std::exchange(entries_.at(tag).accessed, false);
}

write_outcome anonymous_memory::swaps_out(pfn, std::uint32_t tag) {
  if (how_.swap == nullptr) return write_outcome::written;
  const auto write = ++writes_;
  const auto outcome = how_.swap->write([this, tag, write, alive = std::weak_ptr{alive_}] {
    if (!alive.expired()) written(tag, write);
  });
  if (outcome == write_outcome::started) entries_.at(tag).write = write;
  return outcome;
}

// The page may have been given up meanwhile.
void anonymous_memory::written(std::uint32_t tag, std::uint64_t write) {
  const auto at = entries_.find(tag);
  if (at == entries_.end() || at->second.write != write) return;
  at->second.write = 0;
  memory_->end_writeback(*at->second.page);
}

bool anonymous_memory::drops(pfn, std::uint32_t tag) {
  entries_.at(tag) = {};
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
