// SPDX-License-Identifier: Apache-2.0
// Who asks for compaction: a request, the daemon, the administrator (compaction A1).
#include <algorithm>

#include "alloc/checks.hpp"
#include "alloc/compaction.hpp"
#include "alloc/counters.hpp"
#include "alloc/hot_path.hpp"

namespace memsim {
namespace detail {
namespace {

constexpr unsigned most_shift = 6;

// While one exists, a block that merging brings to the wanted order is kept for the request.
class capture_scope {
 public:
  capture_scope(allocator_core& core, const zone& z, const request& wanted) : core_{core} {
    core_.capture_zone_ = &z;
    core_.capture_order_ = wanted.order;
    core_.capture_type_ = wanted.type;
    core_.captured_ = no_frame;
  }
  ~capture_scope() {
    core_.capture_zone_ = nullptr;
    core_.captured_ = no_frame;
  }
  capture_scope(const capture_scope&) = delete;
  capture_scope& operator=(const capture_scope&) = delete;

  [[nodiscard]] frame_index captured() const { return core_.captured_; }

 private:
  allocator_core& core_;
};

bool is_deferred(compaction_state& memory, unsigned order) {
  if (order < memory.order_failed) return false;
  const std::uint32_t limit = 1u << memory.shift;
  if (++memory.considered < limit) return true;
  memory.considered = limit;
  return false;
}

void defer(compaction_state& memory, unsigned order) {
  memory.considered = 0;
  memory.shift = std::min(memory.shift + 1, most_shift);
  memory.order_failed = std::min(memory.order_failed, order);
}

void note_success(compaction_state& memory, unsigned order) {
  memory.order_failed = std::max(memory.order_failed, order + 1);
}

bool was_in_vain(compact_result result) {
  return result == compact_result::complete || result == compact_result::partial;
}

compaction_request direct_request(const request& wanted, bool may_use_fs,
                                  compact_priority priority) {
  const bool full = priority == compact_priority::sync_full;
  return {.scan = {.order = static_cast<int>(wanted.order),
                   .mode = priority == compact_priority::async ? migration_mode::async
                                                               : migration_mode::sync_light,
                   .type = wanted.type,
                   .ignores_hints = full,
                   .direct = true,
                   .may_use_fs = may_use_fs},
          .whole_zone = full,
          .any_target_block = full,
          .highest = wanted.highest,
          .may_use_cma = wanted.type == migratetype::movable};
}

}  // namespace

direct_compaction allocator_core::compact_directly(context& ctx, const request& wanted,
                                                   bool may_use_fs, compact_priority priority) {
  direct_compaction outcome{.result = compact_result::skipped};
  const std::size_t preferred = preferred_zone_[static_cast<unsigned>(wanted.highest)];
  if (preferred == no_zone) return outcome;
  frame_index found = no_frame;
  for (std::size_t i = preferred + 1; i-- > 0;) {
    zone& z = zones_[i];
    if (priority != compact_priority::sync_full && is_deferred(z.compaction, wanted.order)) {
      note_compaction(compact_result::deferred);
      outcome.result = std::max(outcome.result, compact_result::deferred);
      continue;
    }
    auto result = compact_result::skipped;
    {
      const capture_scope capture{*this, z, wanted};
      result = compaction_run{*this, ctx, direct_request(wanted, may_use_fs, priority)}.run(z);
      found = capture.captured();
    }
    if (found != no_frame) {
      result = compact_result::success;
      ++counts_.compaction_captures;
    }
    outcome.result = std::max(outcome.result, result);
    if (result == compact_result::success) {
      note_success(z.compaction, wanted.order);
      break;
    }
    if (priority != compact_priority::async && was_in_vain(result)) {
      defer(z.compaction, wanted.order);
    }
  }
  if (outcome.result == compact_result::skipped) return outcome;
  ++counts_.compaction_stalls;
  if (found == no_frame) {
    const attempt how{.mark = watermark::min, .cma = wanted.type == migratetype::movable};
    found = walk_zones(ctx, wanted, how, preferred);
  }
  if (found == no_frame) return outcome;
  auto& memory = zone_of(found).compaction;
  memory.flush_hints = false;
  memory.considered = memory.shift = 0;
  note_success(memory, wanted.order);
  outcome.block = pfn{found};
  return outcome;
}

void allocator_core::compact_in_background(context& ctx, unsigned order, zone_type highest) {
  compaction_run run{
      *this,
      ctx,
      {.scan = {.order = static_cast<int>(order), .mode = migration_mode::sync_light},
       .highest = highest}};
  for (auto& z : zones_) {
    if (z.extent.type > highest) break;
    if (is_deferred(z.compaction, order)) {
      note_compaction(compact_result::deferred);
      continue;
    }
    const auto suitable = compaction_suitability(z, static_cast<int>(order), z.extent.type, false);
    if (suitable != compact_result::proceed) continue;
    const auto result = run.run(z);
    if (result == compact_result::success) {
      note_success(z.compaction, order);
    } else if (was_in_vain(result)) {
      drain_zone_everywhere(ctx, z);
      defer(z.compaction, order);
    }
  }
}

void allocator_core::compact_everything(context& ctx) {
  compaction_run run{*this, ctx, {.scan = {.ignores_hints = true}, .whole_zone = true}};
  for (auto& z : zones_) run.run(z);
}

}  // namespace detail

direct_compaction page_allocator::compact_for(context& ctx, order size, gfp flags,
                                              compact_priority priority) {
  detail::check_order(size);
  detail::check_cpu(*core_, ctx.cpu);
  detail::check_mobility(flags);
  const auto wanted = detail::make_request(size, flags);
  auto outcome = core_->compact_directly(ctx, wanted, flags.has_any(gfp_flag::fs), priority);
  if (outcome.block) {
    core_->end_request(ctx, size, flags, outcome.block);
  }
  return outcome;
}

void page_allocator::compact_in_background(context& ctx, order size, zone_type highest) {
  detail::check_order(size);
  detail::check_cpu(*core_, ctx.cpu);
  core_->compact_in_background(ctx, size.value(), highest);
}

void page_allocator::compact_everything(context& ctx) {
  detail::check_cpu(*core_, ctx.cpu);
  core_->compact_everything(ctx);
}

void page_allocator::reset_skip_hints() {
  for (auto& z : core_->zones_) core_->reset_skip_hints(z);
}

}  // namespace memsim
