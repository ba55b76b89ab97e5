// SPDX-License-Identifier: Apache-2.0
// Huge pages that become small ones, at once or later, and the huge zero page.
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

// It is to be split because some of its parts are of no use. That is noted also if the page is
// freed a moment later.
void virtual_memory::queue_split(huge_page_id id) {
  if (pages_[id].queued) return;
  pages_[id].queued = true;
  to_split_.push_back(id);
  ++counts_.deferred_split_page;
}

void virtual_memory::unqueue_split(huge_page_id id) {
  if (std::exchange(pages_[id].queued, false)) std::erase(to_split_, id);
}

std::expected<void, error> virtual_memory::split(context& ctx, huge_page_id id) {
  const auto first = pages_[id].first;
  if (pages_.is_held(first)) {
    return fail(errc::busy, "the huge page at frame {} is held", first);
  }
  if (!finds_all_mappings(first)) {
    return fail(errc::busy, "the huge page at frame {} is mapped where its anon_vma does not say",
                first);
  }
  // To be unmapped for the split puts it on the queue.
  queue_split(id);
  split_now(ctx, id);
  return {};
}

// Nobody holds it.
void virtual_memory::split_now(context& ctx, huge_page_id id) {
  const auto first = pages_[id].first;
  for (const auto& at : mappings_of(first)) {
    if (at.size == page_size::m2)
      at.process->split_pmd(ctx, at.page, address_space::keep_dirty::yes);
  }
  unqueue_split(id);
  const auto head = pages_[first];
  pages_.remove_huge(id);
  memory_->split(first, pageblock_order, order{0});
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    auto& part = pages_[first + i];
    part.owner = head.owner;
    part.source = head.source;
    part.number = head.number + i;
    if (part.mappings == 0) {
      free_if_unused(ctx, first + i);
    } else {
      memory_->assign(ctx, first + i, {.kind = page_kind::anonymous, .owner = id_});
    }
  }
  ++counts_.split_page;
}

std::uint64_t virtual_memory::shrink(context& ctx) {
  const auto before = counts_.split_page;
  split_shrinker_.scan(ctx, split_shrinker_.count());
  zero_shrinker_.scan(ctx, zero_shrinker_.count());
  return counts_.split_page - before;
}

std::uint64_t virtual_memory::split_shrinker::count() const { return vm_->to_split_.size(); }

// Those that cannot be split wait at the end of the queue.
std::uint64_t virtual_memory::split_shrinker::scan(context& ctx, std::uint64_t objects) {
  auto& queue = vm_->to_split_;
  const auto before = vm_->counts_.split_page;
  const std::vector<huge_page_id> looked_at(
      queue.begin(),
      queue.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(objects, queue.size())));
  for (const auto id : looked_at) {
    const auto first = vm_->pages_[id].first;
    if (!vm_->pages_.is_held(first) && vm_->finds_all_mappings(first)) {
      vm_->split_now(ctx, id);
    } else {
      std::erase(queue, id);
      queue.push_back(id);
    }
  }
  return vm_->counts_.split_page == before ? 0 : looked_at.size();
}

std::uint64_t virtual_memory::zero_shrinker::count() const {
  return vm_->huge_zero_ && vm_->huge_zero_users_ == 0 ? pageblock_frames : 0;
}

std::uint64_t virtual_memory::zero_shrinker::scan(context& ctx, std::uint64_t) {
  if (count() == 0) return 0;
  vm_->memory_->free(ctx, *std::exchange(vm_->huge_zero_, std::nullopt), pageblock_order);
  return pageblock_frames;
}

// Whether the process may map it.
bool virtual_memory::use_huge_zero_page(context& ctx, address_space& space) {
  if (space.uses_huge_zero_) return true;
  if (!huge_zero_) {
    const auto first =
        memory_->alloc(ctx, pageblock_order, (gfp_transhuge | gfp_flag::zero) - gfp_flag::movable);
    if (!first) return false;
    huge_zero_ = *first;
    ++counts_.zero_page_alloc;
    ctx.done.pages_zeroed += pageblock_frames;
  }
  ++huge_zero_users_;
  space.uses_huge_zero_ = true;
  return true;
}

}  // namespace memsim
