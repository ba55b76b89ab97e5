// SPDX-License-Identifier: Apache-2.0
// What pages in use are used for, and who owns them.
#include <algorithm>
#include <array>
#include <limits>

#include "alloc/allocator_core.hpp"
#include "alloc/checks.hpp"
#include "alloc/hot_path.hpp"

namespace memsim {

std::string_view name_of(page_kind kind) {
  static constexpr std::array<std::string_view, page_kinds> names{"anonymous", "shmem", "file",
                                                                  "driver"};
  return names[static_cast<unsigned>(kind)];
}

std::string to_text(page_kind kind) { return std::string{name_of(kind)}; }

namespace detail {
namespace {

page_flags flags_of(page_kind kind) {
  switch (kind) {
    case page_kind::anonymous: return page_flag::anonymous | page_flag::swap_backed;
    case page_kind::shmem: return page_flag::swap_backed;
    case page_kind::file: return {};
    case page_kind::driver: return page_flag::driver;
  }
  std::unreachable();
}

}  // namespace

page_owner* allocator_core::owner_of(page_info page) const {
  return page.owner == 0 ? nullptr : owners_[page.owner - 1];
}

// Whether the owner gives up a clean page; nobody does.
bool allocator_core::is_given_up(frame_index frame) const {
  const auto page = frames_.info(frame);
  if (page.owner == 0) return true;
  auto* const owner = owner_of(page);
  return owner != nullptr && owner->drops(pfn{frame}, page.tag);
}

void allocator_core::assign(cpu_id cpu, frame_index frame, const page_use& use) {
  forget_use(frame);
  frames_.set_info(frame, {flags_of(use.kind), static_cast<std::uint16_t>(use.owner), use.tag});
  // Also if it is on no list yet: its free takes the long way.
  flag_movable(frame, use.kind == page_kind::driver);
  if (use.kind != page_kind::driver) add_to_lru(cpu, frame);
}

// The page is nobody's any more; off the LRU lists, if it was on one.
void allocator_core::forget_use(frame_index frame) {
  take_off_lru(frame);
  const auto page = frames_.info(frame);
  if (page == page_info{}) return;
  flag_movable(frame, false);
  if (page.flags.has_any(page_flag::swap_cached)) {
    reclaim_.swap_used -= 1u << frames_.mark_at(pfn{frame}).order();
  }
  frames_.set_info(frame, {});
}

// What somebody claimed, as far as can be told: a page in use for which nobody said a use.
bool allocator_core::is_claimed_page(pfn frame) const {
  const auto mark = frames_.mark_at(frame);
  return mark.use() == frame_use::allocated && mark.order() == 0 && !mark.movable() &&
         frames_.info(static_cast<frame_index>(frame.value())) == page_info{};
}

// Moves one page elsewhere, out of CMA areas and of ZONE_MOVABLE.
std::expected<frame_index, errc> allocator_core::move_elsewhere(context& ctx, frame_index frame) {
  flush_lru_batches();
  if (!frames_.info(frame).flags.has_any(page_flag::lru | page_flag::driver)) {
    return std::unexpected{errc::busy};
  }
  // Pinned meanwhile, so that reclaim cannot take the page itself to make room for the target.
  const auto size = order_of(frame);
  const bool was_pinned = pins_.contains(frame);
  if (!was_pinned) pin(frame);
  // An unmovable request gets neither.
  const auto large = size > 0 ? gfp_flag::comp | gfp_flag::nowarn : gfp{};
  const auto target = allocate_block(ctx, order{size}, gfp_user | large);
  if (!was_pinned) unpin(frame);
  if (target == no_frame) return std::unexpected{errc::no_memory};
  take_for_move(frame);
  if (move_page(ctx, frame, target) == migration_result::moved) {
    free_block(ctx, frame, size);
    return target;
  }
  put_back_from_move(ctx.cpu, frame);
  free_block(ctx, target, size);
  return std::unexpected{errc::busy};
}

void allocator_core::pin(frame_index frame) {
  ++pins_[frame];
  set_flags(frame, frames_.info(frame).flags | page_flag::pinned);
}

void allocator_core::unpin(frame_index frame) {
  const auto found = pins_.find(frame);
  if (--found->second > 0) return;
  pins_.erase(found);
  set_flags(frame, frames_.info(frame).flags - page_flag::pinned);
}

}  // namespace detail

owner_id page_allocator::add_owner(page_owner& owner) {
  auto& owners = core_->owners_;
  if (auto& unused = core_->unused_owners_; !unused.empty()) {
    const auto id = unused.back();
    unused.pop_back();
    owners[static_cast<std::size_t>(id) - 1] = &owner;
    return id;
  }
  if (owners.size() == std::numeric_limits<std::uint16_t>::max()) {
    throw_usage("{} owners are registered: there can be no more", owners.size());
  }
  owners.push_back(&owner);
  return owner_id{static_cast<std::uint16_t>(owners.size())};
}

namespace {

page_owner*& registered(std::vector<page_owner*>& owners, owner_id id) {
  const auto number = static_cast<std::size_t>(id);
  if (number == 0 || number > owners.size()) {
    throw_usage("owner {}: {} are registered", number, owners.size());
  }
  return owners[number - 1];
}

}  // namespace

void page_allocator::attach_owner(owner_id id, page_owner& owner) {
  auto& place = registered(core_->owners_, id);
  if (std::ranges::find(core_->unused_owners_, id) != core_->unused_owners_.end()) {
    throw_usage("owner {} was removed", static_cast<unsigned>(id));
  }
  place = &owner;
}

void page_allocator::remove_owner(owner_id id) {
  registered(core_->owners_, id) = nullptr;
  auto& unused = core_->unused_owners_;
  if (std::ranges::find(unused, id) == unused.end()) unused.push_back(id);
  auto& frames = core_->frames_;
  const auto disown = [&](detail::frame_index frame) {
    auto page = frames.info(frame);
    if (page.owner != static_cast<std::uint16_t>(id)) return;
    page.owner = 0;
    page.tag = 0;
    frames.set_info(frame, page);
  };
  for (detail::frame_index block = 0; block < frames.pageblocks(); ++block) {
    if (!frames.noted(block)) continue;
    const auto first = block * pageblock_frames;
    const auto end = std::min(first + pageblock_frames, frames.end().value());
    for (auto frame = first; frame < end; ++frame) disown(static_cast<detail::frame_index>(frame));
  }
}

void page_allocator::assign(context& ctx, pfn block, const page_use& use) {
  auto& core = *core_;
  detail::check_cpu(core, ctx.cpu);
  if (block >= core.frames_.end() || core.frames_.mark_at(block).use() != frame_use::allocated) {
    throw_usage("frame {} cannot be assigned: it is {}", block, detail::describe(core, block));
  }
  if (core.pins_.contains(static_cast<detail::frame_index>(block.value()))) {
    throw_usage("frame {} cannot be assigned anew: it is pinned", block);
  }
  if (static_cast<std::size_t>(use.owner) > core.owners_.size()) {
    throw_usage("owner {}: {} are registered", static_cast<unsigned>(use.owner),
                core.owners_.size());
  }
  core.assign(ctx.cpu, static_cast<detail::frame_index>(block.value()), use);
}

page_info page_allocator::page(pfn frame) const {
  if (frame >= core_->frames_.end()) {
    throw_usage("frame {} is beyond memory, which ends at {}", frame, core_->frames_.end());
  }
  return core_->frames_.info(static_cast<detail::frame_index>(frame.value()));
}

void page_allocator::flush_lru_batches() { core_->flush_lru_batches(); }

namespace {

detail::frame_index assigned_page(const detail::allocator_core& core, pfn page) {
  const auto frame = static_cast<detail::frame_index>(page.value());
  constexpr auto in_use = page_flag::lru | page_flag::lru_pending | page_flag::driver;
  if (page >= core.frames_.end() || !core.frames_.info(frame).flags.has_any(in_use)) {
    throw_usage("frame {} cannot be pinned: it is not an assigned page but {}", page,
                detail::describe(core, page));
  }
  return frame;
}

}  // namespace

void page_allocator::pin(pfn page) { core_->pin(assigned_page(*core_, page)); }

std::expected<pfn, error> page_allocator::pin_longterm(context& ctx, pfn page) {
  auto& core = *core_;
  detail::check_cpu(core, ctx.cpu);
  auto frame = assigned_page(core, page);
  const bool lent = core.block_type(frame) == migratetype::cma ||
                    core.zone_of(frame).extent.type == zone_type::movable;
  if (lent) {
    const auto moved = core.move_elsewhere(ctx, frame);
    if (!moved) return std::unexpected{error{moved.error()}};
    frame = *moved;
  }
  core.pin(frame);
  return pfn{frame};
}

void page_allocator::unpin(pfn page) {
  const auto frame = static_cast<detail::frame_index>(page.value());
  if (!core_->pins_.contains(frame)) throw_usage("frame {} is not pinned", page);
  core_->unpin(frame);
}

}  // namespace memsim
