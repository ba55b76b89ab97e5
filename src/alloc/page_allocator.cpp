// SPDX-License-Identifier: Apache-2.0
// The public face of the allocator: arguments are checked here, before anything changes.
#include <memsim/alloc/page_allocator.hpp>

#include <algorithm>
#include <iterator>

#include "alloc/checks.hpp"
#include "alloc/hot_path.hpp"
#include "alloc/state.hpp"

namespace memsim {
namespace {

struct event_totals {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t pages_allocated = 0;
  std::uint64_t pages_freed = 0;
};

constexpr std::array totals_table{
    statistic<event_totals>{"allocations", "blocks", "requests that got a block",
                            &event_totals::allocations},
    statistic<event_totals>{"frees", "blocks", "blocks given back", &event_totals::frees},
    statistic<event_totals>{"pages_allocated", "pages", "pages of all blocks handed out",
                            &event_totals::pages_allocated},
    statistic<event_totals>{"pages_freed", "pages", "pages of all blocks given back",
                            &event_totals::pages_freed},
};

constexpr std::array counts_table{
    statistic<allocator_counts>{"failed_allocations", "requests", "requests that got nothing",
                                &allocator_counts::failed_allocations},
    statistic<allocator_counts>{"fallbacks", "events",
                                "times a block of another migratetype was taken",
                                &allocator_counts::fallbacks},
    statistic<allocator_counts>{"pageblocks_converted", "pageblocks",
                                "pageblocks that a fallback gave another migratetype",
                                &allocator_counts::pageblocks_converted},
    statistic<allocator_counts>{"highatomic_blocks_reserved", "events",
                                "additions to the high-order atomic reserve",
                                &allocator_counts::highatomic_blocks_reserved},
    statistic<allocator_counts>{"watermark_boosts", "events",
                                "fallbacks that raised a zone's watermarks",
                                &allocator_counts::watermark_boosts},
    statistic<allocator_counts>{"kswapd_wakeups", "events",
                                "times the reclaimer was woken because a zone was boosted",
                                &allocator_counts::kswapd_wakeups},
    statistic<allocator_counts>{"pages_migrated", "pages", "pages moved to another frame",
                                &allocator_counts::pages_migrated},
    statistic<allocator_counts>{"migrations_refused", "attempts",
                                "attempts to move a page that it did not allow",
                                &allocator_counts::migrations_refused},
    statistic<allocator_counts>{"range_requests", "requests",
                                "attempts to take a contiguous range, those of CMA included",
                                &allocator_counts::range_requests},
    statistic<allocator_counts>{"failed_range_requests", "requests",
                                "of those, attempts that found the range busy",
                                &allocator_counts::failed_range_requests},
    statistic<allocator_counts>{"pages_migrated_in_vain", "pages",
                                "pages moved out of a range that then was not had",
                                &allocator_counts::pages_migrated_in_vain},
    statistic<allocator_counts>{"clean_pages_dropped", "pages",
                                "clean page cache pages dropped from a range instead of moved",
                                &allocator_counts::clean_pages_dropped},
    statistic<allocator_counts>{"compactions", "runs", "runs of compaction over a zone",
                                &allocator_counts::compactions},
    statistic<allocator_counts>{"compaction_stalls", "requests",
                                "requests that waited for compaction of a zone at least",
                                &allocator_counts::compaction_stalls},
    statistic<allocator_counts>{"compaction_captures", "blocks",
                                "blocks that came about and were kept for the request",
                                &allocator_counts::compaction_captures},
    statistic<allocator_counts>{"compact_migrate_scanned", "pages",
                                "frames that compaction's migrate scanner went over",
                                &allocator_counts::migrate_scanned},
    statistic<allocator_counts>{"compact_free_scanned", "pages",
                                "frames that compaction's free scanner went over",
                                &allocator_counts::free_scanned},
    statistic<allocator_counts>{"compact_isolated", "pages",
                                "pages that were taken off to be moved",
                                &allocator_counts::pages_isolated},
};

using detail::check_cpu;
using detail::check_mobility;
using detail::check_order;
using detail::describe;
using detail::is_allocated;

[[noreturn]] void refuse_free(const detail::allocator_core& core, pfn block, order size) {
  throw_usage("free of frame {} as a block of order {}: it is {}", block, size,
              describe(core, block));
}

}  // namespace

page_allocator::page_allocator(std::unique_ptr<detail::allocator_core> core)
    : core_{std::move(core)} {}

page_allocator::page_allocator(const page_allocator_config& config) : core_{detail::boot(config)} {}

std::expected<page_allocator, error> page_allocator::restore(const allocator_state& state,
                                                             const kernel_profile& profile,
                                                             const tuning& settings) {
  auto core = detail::restore(state, profile, settings);
  if (!core) return std::unexpected{std::move(core.error())};
  return page_allocator{std::move(*core)};
}

page_allocator::page_allocator(const page_allocator& other)
    : core_{std::make_unique<detail::allocator_core>(*other.core_)} {
  std::ranges::fill(core_->owners_, nullptr);
  core_->observers_.clear();
  core_->gate_ = nullptr;
  core_->shrinkers_.clear();
  core_->oom_candidates_.clear();
  core_->waker_ = nullptr;
  core_->update_attended();
}

page_allocator& page_allocator::operator=(const page_allocator& other) {
  if (this != &other) *this = page_allocator{other};
  return *this;
}

page_allocator::page_allocator(page_allocator&&) noexcept = default;
page_allocator& page_allocator::operator=(page_allocator&&) noexcept = default;
page_allocator::~page_allocator() = default;

// Single pages, which most requests are for, have the short way compiled for them alone.
std::expected<pfn, error> page_allocator::alloc(context& ctx, order size, gfp flags) {
  if (size != order{0}) return alloc_larger(ctx, size, flags);
  const auto frame = core_->allocate_hot(ctx, 0, flags);
  if (frame == detail::no_frame) [[unlikely]]
    return alloc_by_rules(ctx, size, flags);
  return pfn{frame};
}

[[gnu::noinline]] std::expected<pfn, error> page_allocator::alloc_larger(context& ctx, order size,
                                                                         gfp flags) {
  const auto frame = core_->allocate_hot(ctx, size.value(), flags);
  if (frame == detail::no_frame) [[unlikely]]
    return alloc_by_rules(ctx, size, flags);
  return pfn{frame};
}

std::expected<pfn, error> page_allocator::alloc_by_rules(context& ctx, order size, gfp flags) {
  auto& core = *core_;
  if (size == order{0}) {
    const auto frame = core.allocate_page_below(ctx, flags);
    if (frame != detail::no_frame) return pfn{frame};
  }
  check_order(size);
  check_cpu(core, ctx.cpu);
  check_mobility(flags);
  if (core.gate_ != nullptr && core.gate_->refuses(ctx, size, flags)) {
    return std::unexpected{error{errc::injected}};
  }
  const auto frame = core.allocate_block(ctx, size, flags);
  if (frame == detail::no_frame) return std::unexpected{error{errc::no_memory}};
  return pfn{frame};
}

void page_allocator::free(context& ctx, pfn block, order size) {
  if (size != order{0}) return free_larger(ctx, block, size);
  if (!core_->free_hot(ctx, block.value(), 0)) [[unlikely]]
    return free_by_rules(ctx, block, size);
}

[[gnu::noinline]] void page_allocator::free_larger(context& ctx, pfn block, order size) {
  if (!core_->free_hot(ctx, block.value(), size.value())) [[unlikely]]
    return free_by_rules(ctx, block, size);
}

void page_allocator::free_by_rules(context& ctx, pfn block, order size) {
  auto& core = *core_;
  check_order(size);
  check_cpu(core, ctx.cpu);
  if (!is_allocated(core, block, size)) refuse_free(core, block, size);
  const auto frame = static_cast<detail::frame_index>(block.value());
  if (const auto pins = core.pins_.find(frame); pins != core.pins_.end()) {
    throw_usage("free of frame {}: it is pinned, {} times", block, pins->second);
  }
  core.free_block(ctx, frame, size.value());
}

void page_allocator::drain(context& ctx, cpu_id cpu) {
  check_cpu(*core_, ctx.cpu);
  check_cpu(*core_, cpu);
  for (auto& z : core_->zones_) core_->drain_zone(ctx, z, cpu);
}

void page_allocator::drain_all(context& ctx) {
  for (unsigned cpu = 0; cpu < core_->cpus_; ++cpu) drain(ctx, cpu_id{cpu});
}

void page_allocator::adopt(pfn block, order size) {
  check_order(size);
  if (block.value() % size.frames() != 0) {
    throw_usage("frame {} is not aligned to a block of order {}", block, size);
  }
  detail::check_unused(*core_, block, size);
  auto& core = *core_;
  const auto frame = static_cast<detail::frame_index>(block.value());
  const bool movable = core.frames_.mark_at(block).movable();
  for (detail::frame_index i = 0; i < size.frames(); ++i) {
    if (core.frames_.mark_at(block + i).movable()) core.flag_movable(frame + i, false);
  }
  if (size < pageblock_order) core.frames_.touch(frame / pageblock_frames);
  core.frames_.set_allocated(frame, size.value());
  if (movable) core.flag_movable(frame, true);
}

void page_allocator::split(pfn block, order from, order to) {
  auto& core = *core_;
  check_order(from);
  if (to > from || !is_allocated(core, block, from)) {
    throw_usage("split of frame {} from order {} to order {}: it is {}", block, from, to,
                describe(core, block));
  }
  const auto first = static_cast<detail::frame_index>(block.value());
  if (core.pins_.contains(first)) throw_usage("split of frame {}: it is pinned", block);
  core.forget_use(first);
  const bool movable = core.frames_.mark_at(block).movable();
  core.frames_.end_allocation(first, from.value(), {});
  if (to < pageblock_order) {
    for (frame_count i = 0; i < from.frames(); i += pageblock_frames) {
      core.frames_.touch(static_cast<detail::frame_index>((block.value() + i) / pageblock_frames));
    }
  }
  for (frame_count i = 0; i < from.frames(); i += to.frames()) {
    const auto part = first + static_cast<detail::frame_index>(i);
    core.frames_.set_allocated(part, to.value());
    if (movable) core.flag_movable(part, true);
  }
}

std::vector<allocated_block> page_allocator::take_free_blocks(context& ctx, pfn frame) {
  auto& core = *core_;
  check_cpu(core, ctx.cpu);
  const auto* const region = core.memory_.find(frame);
  if (region == nullptr || region->kind != region_kind::ram) {
    throw_usage("pageblock of frame {}: that is no memory of the allocator's", frame);
  }
  return core.take_free_blocks(ctx, static_cast<detail::frame_index>(frame.value()));
}

void page_allocator::set_movable(pfn frame, rule movable) {
  if (!detail::can_be_movable(*core_, frame)) {
    throw_usage("frame {} cannot be movable: it is {}", frame, describe(*core_, frame));
  }
  core_->flag_movable(static_cast<detail::frame_index>(frame.value()), movable == rule::on);
}

const kernel_profile& page_allocator::profile() const { return core_->profile_; }
const tuning& page_allocator::settings() const { return core_->settings_; }
const memory_map& page_allocator::memory() const { return core_->memory_; }
unsigned page_allocator::cpus() const { return core_->cpus_; }
std::span<const zone> page_allocator::zones() const { return core_->zones_; }
const frame_table& page_allocator::frames() const { return core_->frames_; }
std::span<const cma_area> page_allocator::cma_areas() const { return core_->cma_areas_; }
const allocator_counts& page_allocator::counts() const { return core_->counts_; }
const reclaim_counts& page_allocator::reclaim_events() const { return core_->reclaim_counts_; }

migratetype page_allocator::pageblock_type(pfn frame) const {
  if (frame >= core_->frames_.end()) {
    throw_usage("frame {} is beyond memory, which ends at {}", frame, core_->frames_.end());
  }
  return core_->block_type(static_cast<detail::frame_index>(frame.value()));
}

std::vector<pfn> page_allocator::free_list(const zone& z, order size, migratetype type) const {
  check_order(size);
  return detail::list_blocks(*core_, z, size.value(), type);
}

allocator_state page_allocator::state() const { return detail::state_of(*core_); }
digest page_allocator::state_digest() const { return detail::digest_of(*core_); }

std::vector<statistic_value> page_allocator::statistics() const {
  const auto& counts = core_->counts_;
  event_totals totals;
  for (unsigned o = 0; o < page_orders; ++o) {
    totals.allocations += counts.allocations[o];
    totals.frees += counts.frees[o];
    totals.pages_allocated += counts.allocations[o] << o;
    totals.pages_freed += counts.frees[o] << o;
  }
  auto values = values_of(totals, totals_table);
  std::ranges::move(values_of(counts, counts_table), std::back_inserter(values));
  for (unsigned i = 0; i < compact_results; ++i) {
    const auto result = static_cast<compact_result>(i);
    std::string name = fmt::format("compaction_{}", result);
    std::ranges::replace(name, ' ', '_');
    values.push_back({std::move(name), "zones", "zones whose compaction came to this",
                      counts.compaction_results[i]});
  }
  std::ranges::move(values_of(core_->reclaim_counts_, reclaim_statistics),
                    std::back_inserter(values));
  return values;
}

void page_allocator::add_observer(allocator_observer& observer) {
  core_->observers_.push_back(&observer);
  core_->update_attended();
}

void page_allocator::remove_observer(allocator_observer& observer) {
  std::erase(core_->observers_, &observer);
  core_->update_attended();
}

void page_allocator::set_gate(allocation_gate* gate) {
  core_->gate_ = gate;
  core_->update_attended();
}

}  // namespace memsim
