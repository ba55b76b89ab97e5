// SPDX-License-Identifier: Apache-2.0
// How pages come to be mapped and held, and when they are free again.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

// The allocator may move it, and so has to be told who holds it.
bool virtual_memory::is_assigned(pfn page) const {
  return memory_->page(page).flags.has_any(page_flag::lru | page_flag::lru_pending |
                                           page_flag::driver);
}

std::expected<pfn, error> virtual_memory::new_page(context& ctx, const fault_request& want,
                                                   std::uint64_t content) {
  auto& area = want.in.area;
  const auto frame = area.source->allocate(ctx, want, order{0}, gfp_highuser_movable);
  if (!frame) return frame;
  if (auto paid = charge(ctx, want, *frame, order{0}); !paid) return std::unexpected{paid.error()};
  pages_[*frame] = {.content = content,
                    .number = want.index(),
                    .owner = area.own,
                    .source = area.source->id(),
                    .exclusive = true};
  memory_->assign(ctx, *frame, {.kind = page_kind::anonymous, .owner = id_});
  return frame;
}

std::expected<huge_page_id, error> virtual_memory::new_huge_page(context& ctx,
                                                                 const fault_request& want,
                                                                 gfp flags) {
  auto& area = want.in.area;
  const auto first = area.source->allocate(ctx, want, pageblock_order, flags);
  if (!first) return std::unexpected{first.error()};
  if (auto paid = charge(ctx, want, *first, pageblock_order); !paid) {
    return std::unexpected{paid.error()};
  }
  const auto id = pages_.add_huge(*first);
  auto& head = pages_[*first];
  head.number = want.index();
  head.owner = area.own;
  head.source = area.source->id();
  head.exclusive = true;
  memory_->assign(ctx, *first, {.kind = page_kind::anonymous, .owner = id_});
  return id;
}

// A page of a backing is to be mapped, maybe for the first time.
void virtual_memory::keep(const backing& of, std::uint64_t number, const backing_page& found) {
  const auto& head = pages_[found.first];
  const bool is_known = head.source == of.id() && head.number == number &&
                        head.size() == found.size && !head.is_private();
  if (is_known && !found.filled) return;
  if (!head.is_part && pages_.count(found.first) > 0) {
    throw_usage("frame {} is page {} of a backing, and mapped as another", found.first, number);
  }
  auto& kept = pages_.add_large(found.first, found.size);
  kept.number = number;
  kept.source = of.id();
  for (frame_count i = 0; i < frames_of(found.size) && found.filled; ++i) {
    pages_[found.first + i].content = *found.filled;
  }
}

void virtual_memory::map_huge(huge_page_id id) {
  if (pages_[id].pmd_mappings++ == 0) ++mapped_huge_;
}

void virtual_memory::map_small(pfn page) {
  auto& p = pages_[page];
  const bool is_first = p.mappings++ == 0;
  if (p.huge() == huge_page_id::none) return;
  auto& whole = pages_[p.huge()];
  ++whole.pte_mappings;
  whole.mapped_parts += is_first;
}

void virtual_memory::unmap_small(context& ctx, pfn page) {
  auto& p = pages_[page];
  const auto huge = p.huge();
  const bool was_last = --p.mappings == 0;
  if (huge != huge_page_id::none) {
    auto& whole = pages_[huge];
    --whole.pte_mappings;
    whole.mapped_parts -= was_last;
    if (how_.cow.deferral == deferral_rule::part_unmapped) {
      if (was_last && !whole.double_map) queue_split(huge);
    } else {
      if (unmapping_ != huge || page != unmapped_last_ + 1) end_unmapping();
      unmapped_last_ = page;
      if (was_last) unmapping_ = huge;
    }
  }
  free_if_unused(ctx, page);
}

// Whether consecutive parts that were unmapped leave a huge page that is mapped in part.
void virtual_memory::end_unmapping() {
  const auto id = std::exchange(unmapping_, huge_page_id::none);
  if (id == huge_page_id::none) return;
  const auto& whole = pages_[id];
  if (whole.pmd_mappings == 0 && whole.mapped_parts > 0) queue_split(id);
}

void virtual_memory::unmap_huge(context& ctx, huge_page_id id) {
  auto& whole = pages_[id];
  if (--whole.pmd_mappings == 0) {
    --mapped_huge_;
    const bool in_part = whole.mapped_parts > 0 && whole.mapped_parts < pageblock_frames;
    if (std::exchange(whole.double_map, false) && in_part) queue_split(id);
  }
  free_if_unused(ctx, whole.first);
}

void virtual_memory::unmap_entry(context& ctx, page_entry gone, page_size size) {
  if (!gone.is_page()) return;
  const auto huge = pages_[gone.frame()].huge();
  if (size == page_size::m2 && huge != huge_page_id::none) {
    unmap_huge(ctx, huge);
  } else {
    unmap_small(ctx, gone.frame());
  }
}

// One mapping of the whole becomes one of each part.
void virtual_memory::split_mapping(huge_page_id id) {
  auto& whole = pages_[id];
  const bool is_exclusive = pages_[whole.first].exclusive;
  for (frame_count i = 0; i < pageblock_frames; ++i) {
    map_small(whole.first + i);
    if (is_exclusive) pages_[whole.first + i].exclusive = true;
  }
  whole.double_map = --whole.pmd_mappings > 0;
  if (whole.pmd_mappings == 0) --mapped_huge_;
}

// Where the page is then: it may have had to move first.
std::expected<pfn, error> virtual_memory::hold(context& ctx, pfn page, const hold_mode& how) {
  auto head = pages_.head_of(page);
  if (is_assigned(head)) {
    const auto part = page.value() - head.value();
    if (how.term == pin_term::long_term) {
      const auto at = memory_->pin_longterm(ctx, head);
      if (!at) return at;
      head = *at;
    } else {
      memory_->pin(head);
    }
    page = head + part;
  }
  const auto huge = pages_[page].huge();
  // To kernels that do not tell pins it is a reference like others.
  const bool is_pin = how.kind == hold_kind::pin && how_.cow.fork_spares_pins;
  const auto take = [&](auto& of) { ++(is_pin ? of.pins : of.references); };
  huge == huge_page_id::none ? take(pages_[head]) : take(pages_[huge]);
  return page;
}

void virtual_memory::put(context& ctx, pfn page, hold_kind kind) {
  const auto huge = pages_[page].huge();
  const auto head = pages_.head_of(page);
  const bool is_pin = kind == hold_kind::pin && how_.cow.fork_spares_pins;
  const auto drop = [&](auto& of) {
    auto& count = is_pin ? of.pins : of.references;
    if (count == 0) throw_usage("frame {} is not held so", page);
    --count;
  };
  huge == huge_page_id::none ? drop(pages_[head]) : drop(pages_[huge]);
  if (is_assigned(head)) memory_->unpin(head);
  free_if_unused(ctx, page);
}

void virtual_memory::release(context& ctx, std::span<const held_page> pages, hold_kind kind) {
  for (const auto& held : pages) {
    if (held.page) put(ctx, *held.page, kind);
  }
}

backing& virtual_memory::backing_of(const mapped_page& page) const {
  auto* const found = page.source == 0 ? nullptr : backings_[page.source - 1];
  if (found == nullptr) throw_usage("a page outlives its backing");
  return *found;
}

void virtual_memory::free_if_unused(context& ctx, pfn page) {
  if (pages_.count(page) > 0) return;
  const auto huge = pages_[page].huge();
  const auto first = pages_.head_of(page);
  const auto head = pages_[first];
  if (!head.is_private()) {
    // Its contents are kept, as long as its backing keeps it.
    backing_of(head).release(ctx,
                             {.first = first, .size = order_of(head.size()), .index = head.number});
    return;
  }
  released_page gone{.first = first, .is_private = true, .index = head.number};
  if (huge == huge_page_id::none) {
    gone.size = order_of(head.size());
    for (frame_count i = 0; i < gone.size.frames(); ++i) pages_[first + i] = {};
  } else {
    gone.size = pageblock_order;
    unqueue_split(huge);
    if (unmapping_ == huge) unmapping_ = huge_page_id::none;
    pages_.remove_huge(huge);
    for (frame_count i = 0; i < pageblock_frames; ++i) pages_[first + i] = {};
  }
  charges_.drop(first, gone.size.frames());
  backing_of(head).release(ctx, gone);
}

std::uint64_t virtual_memory::content(pfn page) const {
  if (page < memory_->frames().end()) return pages_[page].content;
  const auto found = bare_contents_.find(page);
  return found == bare_contents_.end() ? 0 : found->second;
}

void virtual_memory::forget(pfn page) {
  const auto first = pages_.head_of(page);
  if (pages_.count(first) > 0) throw_usage("frame {} is given up, and in use", page);
  if (pages_[first].source == 0) return;
  const auto frames = frames_of(pages_[first].size());
  for (frame_count i = 0; i < frames; ++i) pages_[first + i] = {};
}

void virtual_memory::fill(pfn page, std::uint64_t content) {
  if (page < memory_->frames().end()) {
    pages_[page].content = content;
  } else {
    bare_contents_[page] = content;
  }
}

// As if a process had written it, the page is dirty, and not to be freed lazily any more.
void virtual_memory::set_content(pfn page, std::uint64_t content) {
  fill(page, content);
  if (page >= memory_->frames().end()) return;
  const auto first = pages_.head_of(page);
  const auto& head = pages_[first];
  if (head.source == 0) return;
  if (!head.is_private()) {
    if (is_assigned(first)) memory_->mark_dirty(first);
    backing_of(head).written(head.number + (page.value() - first.value()), content);
  } else if (head.is_lazily_free) {
    written_again_.push_back(page);
  }
}

}  // namespace memsim
