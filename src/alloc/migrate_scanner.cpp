// SPDX-License-Identifier: Apache-2.0
// The migrate scanner within a pageblock (contig A7, B4, B5; compaction A6, B3, B4).
#include "alloc/migrate_scanner.hpp"

#include <algorithm>

namespace memsim::detail {
namespace {

constexpr std::uint64_t block_size = pageblock_frames;

constexpr std::uint64_t block_start(std::uint64_t frame) { return frame / block_size * block_size; }

}  // namespace

// What is remembered while one stretch is scanned.
struct migrate_scanner::progress {
  std::uint64_t frame;
  std::uint64_t first;
  std::size_t before;           // pages taken before it
  std::uint64_t chunk_end = 0;  // of the aligned block of the wanted order
  bool noted = false;           // the scan came in by the pageblock's first page
  bool lru_seen = false;        // the LRU lists were touched: the hint is settled
};

std::uint64_t migrate_scanner::scan_range(std::uint64_t first, std::uint64_t last,
                                          isolated_pages& taken) {
  while (first < last && core_.pages_in(taken) < migration_batch) {
    const auto end = std::min(last, block_start(first) + block_size);
    const auto reached = scan_block(first, end, taken);
    if (reached < end) return reached;
    first = end;
  }
  return first;
}

bool migrate_scanner::looks_at_hint(std::uint64_t frame) const {
  if (frame % block_size == 0) return true;
  return core_.profile_.zone_start_has_skip_hint == rule::on && frame == z_.extent.start.value();
}

std::uint64_t migrate_scanner::scan_block(std::uint64_t first, std::uint64_t last,
                                          isolated_pages& taken) {
  progress p{.frame = first, .first = first, .before = taken.size()};
  const bool by_chunks = how_.direct && how_.mode == migration_mode::async;
  const std::uint64_t chunk = by_chunks ? std::uint64_t{1} << how_.order : 0;
  const auto end_of_chunk = [&](std::uint64_t frame) { return (frame / chunk + 1) * chunk; };
  if (by_chunks) p.chunk_end = end_of_chunk(first);
  bool stopped = false;
  for (; p.frame < last && !stopped; ++p.frame) {
    if (by_chunks && p.frame >= p.chunk_end) {
      if (taken.size() > p.before) break;
      p.chunk_end = end_of_chunk(p.frame);
    }
    if (!p.noted && looks_at_hint(p.frame)) {
      if (!how_.ignores_hints &&
          core_.frames_.skip_hint(static_cast<frame_index>(p.frame / block_size))) {
        p.frame = last;
        break;
      }
      p.noted = true;
    }
    const auto index = static_cast<frame_index>(p.frame);
    const auto mark = core_.frames_.mark_at(pfn{index});
    if (mark.use() == frame_use::free) {
      p.frame += (1u << mark.order()) - 1;
      continue;
    }
    const auto result = look_at(index, mark, p, taken);
    if (result == sight::ends_scan) break;
    if (result == sight::ends_block) {
      p.frame = last;
      break;
    }
    if (result == sight::taken) {
      p.frame += (1u << mark.order()) - 1;
      if (core_.pages_in(taken) >= migration_batch && !thorough_) stopped = true;
      continue;
    }
    p.frame += skipped_pages(mark) - 1;
    if (!by_chunks) continue;
    // The block that is wanted cannot come about here: what was taken of it was taken in vain.
    while (taken.size() > p.before) {
      core_.put_back_from_move(ctx_.cpu, taken.back());
      taken.pop_back();
    }
    if (p.frame < p.chunk_end) {
      p.frame = p.chunk_end - 1;
      p.chunk_end += chunk;
    }
  }
  const auto reached = std::min(p.frame, last);
  if (reached == last) reach_end(last, p, taken);
  ctx_.done.pages_scanned += reached - first;
  if (!how_.contiguous) core_.counts_.migrate_scanned += reached - first;
  core_.counts_.pages_isolated += taken.size() - p.before;
  core_.report_scan(scan_event::scanner::migrate, first, reached, taken.size() - p.before);
  return reached;
}

// A6: one page that is not free.
migrate_scanner::sight migrate_scanner::look_at(frame_index frame, frame_mark mark, progress& p,
                                                isolated_pages& taken) {
  const auto page = core_.frames_.info(frame);
  if (page.flags.has_any(page_flag::isolated)) return sight::unmovable;
  if (!page.flags.has_any(page_flag::lru)) {
    if (!page.flags.has_any(page_flag::driver)) return sight::unmovable;
    auto* const owner = core_.owner_of(page);
    if (owner != nullptr && !owner->lends(pfn{frame}, page.tag)) return sight::unmovable;
    core_.take_for_move(frame);
    taken.push_back(frame);
    return sight::taken;
  }
  const bool anonymous = page.flags.has_any(page_flag::anonymous);
  if (anonymous && page.flags.has_any(page_flag::pinned)) return sight::unmovable;
  if (!anonymous && !how_.may_use_fs) return sight::unmovable;
  if (mark.order() > 0 && !moves_large(mark)) return sight::unmovable;
  if (!p.lru_seen) {
    if (const auto end = settle_hint(frame, p); end != sight::taken) return end;
  }
  core_.take_for_move(frame);
  taken.push_back(frame);
  return sight::taken;
}

// A6.3, B4: the first page of an LRU list that is come upon.
migrate_scanner::sight migrate_scanner::settle_hint(frame_index frame, progress& p) {
  const auto block = frame / static_cast<frame_index>(block_size);
  const bool any_page = core_.profile_.lru_settles_hint == lru_hint::first_found;
  if (any_page && !p.noted) return sight::taken;
  p.lru_seen = true;
  if (how_.ignores_hints || (!any_page && frame % block_size != 0)) return sight::taken;
  const bool was_set = core_.frames_.skip_hint(block);
  if (!how_.contiguous) core_.frames_.set_skip_hint(block);
  if (!was_set) return sight::taken;
  if (!any_page) return sight::ends_scan;
  return thorough_ ? sight::taken : sight::ends_block;
}

// Whether a block of several pages may be taken. Modelling assumption, since no recording has any:
// a range that is to be emptied takes all; compaction takes those smaller than what it makes room
// for, where the kernel can move them.
bool migrate_scanner::moves_large(frame_mark mark) const {
  if (how_.contiguous) return true;
  const auto below =
      how_.order == no_order ? pageblock_order.value() : static_cast<unsigned>(how_.order);
  return core_.profile_.moves_large_pages == rule::on && mark.order() < below;
}

// How far to go on from a page that cannot be taken. 6.12 looks at the pages of a small compound
// page one by one (B4): there is nothing to take among them, so it comes to the same.
std::uint64_t migrate_scanner::skipped_pages(frame_mark mark) const {
  return mark.is_compound() && !how_.contiguous ? std::uint64_t{1} << mark.order() : 1;
}

// A6.5.
void migrate_scanner::reach_end(std::uint64_t end, const progress& p, const isolated_pages& taken) {
  if (taken.size() > p.before && !thorough_) return;
  const bool sets_hint = !how_.contiguous || core_.profile_.ranges_set_skip_hints == rule::on;
  if (sets_hint && p.noted && !p.lru_seen) {
    core_.frames_.set_skip_hint(static_cast<frame_index>(p.first / block_size));
  }
  advance_cache(end);
}

// A6.4.
void migrate_scanner::advance_cache(std::uint64_t position) {
  if (how_.contiguous) return;
  const auto end = block_start(position) + block_size;
  auto& cached = z_.compaction;
  cached.migrate_async = std::max(cached.migrate_async, end);
  if (how_.mode != migration_mode::async) cached.migrate_sync = std::max(cached.migrate_sync, end);
}

}  // namespace memsim::detail
