// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a saved machine consists of: the members of each type, in the order in which they are in
/// the file. A change here is a new version of the format (state_file.cpp).

#include <memsim/alloc/allocator_state.hpp>
#include <memsim/alloc/kernel_profile.hpp>
#include <memsim/alloc/tuning.hpp>
#include <memsim/arch/cpu_presets.hpp>
#include <memsim/arch/direct_map.hpp>
#include <memsim/core/work.hpp>

#include "machine/archive.hpp"

namespace memsim::detail {

template <unsigned Last>
using last_value = std::integral_constant<unsigned, Last>;

template <>
struct last_value_of<region_kind> : last_value<2> {};
template <>
struct last_value_of<zone_type> : last_value<zone_types - 1> {};
template <>
struct last_value_of<migratetype> : last_value<migratetypes - 1> {};
template <>
struct last_value_of<page_size> : last_value<page_sizes - 1> {};
template <>
struct last_value_of<replacement> : last_value<2> {};
template <>
struct last_value_of<walk_cache_flush> : last_value<1> {};
template <>
struct last_value_of<fallback_rule> : last_value<1> {};
template <>
struct last_value_of<highatomic_deduction> : last_value<1> {};
template <>
struct last_value_of<highatomic_limit> : last_value<1> {};
template <>
struct last_value_of<boost_exemption> : last_value<1> {};
template <>
struct last_value_of<pcp_rule> : last_value<1> {};
template <>
struct last_value_of<counter_rule> : last_value<1> {};
template <>
struct last_value_of<rule> : last_value<1> {};
template <>
struct last_value_of<migration_rule> : last_value<1> {};
template <>
struct last_value_of<isolation_rule> : last_value<1> {};
template <>
struct last_value_of<failed_batch_rule> : last_value<1> {};
template <>
struct last_value_of<batch_origin> : last_value<1> {};
template <>
struct last_value_of<capture_check> : last_value<1> {};
template <>
struct last_value_of<lru_hint> : last_value<1> {};
template <>
struct last_value_of<surroundings_hint> : last_value<1> {};
template <>
struct last_value_of<target_rule> : last_value<1> {};

template <class Archive>
void describe(Archive& a, memory_region& r) {
  a(r.first, r.count, r.kind);
}
template <class Archive>
void describe(Archive& a, zone_extent& e) {
  a(e.type, e.start, e.spanned, e.present, e.managed);
}
template <class Archive>
void describe(Archive& a, watermarks& w) {
  a(w.min, w.low, w.high);
}
template <class Archive>
void describe(Archive& a, pending_counters& p) {
  a(p.free, p.cma);
}
template <class Archive>
void describe(Archive& a, pcp_entry& e) {
  a(e.block, e.type);
}
template <class Archive>
void describe(Archive& a, allocated_block& b) {
  a(b.block, b.size, b.compound);
}
template <class Archive>
void describe(Archive& a, cma_area& c) {
  a(c.base, c.count, c.per_bit);
}
template <class Archive>
void describe(Archive& a, page_state& p) {
  auto flags = p.info.flags.bits();
  a(p.page, flags, p.info.owner, p.info.tag);
  p.info.flags = page_flags{flags};
}
template <class Archive>
void describe(Archive& a, compaction_state& c) {
  a(c.migrate_async, c.migrate_sync, c.free, c.init_migrate, c.init_free, c.considered, c.shift,
    c.order_failed, c.flush_hints);
}
template <class Archive>
void describe(Archive& a, claimed_frames& c) {
  a(c.offset, c.count);
}
template <class Archive>
void describe(Archive& a, pinned_page& p) {
  a(p.page, p.times);
}
template <class Archive>
void describe(Archive& a, pcp_state& p) {
  a(p.count, p.high, p.batch, p.free_factor, p.high_min, p.high_max, p.alloc_factor, p.free_count,
    p.previous_free_high_order, p.free_high_batch, p.pending, p.lists);
}
template <class Archive>
void describe(Archive& a, zone_state& z) {
  a(z.extent, z.marks, z.boost, z.reserve, z.free_pages, z.free_cma, z.counter_threshold,
    z.reserved_highatomic, z.free_highatomic, z.boosted, z.reclaim_active, z.below_high, z.cpus,
    z.free_lists, z.pageblocks, z.movable_in_use, z.allocated, z.pages, z.compaction, z.skip_hints);
}

// A map is made of regions, and checks them.
template <class Archive>
void describe(Archive& a, memory_map& map) {
  std::vector<memory_region> regions{map.regions().begin(), map.regions().end()};
  a(regions);
  if constexpr (requires { a.refuse(); }) {
    if (!a.ok()) return;
    try {
      map = memory_map{std::move(regions)};
    } catch (const usage_error&) {
      a.refuse();
    }
  }
}

template <class Archive>
void describe(Archive& a, daemon_wish& w) {
  a(w.order, w.highest);
}
template <class Archive>
void describe(Archive& a, reclaim_state& r) {
  a(r.swap_slots, r.swap_used, r.kswapd_failures, r.kswapd_wanted, r.kcompactd_wanted, r.kswapd,
    r.kcompactd);
}

// An allocator's memory map is there, in all but recordings.
template <class Archive>
void describe(Archive& a, allocator_state& s) {
  bool has_map = s.memory.has_value();
  a(has_map);
  if (has_map) {
    auto map = s.memory.value_or(memory_map::x86_64(bytes{2 << 20}));
    a(map);
    s.memory = std::move(map);
  }
  a(s.zones, s.cma_areas, s.cma_claims, s.lru_lists, s.lru_batches, s.pins, s.owners, s.reclaim);
}

template <class Archive>
void describe(Archive& a, tuning& t) {
  a(t.min_free_kbytes, t.transparent_hugepages, t.watermark_scale_factor, t.watermark_boost_factor,
    t.percpu_pagelist_high_fraction, t.pcp_batch_scale_max, t.extfrag_threshold,
    t.compaction_proactiveness, t.swappiness, t.slow_path);
}

// The name is kept if it is one that memsim knows.
template <class Archive>
void describe(Archive& a, kernel_profile& p) {
  std::string name{p.name};
  a(name, p.fallback, p.highatomic, p.highatomic_reserve, p.unboosted_retry, p.pcp, p.counters,
    p.high_mark_first, p.pcp_notes_migratetype, p.merging_retypes_pageblock, p.frees_by_pageblock,
    p.movable_zone_shares_minimum, p.boosted_flag_needs_kswapd, p.migration, p.isolation,
    p.ranges_set_skip_hints, p.reports_plain_suitability, p.failed_batch, p.moved_from,
    p.captures_seen, p.whole_scan_searches, p.search_sets_skip_hint, p.zone_start_has_skip_hint,
    p.lru_settles_hint, p.target_search_ends_when_enough, p.midway_pageblock_must_suit,
    p.surroundings, p.spares_wanted_order, p.cached_free_passes_pageblock, p.batch_wants_the_rest,
    p.retyping_moves_blocks, p.compaction_targets, p.captures_movable, p.moves_large_pages,
    p.cma_mutex_per_area, p.lru_batch);
  const auto known = find_profile(name);
  p.name = known ? known->name : "custom";
}

template <class Archive>
void describe(Archive& a, mapping_flags& flags) {
  auto bits = flags.bits();
  a(bits);
  if constexpr (requires { a.refuse(); }) {
    if (bits > mapping_flags::all_bits) return a.refuse();
  }
  flags = mapping_flags{bits};
}
template <class Archive>
void describe(Archive& a, mapping& m) {
  a(m.size, m.flags);
}
template <class Archive>
void describe(Archive& a, mapped_run& r) {
  a(r.first, r.count, r.how);
}
template <class Archive>
void describe(Archive& a, page_table_frame& t) {
  a(t.first, t.split, t.table);
}
template <class Archive>
void describe(Archive& a, direct_map_counts& c) {
  a(c.m2_splits, c.g1_splits, c.m2_collapses, c.g1_collapses);
}
template <class Archive>
void describe(Archive& a, direct_map_state& s) {
  a(s.runs, s.tables, s.counts);
}
template <class Archive>
void describe(Archive& a, page_size_set& sizes) {
  page_size_set kept;
  for (const auto size : all_page_sizes) {
    bool has = sizes.contains(size);
    a(has);
    if (has) kept.insert(size);
  }
  sizes = kept;
}
template <class Archive>
void describe(Archive& a, table_geometry& t) {
  a(t.sets, t.ways, t.policy);
}
template <class Archive>
void describe(Archive& a, tlb_structure& s) {
  a(s.sizes, s.table);
}
template <class Archive>
void describe(Archive& a, walk_cache_geometry& w) {
  a(w.pde, w.pdpte, w.pml4e, w.pml5e, w.on_page_flush);
}
template <class Archive>
void describe(Archive& a, tlb_geometry& g) {
  a(g.levels, g.table_levels, g.walk_caches);
}
template <class Archive>
void describe(Archive& a, nested_paging& n) {
  a(n.host_page, n.host_table_levels, n.nested_tlb);
}
template <class Archive>
void describe(Archive& a, price& p) {
  auto each = p.each.count();
  a(each, p.source);
  p.each = picoseconds{each};
}
template <class Archive>
void describe(Archive& a, cost_model& m) {
  auto name = m.name();
  auto prices = m.prices();
  a(name, prices);
  m = cost_model{name};
  for (std::size_t i = 0; i < prices.size(); ++i) {
    m.set(work_statistics[i].name, std::max(prices[i].each, picoseconds{0}), prices[i].source);
  }
}
template <class Archive>
void describe(Archive& a, cpu_preset& c) {
  a(c.name, c.tlb, c.largest_page, c.costs);
}
template <class Archive>
void describe(Archive& a, work& w) {
  for (const auto& counter : work_statistics) a(w.*counter.member);
}

}  // namespace memsim::detail
