// SPDX-License-Identifier: Apache-2.0
// Who pays for a page, and who is killed when a group has too many.
#include <memsim/vm/memory_group.hpp>

#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

bool memory_group::includes(const memory_group& other) const {
  const auto* group = &other;
  while (group != nullptr && group != this) group = group->parent();
  return group != nullptr;
}

memory_group* memory_group::try_charge(frame_count pages) {
  for (auto* group = this; group != nullptr; group = group->parent()) {
    if (group->usage_ <= group->limit() && pages <= group->limit() - group->usage_) continue;
    group->count(&memory_group_counts::failures);
    return group;
  }
  for (auto* group = this; group != nullptr; group = group->parent()) {
    group->usage_ += pages;
    group->peak_ = std::max(group->peak_, group->usage_);
  }
  return nullptr;
}

void memory_group::uncharge(frame_count pages) {
  for (const auto* group = this; group != nullptr; group = group->parent()) {
    if (group->usage_ < pages) {
      throw_usage("{} pages cannot be taken off a group that has {}", pages, group->usage_);
    }
  }
  for (auto* group = this; group != nullptr; group = group->parent()) group->usage_ -= pages;
}

void memory_group::count(std::uint64_t memory_group_counts::* event) {
  for (auto* group = this; group != nullptr; group = group->parent()) ++(group->counts_.*event);
}

namespace detail {

memory_group& page_charges::add_group(const memory_group_config& how, frame_count frames) {
  if (how.parent != nullptr && !has(how.parent)) {
    throw_usage("the parent of a memory group is a group of the same machine");
  }
  if (groups_.empty()) group_of_ = lazy_array<std::uint32_t>(frames);
  auto& group = *groups_.emplace_back(std::make_unique<memory_group>(how));
  group.number_ = static_cast<std::uint32_t>(groups_.size());
  return group;
}

bool page_charges::has(const memory_group* group) const {
  const auto number = group->number_;
  return number > 0 && number <= groups_.size() && groups_[number - 1].get() == group;
}

void page_charges::set(pfn first, frame_count count, const memory_group& group) {
  std::fill_n(group_of_.data() + first.value(), count, group.number_);
}

void page_charges::uncharge(pfn first, frame_count count) {
  auto* const numbers = group_of_.data() + first.value();
  if (*numbers == 0) return;
  groups_[*numbers - 1]->uncharge(count);
  std::fill_n(numbers, count, 0);
}

}  // namespace detail

// A fresh block, which is freed if nobody can pay for it.
std::expected<void, error> virtual_memory::charge_group(context& ctx, const fault_request& want,
                                                        pfn first, order size) {
  const auto& whose = want.in.process;
  auto& group = *whose.config().group;
  const auto refuse = [&](errc code, std::string_view why) {
    want.in.area.source->release(
        ctx, {.first = first, .size = size, .is_private = true, .index = want.index()});
    return fail(code, "the memory group is at its limit of {} pages: {}", group.limit(), why);
  };
  while (auto* const full = group.try_charge(size.frames())) {
    if (size == pageblock_order) return refuse(errc::busy, "there is no room for a huge page");
    full->count(&memory_group_counts::oom);
    if (!kill_largest_of(ctx, *full)) return refuse(errc::no_memory, "nobody can be killed");
    if (whose.was_killed()) return refuse(errc::killed, "the process was killed for it");
  }
  charges_.set(first, size.frames(), group);
  return {};
}

// Among equals the one that was made last, as in the machine's OOM killer. What a group may have is
// all the memory there is to those in it.
bool virtual_memory::kill_largest_of(context& ctx, memory_group& full) {
  frame_count total = 0;
  for (const auto& z : memory_->zones()) total += z.extent.managed;
  total = std::min(total, full.limit());
  address_space* chosen = nullptr;
  std::int64_t most = 0;
  for (const auto& process : processes_) {
    const auto* const group = process->config().group;
    if (!process->may_be_chosen_ || group == nullptr || !full.includes(*group)) continue;
    const auto adjustment = process->score_adjustment();
    const auto usage = process->usage();
    if (adjustment == oom_candidate::never || usage.total() == 0) continue;
    const auto points = oom_points(usage, adjustment, total);
    if (chosen != nullptr && points < most) continue;
    chosen = process.get();
    most = points;
  }
  if (chosen == nullptr) return false;
  chosen->killed(ctx);
  return true;
}

}  // namespace memsim
