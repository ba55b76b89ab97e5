// SPDX-License-Identifier: Apache-2.0
#include "alloc/in_use_state.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace memsim::detail {
namespace {

constexpr std::uint64_t block_size = pageblock_frames;

frame_index index_of(pfn frame) { return static_cast<frame_index>(frame.value()); }

// Calls f(first frame) for each pageblock of a zone, clipped to it.
template <class F>
void for_each_pageblock(const zone_extent& extent, F f) {
  const auto end = extent.end().value();
  for (auto block = extent.start.value() / block_size; block * block_size < end; ++block) {
    f(static_cast<frame_index>(block), std::max(block * block_size, extent.start.value()),
      std::min((block + 1) * block_size, end));
  }
}

std::vector<claimed_frames> claims_of(const cma_bitmap& bitmap) {
  std::vector<claimed_frames> claims;
  const auto& bits = bitmap.bits();
  const auto per_bit = bitmap.area().per_bit.frames();
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (!bits[i]) continue;
    if (i > 0 && bits[i - 1]) {
      claims.back().count += per_bit;
    } else {
      claims.push_back({i * per_bit, per_bit});
    }
  }
  return claims;
}

std::vector<pfn> frames_on(const frame_list& list, const lru_state& lru) {
  std::vector<pfn> frames;
  for (auto frame = list.head(); frame != frame_list::none; frame = lru.next(frame)) {
    frames.push_back(pfn{frame});
  }
  return frames;
}

}  // namespace

void add_pages_in_use(const allocator_core& core, const zone& z, zone_state& state) {
  for_each_pageblock(z.extent, [&](frame_index block, std::uint64_t first, std::uint64_t last) {
    if (core.frames_.skip_hint(block)) state.skip_hints.push_back(pfn{block * block_size});
    if (!core.frames_.noted(block)) return;
    for (auto frame = first; frame < last; ++frame) {
      const auto info = core.frames_.info(static_cast<frame_index>(frame));
      if (info != page_info{}) state.pages.push_back({pfn{frame}, info});
    }
  });
}

void add_use_state(const allocator_core& core, allocator_state& state) {
  if (std::ranges::any_of(core.cma_bitmaps_, [](const auto& b) { return b.count() > 0; })) {
    for (const auto& bitmap : core.cma_bitmaps_) state.cma_claims.push_back(claims_of(bitmap));
  }
  for (unsigned list = 0; list < lru_kinds; ++list) {
    state.lru_lists[list] = frames_on(core.lru_.lists[list], core.lru_);
  }
  if (std::ranges::any_of(core.lru_.batches, [](const auto& b) { return !b.empty(); })) {
    for (const auto& batch : core.lru_.batches) {
      auto& pages = state.lru_batches.emplace_back();
      for (const auto frame : batch) pages.push_back(pfn{frame});
    }
  }
  for (const auto& [frame, times] : core.pins_) state.pins.push_back({pfn{frame}, times});
  state.owners = static_cast<std::uint32_t>(core.owners_.size());
  state.reclaim = core.reclaim_;
}

void add_use_digest(const allocator_core& core, digest& d) {
  allocator_state state;
  add_use_state(core, state);
  const auto add = [&d](auto value) { d.add(static_cast<std::uint64_t>(value)); };
  const auto add_frames = [&](const std::vector<pfn>& frames) {
    add(frames.size());
    for (const auto frame : frames) add(frame.value());
  };
  for (const auto& z : core.zones_) {
    zone_state pages;
    add_pages_in_use(core, z, pages);
    add(pages.pages.size());
    for (const auto& [page, info] : pages.pages) {
      add(page.value());
      add(info.flags.bits());
      add(info.owner);
      add(info.tag);
    }
    add_frames(pages.skip_hints);
    const auto& c = z.compaction;
    for (const auto value :
         {c.migrate_async, c.migrate_sync, c.free, c.init_migrate, c.init_free}) {
      add(value);
    }
    for (const auto value : {c.considered, c.shift, c.order_failed}) add(value);
    add(c.flush_hints);
  }
  for (const auto& claims : state.cma_claims) {
    add(claims.size());
    for (const auto& [first, count] : claims) {
      add(first);
      add(count);
    }
  }
  for (const auto& list : state.lru_lists) add_frames(list);
  for (const auto& batch : state.lru_batches) add_frames(batch);
  for (const auto& [frame, times] : state.pins) {
    add(frame.value());
    add(times);
  }
  const auto& reclaim = state.reclaim;
  if (reclaim == reclaim_state{}) return;
  for (const auto pages : {reclaim.swap_slots, reclaim.swap_used}) add(pages);
  add(reclaim.kswapd_failures);
  for (const bool wanted : {reclaim.kswapd_wanted, reclaim.kcompactd_wanted}) add(wanted);
  for (const auto& wish : {reclaim.kswapd, reclaim.kcompactd}) {
    add(wish.order.value());
    add(wish.highest);
  }
}

std::expected<void, error> check_use_state(const allocator_state& state) {
  std::set<std::uint64_t> in_use;
  std::size_t on_lru = 0;
  std::size_t pending = 0;
  for (const auto& z : state.zones) {
    const auto is_known = [&](pfn frame) {
      return std::ranges::binary_search(z.allocated, frame, {}, &allocated_block::block);
    };
    for (const auto& [page, info] : z.pages) {
      if (page < z.extent.start || page >= z.extent.end()) {
        return fail(errc::inconsistent, "zone {}: page {} is not in it", z.extent.type, page);
      }
      if (info.owner > state.owners) {
        return fail(errc::inconsistent, "page {}: owner {} of {}", page, info.owner, state.owners);
      }
      const bool is_tail = info.flags == page_flag::tail;
      if (!is_tail && !is_known(page)) {
        return fail(errc::inconsistent, "page {} is {} and is not in use", page, info.flags);
      }
      if (!is_tail && !in_use.insert(page.value()).second) {
        return fail(errc::inconsistent, "page {} is described twice", page);
      }
      on_lru += info.flags.has_any(page_flag::lru);
      pending += info.flags.has_any(page_flag::lru_pending);
      if (info.flags.has_any(page_flag::isolated)) {
        return fail(errc::inconsistent, "page {} is isolated, and nobody has it", page);
      }
    }
    if (z.compaction.shift > 6) {
      return fail(errc::inconsistent, "zone {}: a deferral of 2^{} requests", z.extent.type,
                  z.compaction.shift);
    }
    for (const auto frame : z.skip_hints) {
      if (frame.value() % block_size != 0 || frame >= z.extent.end() ||
          frame + block_size <= z.extent.start) {
        return fail(errc::inconsistent, "zone {}: skip hint of frame {}, which is not in it",
                    z.extent.type, frame);
      }
    }
  }
  const auto info_of = [&](pfn frame) {
    for (const auto& z : state.zones) {
      const auto found = std::ranges::lower_bound(z.pages, frame, {}, &page_state::page);
      if (found != z.pages.end() && found->page == frame) return found->info;
    }
    return page_info{};
  };
  std::set<std::uint64_t> listed;
  const auto check_list = [&](const std::vector<pfn>& frames, page_flags flag,
                              std::size_t& expected) -> std::expected<void, error> {
    for (const auto frame : frames) {
      if (!info_of(frame).flags.has_any(flag) || !listed.insert(frame.value()).second) {
        return fail(errc::inconsistent,
                    "page {} is on an LRU list or in a batch, and should not be", frame);
      }
      --expected;
    }
    return {};
  };
  for (unsigned list = 0; list < lru_kinds; ++list) {
    if (auto ok = check_list(state.lru_lists[list], page_flag::lru, on_lru); !ok) return ok;
    for (const auto frame : state.lru_lists[list]) {
      if (lru_of(info_of(frame).flags) != static_cast<lru_kind>(list)) {
        return fail(errc::inconsistent, "page {} is on another LRU list than its flags say", frame);
      }
    }
  }
  for (const auto& batch : state.lru_batches) {
    if (auto ok = check_list(batch, page_flag::lru_pending, pending); !ok) return ok;
  }
  if (on_lru != 0 || pending != 0)
    return fail(errc::inconsistent, "a page says that it is on an LRU list, and is not");
  if (!state.lru_batches.empty() && state.lru_batches.size() != state.zones.front().cpus.size()) {
    return fail(errc::inconsistent, "{} LRU batches for {} CPUs", state.lru_batches.size(),
                state.zones.front().cpus.size());
  }
  for (const auto& [frame, times] : state.pins) {
    if (times == 0 || !info_of(frame).flags.has_any(page_flag::pinned)) {
      return fail(errc::inconsistent, "page {} is pinned {} times, and its flags say otherwise",
                  frame, times);
    }
  }
  if (state.reclaim.swap_used > state.reclaim.swap_slots) {
    return fail(errc::inconsistent, "{} pages in a swap of {}", state.reclaim.swap_used,
                state.reclaim.swap_slots);
  }
  for (const auto& area : state.cma_areas) {
    const bool within = std::ranges::any_of(state.zones, [&](const zone_state& z) {
      return z.extent.start <= area.base && area.base < z.extent.end() && area.count > 0 &&
             area.count <= z.extent.end() - area.base;
    });
    if (!within || area.per_bit > max_page_order || area.count % area.per_bit.frames() != 0) {
      return fail(errc::inconsistent, "{} of {} frames a bit does not fit into a zone", area,
                  area.per_bit.frames());
    }
  }
  if (!state.cma_claims.empty() && state.cma_claims.size() != state.cma_areas.size()) {
    return fail(errc::inconsistent, "claims on {} CMA areas of {}", state.cma_claims.size(),
                state.cma_areas.size());
  }
  for (std::size_t i = 0; i < state.cma_claims.size(); ++i) {
    const auto& area = state.cma_areas[i];
    const auto per_bit = area.per_bit.frames();
    for (const auto& [first, count] : state.cma_claims[i]) {
      if (count == 0 || first > area.count || count > area.count - first || first % per_bit != 0 ||
          count % per_bit != 0) {
        return fail(errc::inconsistent, "{}: {} frames from frame {} of it cannot be claimed", area,
                    count, first);
      }
    }
  }
  return {};
}

void restore_use_state(allocator_core& core, const allocator_state& state) {
  core.owners_.assign(state.owners, nullptr);
  core.reclaim_ = state.reclaim;
  for (std::size_t i = 0; i < state.zones.size(); ++i) {
    const auto& z = state.zones[i];
    core.zones_[i].compaction = z.compaction;
    for (const auto frame : z.skip_hints) {
      core.frames_.set_skip_hint(static_cast<frame_index>(frame.value() / block_size));
    }
    for (const auto& [page, info] : z.pages) core.frames_.set_info(index_of(page), info);
    // Of an assigned page the short way knows nothing, even if it is on no list yet.
    for (const auto& [page, info] : z.pages) {
      if (info.flags.has_any(page_flag::lru_pending)) core.flag_movable(index_of(page), false);
    }
  }
  for (unsigned list = 0; list < lru_kinds; ++list) {
    if (state.lru_lists[list].empty()) continue;
    for (const auto frame : state.lru_lists[list]) {
      const auto flags = core.frames_.info(index_of(frame)).flags;
      core.link_lru(index_of(frame), flags, list_end::tail);
    }
  }
  for (std::size_t cpu = 0; cpu < state.lru_batches.size(); ++cpu) {
    for (const auto frame : state.lru_batches[cpu]) {
      core.lru_.batches[cpu].push_back(index_of(frame));
    }
  }
  for (const auto& [frame, times] : state.pins) core.pins_[index_of(frame)] = times;
  for (std::size_t i = 0; i < state.cma_claims.size(); ++i) {
    const auto per_bit = state.cma_areas[i].per_bit.value();
    for (const auto& [first, count] : state.cma_claims[i]) {
      core.cma_bitmaps_[i].set(first >> per_bit, count >> per_bit, true);
    }
  }
}

}  // namespace memsim::detail
