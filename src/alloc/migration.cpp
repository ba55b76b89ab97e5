// SPDX-License-Identifier: Apache-2.0
// Pages taken off, moved, and put back (contig A6, B3).
#include "alloc/migration.hpp"

#include <algorithm>
#include <array>

namespace memsim {

std::string_view name_of(migration_result result) {
  static constexpr std::array<std::string_view, 5> names{
      "moved", "pinned", "under writeback", "refused by its owner", "its owner is not attached"};
  return names[static_cast<unsigned>(result)];
}

std::string to_text(migration_result result) { return std::string{name_of(result)}; }

namespace detail {
namespace {

// Whether another attempt may end otherwise.
bool is_worth_retrying(migration_result result) {
  return result == migration_result::pinned || result == migration_result::refused;
}

// The pages that are still there, in the order in which they were.
void drop_moved(isolated_pages& batch) { std::erase(batch, no_frame); }

}  // namespace

// The page leaves its LRU list, or its driver's hands.
void allocator_core::take_for_move(frame_index frame) {
  take_off_lru(frame);
  set_flags(frame, frames_.info(frame).flags | page_flag::isolated);
}

void allocator_core::put_back_from_move(cpu_id cpu, frame_index frame) {
  const auto flags = frames_.info(frame).flags - page_flag::isolated;
  set_flags(frame, flags);
  if (!flags.has_any(page_flag::driver)) add_to_lru(cpu, frame);
}

// The contents and the owner of `from` go to `to`; what becomes of the frame `from` is the
// caller's business.
migration_result allocator_core::move_page(context& ctx, frame_index from, frame_index to) {
  const auto page = frames_.info(from);
  auto* const owner = owner_of(page);
  const auto verdict = [&] {
    if (page.flags.has_any(page_flag::pinned)) return migration_result::pinned;
    if (page.flags.has_any(page_flag::writeback)) return migration_result::writeback;
    if (page.owner == 0) return migration_result::moved;
    if (owner == nullptr) return migration_result::orphaned;
    return owner->lets_move(pfn{from}, pfn{to}, page.tag) ? migration_result::moved
                                                          : migration_result::refused;
  }();
  if (verdict == migration_result::moved) {
    frames_.set_info(from, {});
    frames_.set_info(to, page);
    if (const auto mark = frames_.mark_at(pfn{from}); mark.is_compound()) {
      frames_.mark(to, mark.order()) = frame_mark::compound(mark.order());
    }
    flag_movable(to, page.flags.has_any(page_flag::driver));
    put_back_from_move(ctx.cpu, to);
    ctx.done.pages_copied += 1u << order_of(to);
    ++ctx.done.page_moves;
    counts_.pages_migrated += 1u << order_of(to);
    if (owner != nullptr) owner->moved(pfn{from}, pfn{to}, page.tag);
  } else {
    ++counts_.migrations_refused;
  }
  for (auto* observer : observers_) observer->on_migration({pfn{from}, pfn{to}, verdict});
  return verdict;
}

std::size_t allocator_core::pages_in(const std::vector<frame_index>& blocks) const {
  std::size_t pages = 0;
  for (const auto block : blocks) pages += std::size_t{1} << order_of(block);
  return pages;
}

batch_outcome page_mover::move(isolated_pages& batch) {
  const auto outcome = core_.profile_.migration == migration_rule::one_by_one
                           ? move_one_by_one(batch)
                           : move_batched(batch);
  drop_moved(batch);
  return {outcome.out_of_targets, batch.empty()};
}

migration_result page_mover::try_move(frame_index from, frame_index to) {
  const auto result = core_.move_page(ctx_, from, to);
  if (result == migration_result::moved) core_.free_block(ctx_, from, core_.order_of(from));
  return result;
}

// A page's target is not taken before its turn, and goes back when the page refuses.
batch_outcome page_mover::move_one_by_one(isolated_pages& batch) {
  constexpr int passes = 10;
  bool again = true;
  for (int pass = 0; pass < passes && again; ++pass) {
    again = false;
    for (auto page = batch.rbegin(); page != batch.rend(); ++page) {
      if (*page == no_frame) continue;
      const auto target = targets_.take(core_.order_of(*page));
      if (target == no_frame) return {.out_of_targets = true};
      const auto result = try_move(*page, target);
      if (result == migration_result::moved) {
        *page = no_frame;
      } else {
        targets_.give_back(target);
        again = again || is_worth_retrying(result);
      }
    }
  }
  return {};
}

// All targets first; what is left then has a few tries by itself, unless there is no time.
// Modelling assumption: a large page for which there is no block stays, where the kernel may split
// it.
batch_outcome page_mover::move_batched(isolated_pages& batch) {
  const int passes = mode_ == migration_mode::async ? 10 : 3;
  isolated_pages targets;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto order = core_.order_of(batch[batch.size() - 1 - i]);
    const auto target = targets_.take(order);
    if (target == no_frame && order == 0) break;
    targets.push_back(target);
  }
  const bool out_of_targets = targets.size() < batch.size();
  // The n-th page from the back goes to the n-th target.
  bool again = true;
  for (int pass = 0; pass < passes && again; ++pass) {
    again = false;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      auto& page = batch[batch.size() - 1 - i];
      if (page == no_frame || targets[i] == no_frame) continue;
      const auto result = try_move(page, targets[i]);
      if (result == migration_result::moved) {
        page = no_frame;
        targets[i] = no_frame;
      } else {
        again = again || is_worth_retrying(result);
      }
    }
  }
  for (const auto target : targets) {
    if (target != no_frame) targets_.give_back(target);
  }
  if (out_of_targets || mode_ == migration_mode::async) return {.out_of_targets = out_of_targets};
  for (auto page = batch.rbegin(); page != batch.rend(); ++page) {
    if (*page == no_frame) continue;
    const auto order = core_.order_of(*page);
    const auto target = targets_.take(order);
    if (target == no_frame && order > 0) continue;
    if (target == no_frame) return {.out_of_targets = true};
    constexpr int tries = 7;
    auto result = migration_result::refused;
    for (int i = 0; i < tries && is_worth_retrying(result); ++i) result = try_move(*page, target);
    if (result == migration_result::moved) {
      *page = no_frame;
    } else {
      targets_.give_back(target);
    }
  }
  return {};
}

}  // namespace detail
}  // namespace memsim
