// SPDX-License-Identifier: Apache-2.0
// A frame that the machine has lost: who mapped it, and what becomes of its contents.
#include <algorithm>

#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

std::expected<failure_report, error> virtual_memory::memory_failure(context& ctx, pfn frame) {
  const auto has_it = [&](const backing* of) { return of != nullptr && of->index_of(frame); };
  if (frame >= memory_->frames().end() || std::ranges::any_of(backings_, has_it)) {
    return lose_bare(ctx, frame);
  }
  if (pages_.count(frame) == 0 && pages_[pages_.head_of(frame)].source == 0) {
    return fail(errc::invalid, "frame {}: no process uses it", frame);
  }
  if (pages_.is_held(frame)) return fail(errc::busy, "frame {} is held", frame);
  // Only the part that is lost goes.
  if (const auto huge = pages_[frame].huge(); huge != huge_page_id::none) {
    if (auto parts = split(ctx, huge); !parts) return std::unexpected{parts.error()};
    if (pages_.count(frame) == 0) return fail(errc::invalid, "frame {}: nobody mapped it", frame);
  }
  failure_report report{.outcome = failure_outcome::lost, .mapped = mappings_of(frame)};
  // Modelling assumption: of a backing's large page nothing is used again.
  const auto first = pages_.head_of(frame);
  const auto page = pages_[first];
  const auto frames = frames_of(page.size());
  if (!page.is_private()) {
    unmap(ctx, first);
    report.outcome = backing_of(page).memory_failure(ctx, page.number);
  }
  if (report.outcome == failure_outcome::lost) {
    for (const auto& at : report.mapped) {
      auto* const entry = at.process->table_.walk(at.page).entry;
      if (entry == nullptr) continue;
      *entry = page_entry::poison();
      ++ctx.done.entries_written;
      at.process->flush(ctx, stale_range::of(at.page, frames_of(at.size), at.size));
    }
  }
  for (frame_count i = 0; i < frames; ++i) pages_[first + i] = {};
  charges_.drop(first, frames);
  if (page.is_private()) {
    backing_of(page).lost(
        ctx,
        {.first = first, .size = order_of(page.size()), .is_private = true, .index = page.number});
  }
  retire(ctx, frame);
  return report;
}

// Never used again, and in nobody's way.
void virtual_memory::retire(context& ctx, pfn frame) {
  ++corrupted_;
  lost_.insert(frame);
  if (!is_assigned(frame)) return;
  memory_->assign(ctx, frame, {.kind = page_kind::driver});
  memory_->pin(frame);
}

std::expected<failure_report, error> virtual_memory::lose_bare(context& ctx, pfn frame) {
  for (auto* const of : backings_) {
    const auto index = of == nullptr ? std::nullopt : of->index_of(frame);
    if (!index) continue;
    failure_report report;
    for (const auto& [process, area] : of->mappings()) {
      if (*index < area.offset || *index - area.offset >= area.pages()) continue;
      const auto page = area.first + (*index - area.offset);
      const auto at = process.table_.walk(page);
      if (at.entry == nullptr || !at.entry->is_bare()) continue;
      report.mapped.push_back({&process, page.base(at.size), at.size});
      process.unmap_one(ctx, *at.entry, at.size);
      process.flush(ctx, stale_range::of(page.base(at.size), frames_of(at.size), at.size));
    }
    report.outcome = of->memory_failure(ctx, *index);
    ++corrupted_;
    return report;
  }
  return fail(errc::invalid, "frame {}: no backing has it", frame);
}

}  // namespace memsim
