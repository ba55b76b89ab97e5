// SPDX-License-Identifier: Apache-2.0
// An allocator from plain data, which is checked first: it may come from a file.
#include <algorithm>
#include <string_view>

#include "alloc/free_lists.hpp"
#include "alloc/in_use_state.hpp"
#include "alloc/state.hpp"

namespace memsim::detail {
namespace {

using check = std::expected<void, error>;

// Frames that something in the state says it has.
struct claim_on_frames {
  pfn first;
  frame_count count;
  std::string_view who;
};

pfn first_pageblock(const zone_state& z) {
  return pfn{z.extent.start.value() / pageblock_frames * pageblock_frames};
}

check check_extent(const zone_state& z, pfn previous_end) {
  const auto& e = z.extent;
  if (e.spanned == 0 || e.start >= max_frame_end || e.spanned > max_frame_end - e.start) {
    return fail(errc::inconsistent, "zone {}: {} frames from frame {} are not within [0, {})",
                e.type, e.spanned, e.start, max_frame_end);
  }
  if (e.start < previous_end) {
    return fail(errc::inconsistent, "zone {} starts at frame {}, before the previous zone's end {}",
                e.type, e.start, previous_end);
  }
  const pfn largest_block{e.start.value() / max_page_order.frames() * max_page_order.frames()};
  if (largest_block < previous_end) {
    return fail(
        errc::inconsistent,
        "zone {} starts at frame {}, in one block of order {} with the previous zone's end {}",
        e.type, e.start, max_page_order, previous_end);
  }
  if (e.managed > e.present || e.present > e.spanned) {
    return fail(errc::inconsistent, "zone {}: managed {}, present {}, spanned {} do not ascend",
                e.type, e.managed, e.present, e.spanned);
  }
  const auto blocks = (e.end().value() + pageblock_frames - 1) / pageblock_frames -
                      e.start.value() / pageblock_frames;
  if (z.pageblocks.size() != blocks) {
    return fail(errc::inconsistent, "zone {}: {} pageblocks are described, it has {}", e.type,
                z.pageblocks.size(), blocks);
  }
  return {};
}

check check_pcp(const zone_state& z, const pcp_state& pcp, std::size_t cpu) {
  const auto wrong = [&](std::string_view what) {
    return fail(errc::inconsistent, "zone {} CPU {}: {}", z.extent.type, cpu, what);
  };
  if (pcp.batch == 0) return wrong("batch is 0");
  // Sums and doublings of these stay within 32 bits; a CPU's share of the largest memory does, too.
  constexpr std::uint32_t most_pages = 1u << 30;
  constexpr std::uint32_t most_batch = 1u << 20;
  for (const auto pages : {pcp.high, pcp.high_min, pcp.high_max, pcp.free_count}) {
    if (pages > most_pages) {
      return fail(errc::inconsistent, "zone {} CPU {}: a limit of {} pages is above {}",
                  z.extent.type, cpu, pages, most_pages);
    }
  }
  if (pcp.batch > most_batch) {
    return fail(errc::inconsistent, "zone {} CPU {}: batch {} is above {}", z.extent.type, cpu,
                pcp.batch, most_batch);
  }
  constexpr unsigned most_doublings = 8;
  if (pcp.free_factor > most_doublings || pcp.alloc_factor > most_doublings) {
    return wrong("a batch factor is above 8");
  }
  std::uint64_t pages = 0;
  for (unsigned list = 0; list < pcp_lists; ++list) {
    pages += pcp.lists[list].size() << pcp_order_of(list);
  }
  if (pages != pcp.count) {
    return fail(errc::inconsistent, "zone {} CPU {}: count is {}, the lists hold {} pages",
                z.extent.type, cpu, pcp.count, pages);
  }
  return {};
}

std::vector<claim_on_frames> claims_of(const zone_state& z) {
  std::vector<claim_on_frames> claims;
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto& list : z.free_lists[o]) {
      for (const auto block : list) claims.push_back({block, order{o}.frames(), "a free list"});
    }
  }
  for (const auto& pcp : z.cpus) {
    for (unsigned list = 0; list < pcp_lists; ++list) {
      const auto frames = order{pcp_order_of(list)}.frames();
      for (const auto& entry : pcp.lists[list]) {
        claims.push_back({entry.block, frames, "a per-CPU list"});
      }
    }
  }
  for (const auto& block : z.allocated) {
    claims.push_back({block.block, block.size.frames(), "the allocated blocks"});
  }
  std::ranges::sort(claims, {}, &claim_on_frames::first);
  return claims;
}

// Every block is aligned, is memory of the zone, and overlaps no other.
check check_claims(const zone_state& z, const std::vector<claim_on_frames>& claims) {
  const auto& e = z.extent;
  pfn free_from = e.start;
  for (const auto& c : claims) {
    if (c.first < e.start || c.first >= e.end() || c.count > e.end() - c.first) {
      return fail(errc::inconsistent, "zone {}: frame {} on {} lies outside the zone", e.type,
                  c.first, c.who);
    }
    if (c.first.value() % c.count != 0) {
      return fail(errc::inconsistent, "zone {}: frame {} on {} is not aligned to its {} frames",
                  e.type, c.first, c.who, c.count);
    }
    if (c.first < free_from) {
      return fail(errc::inconsistent, "zone {}: frame {} on {} is in two places", e.type, c.first,
                  c.who);
    }
    for (pfn frame = c.first; frame < c.first + c.count; frame += pageblock_frames) {
      if (!z.pageblocks[(frame - first_pageblock(z)) / pageblock_frames]) {
        return fail(errc::inconsistent, "zone {}: frame {} on {} lies in a hole", e.type, frame,
                    c.who);
      }
    }
    free_from = c.first + c.count;
  }
  return {};
}

check check_movable(const zone_state& z, const std::vector<claim_on_frames>& claims) {
  for (const auto frame : z.movable_in_use) {
    if (frame < z.extent.start || frame >= z.extent.end() ||
        !z.pageblocks[(frame - first_pageblock(z)) / pageblock_frames]) {
      return fail(errc::inconsistent, "zone {}: movable frame {} is not memory of the zone",
                  z.extent.type, frame);
    }
    const auto next = std::ranges::upper_bound(claims, frame, {}, &claim_on_frames::first);
    if (next == claims.begin()) continue;
    const auto& owner = *std::prev(next);
    const bool inside = frame < owner.first + owner.count;
    const bool head_of_allocated =
        owner.first == frame && owner.who == std::string_view{"the allocated blocks"};
    if (inside && !head_of_allocated) {
      return fail(errc::inconsistent, "zone {}: movable frame {} is part of a block on {}",
                  z.extent.type, frame, owner.who);
    }
  }
  return {};
}

check check_counters(const zone_state& z) {
  std::int64_t free = 0;
  std::int64_t cma = 0;
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto type : all_migratetypes) {
      const auto blocks = z.free_lists[o][static_cast<unsigned>(type)].size();
      const auto pages = static_cast<std::int64_t>(blocks << o);
      if (type != migratetype::isolate) free += pages;
      if (type == migratetype::cma) cma += pages;
    }
  }
  std::int64_t counted = z.free_pages;
  std::int64_t counted_cma = z.free_cma;
  for (const auto& pcp : z.cpus) {
    counted += pcp.pending.free;
    counted_cma += pcp.pending.cma;
  }
  if (counted != free || counted_cma != cma) {
    return fail(errc::inconsistent,
                "zone {}: the counters say {} free pages and {} of CMA, the lists hold {} and {}",
                z.extent.type, counted, counted_cma, free, cma);
  }
  return {};
}

check check_zone(const zone_state& z, pfn previous_end, std::size_t cpus) {
  if (auto ok = check_extent(z, previous_end); !ok) return ok;
  if (z.cpus.size() != cpus) {
    return fail(errc::inconsistent, "zone {} has {} page sets, another zone has {}", z.extent.type,
                z.cpus.size(), cpus);
  }
  for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
    if (auto ok = check_pcp(z, z.cpus[cpu], cpu); !ok) return ok;
  }
  const auto claims = claims_of(z);
  if (auto ok = check_claims(z, claims); !ok) return ok;
  if (auto ok = check_movable(z, claims); !ok) return ok;
  return check_counters(z);
}

check check_state(const allocator_state& state) {
  if (state.zones.empty()) return fail(errc::inconsistent, "the state has no zone");
  const auto cpus = state.zones.front().cpus.size();
  if (cpus == 0) return fail(errc::inconsistent, "the state has no CPU");
  pfn previous_end{0};
  int previous_type = -1;
  for (const auto& z : state.zones) {
    if (static_cast<int>(z.extent.type) <= previous_type) {
      return fail(errc::inconsistent, "zone {} is out of order", z.extent.type);
    }
    if (auto ok = check_zone(z, previous_end, cpus); !ok) return ok;
    previous_end = z.extent.end();
    previous_type = static_cast<int>(z.extent.type);
  }
  return check_use_state(state);
}

// A recording does not say which frames of a zone are memory: every pageblock that is no hole is.
memory_map map_of(const allocator_state& state) {
  std::vector<memory_region> regions;
  for (const auto& z : state.zones) {
    for (std::size_t i = 0; i < z.pageblocks.size(); ++i) {
      if (!z.pageblocks[i]) continue;
      const pfn block = first_pageblock(z) + i * pageblock_frames;
      const pfn first = std::max(block, z.extent.start);
      const pfn last = std::min(block + pageblock_frames, z.extent.end());
      regions.push_back({first, last - first, region_kind::ram});
    }
  }
  return memory_map{std::move(regions)};
}

// Pageblocks are holes where there is no memory, and what a zone has is memory.
check check_memory(const memory_map& memory, const zone_state& z) {
  const pfn first = first_pageblock(z);
  for (std::size_t i = 0; i < z.pageblocks.size(); ++i) {
    const pfn from = std::max(first + i * pageblock_frames, z.extent.start);
    const pfn to = std::min(first + (i + 1) * pageblock_frames, z.extent.end());
    if (z.pageblocks[i].has_value() != memory.has_descriptors(from, to)) {
      return fail(errc::inconsistent, "zone {}: the pageblock at frame {} is {}, and there is {}",
                  z.extent.type, from, z.pageblocks[i] ? "described" : "a hole",
                  z.pageblocks[i] ? "no memory" : "memory");
    }
  }
  for (const auto& c : claims_of(z)) {
    const pfn end = c.first + c.count;
    const auto described = memory.count(region_kind::ram, c.first, end) +
                           memory.count(region_kind::reserved, c.first, end);
    if (described != c.count) {
      return fail(errc::inconsistent, "zone {}: not all of the {} frames at {} on {} are memory",
                  z.extent.type, c.count, c.first, c.who);
    }
  }
  return {};
}

// The state's memory, after checking that its zones lie in it.
std::expected<memory_map, error> memory_of(const allocator_state& state) {
  const bool any = std::ranges::any_of(state.zones, [](const zone_state& z) {
    return std::ranges::any_of(z.pageblocks, [](const auto& type) { return type.has_value(); });
  });
  if (!any) return fail(errc::inconsistent, "no zone of the state has memory");
  if (!state.memory) return map_of(state);
  for (const auto& z : state.zones) {
    if (auto ok = check_memory(*state.memory, z); !ok) return std::unexpected{ok.error()};
  }
  return *state.memory;
}

// What the profile keeps no account of is left at zero.
per_cpu_pages page_set_of(const pcp_state& state, const kernel_profile& profile) {
  const bool adaptive = profile.pcp == pcp_rule::adaptive_high;
  per_cpu_pages pcp{.count = state.count,
                    .high = state.high,
                    .batch = state.batch,
                    .free_factor = adaptive ? 0 : state.free_factor,
                    .high_min = state.high_min,
                    .high_max = state.high_max,
                    .alloc_factor = adaptive ? state.alloc_factor : 0,
                    .free_count = adaptive ? state.free_count : 0,
                    .previous_free_high_order = adaptive && state.previous_free_high_order,
                    .free_high_batch = state.free_high_batch,
                    .pending = state.pending};
  for (unsigned list = 0; list < pcp_lists; ++list) {
    pcp.lists[list].reserve_more(static_cast<std::uint32_t>(state.lists[list].size()));
    for (const auto& entry : state.lists[list]) {
      pcp.lists[list].push_back({static_cast<frame_index>(entry.block.value()), entry.type});
    }
  }
  return pcp;
}

void fill_zone(allocator_core& core, zone& z, const zone_state& state) {
  auto& frames = core.frames_;
  const auto index = [](pfn frame) { return static_cast<frame_index>(frame.value()); };
  const auto touch = [&](pfn frame) {
    frames.touch(index(frame) / static_cast<frame_index>(pageblock_frames));
  };
  for (std::size_t i = 0; i < state.pageblocks.size(); ++i) {
    if (const auto type = state.pageblocks[i]) {
      core.set_block_type(index(first_pageblock(state) + i * pageblock_frames), *type);
    }
  }
  context nobody;
  auto a = allocator_core::act(nobody, z);
  for (unsigned o = 0; o < page_orders; ++o) {
    for (const auto type : all_migratetypes) {
      for (const auto block : state.free_lists[o][static_cast<unsigned>(type)]) {
        if (o < pageblock_order.value()) touch(block);
        core.insert(a, index(block), o, type, list_end::tail);
      }
    }
  }
  z.free_highatomic = state.free_highatomic;
  for (const auto& pcp : state.cpus) {
    for (unsigned list = 0; list < pcp_lists; ++list) {
      for (const auto& entry : pcp.lists[list]) {
        const unsigned o = pcp_order_of(list);
        if (o < pageblock_order.value()) touch(entry.block);
        frames.mark(index(entry.block), o) = frame_mark::per_cpu(o);
      }
    }
  }
  for (const auto& block : state.allocated) {
    const unsigned o = block.size.value();
    if (o < pageblock_order.value()) touch(block.block);
    frames.set_allocated(index(block.block), o);
    if (block.compound && o > 0) frames.mark(index(block.block), o) = frame_mark::compound(o);
  }
  for (const auto frame : state.movable_in_use) {
    core.flag_movable(index(frame), true);
  }
}

}  // namespace

std::vector<zone> zones_of(const std::vector<zone_state>& states, const kernel_profile& profile) {
  std::vector<zone> zones;
  for (const auto& state : states) {
    zone z{.extent = state.extent,
           .marks = state.marks,
           .boost = state.boost,
           .reserve = state.reserve,
           .free_pages = state.free_pages,
           .free_cma = state.free_cma,
           .counter_threshold = state.counter_threshold,
           .reserved_highatomic = state.reserved_highatomic,
           .boosted = state.boosted,
           .reclaim_active = state.reclaim_active,
           .below_high = state.below_high};
    for (const auto& pcp : state.cpus) z.cpus.push_back(page_set_of(pcp, profile));
    zones.push_back(std::move(z));
  }
  return zones;
}

std::expected<std::unique_ptr<allocator_core>, error> restore(const allocator_state& state,
                                                              const kernel_profile& profile,
                                                              const tuning& settings) {
  validate(settings);
  if (auto ok = check_state(state); !ok) return std::unexpected{ok.error()};
  auto memory = memory_of(state);
  if (!memory) return std::unexpected{std::move(memory.error())};
  const auto cpus = static_cast<unsigned>(state.zones.front().cpus.size());
  auto core = std::make_unique<allocator_core>(std::move(*memory), profile, settings, cpus,
                                               zones_of(state.zones, profile));
  core->set_cma_areas(state.cma_areas);
  for (std::size_t i = 0; i < state.zones.size(); ++i) {
    fill_zone(*core, core->zones_[i], state.zones[i]);
  }
  restore_use_state(*core, state);
  return core;
}

}  // namespace memsim::detail
