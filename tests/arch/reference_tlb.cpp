// SPDX-License-Identifier: Apache-2.0
#include "arch/reference_tlb.hpp"

#include <algorithm>

namespace memsim::reference {
namespace {

using member = std::uint64_t tlb_level_counts::*;

// The counter of entries or pages of 2^order small ones.
std::uint64_t& of_order(tlb_level_counts& counts, unsigned order,
                        const std::array<member, page_sizes>& by_size) {
  return counts.*by_size.at(order / 9);
}
std::uint64_t& hits(tlb_level_counts& c, unsigned order) {
  return of_order(
      c, order,
      {&tlb_level_counts::hits_4k, &tlb_level_counts::hits_2m, &tlb_level_counts::hits_1g});
}
std::uint64_t& misses(tlb_level_counts& c, unsigned order) {
  return of_order(
      c, order,
      {&tlb_level_counts::misses_4k, &tlb_level_counts::misses_2m, &tlb_level_counts::misses_1g});
}
std::uint64_t& evictions(tlb_level_counts& c, unsigned order) {
  return of_order(c, order,
                  {&tlb_level_counts::evictions_4k, &tlb_level_counts::evictions_2m,
                   &tlb_level_counts::evictions_1g});
}
std::uint64_t& flushed(tlb_level_counts& c, unsigned order) {
  return of_order(c, order,
                  {&tlb_level_counts::flushed_4k, &tlb_level_counts::flushed_2m,
                   &tlb_level_counts::flushed_1g});
}

unsigned order_of_size(page_size size) { return 9 * static_cast<unsigned>(size); }

}  // namespace

std::optional<entry> table::find(std::uint64_t page, unsigned order, std::uint16_t space) {
  auto& set = set_for(page >> order);
  for (unsigned way = 0; way < set.ways.size(); ++way) {
    if (!set.ways[way] || !set.ways[way]->answers(page, order, space)) continue;
    use(set, way);
    return set.ways[way];
  }
  return std::nullopt;
}

bool table::contains(std::uint64_t page, unsigned order, std::uint16_t space) const {
  const auto& set = sets_[(page >> order) % shape_.sets];
  return std::ranges::any_of(
      set.ways, [&](const auto& way) { return way && way->answers(page, order, space); });
}

std::optional<entry> table::insert(const entry& added) {
  auto& set = set_for(added.number);
  const unsigned way = victim(set);
  const auto evicted = set.ways[way];
  set.ways[way] = added;
  use(set, way);
  return evicted;
}

void table::use(set_of_ways& set, unsigned way) {
  set.ways[way]->last_used = ++clock_;
  for (unsigned first = 0, end = shape_.ways; end - first > 1;) {
    const unsigned middle = first + (end - first + 1) / 2;
    const bool lower = way < middle;
    set.lower_used_last[{first, end}] = lower;
    (lower ? end : first) = middle;
  }
}

unsigned table::victim(const set_of_ways& set) const {
  unsigned oldest = 0;
  for (unsigned way = 0; way < shape_.ways; ++way) {
    if (!set.ways[way]) return way;
    if (set.ways[way]->last_used < set.ways[oldest]->last_used) oldest = way;
  }
  if (shape_.policy == replacement::lru) return oldest;
  unsigned first = 0;
  for (unsigned end = shape_.ways; end - first > 1;) {
    const auto used = set.lower_used_last.find({first, end});
    const bool upper = used != set.lower_used_last.end() && used->second;
    const unsigned middle = first + (end - first + 1) / 2;
    (upper ? first : end) = middle;
  }
  return first;
}

std::uint64_t table::count(unsigned order) const {
  std::uint64_t n = 0;
  for (const auto& set : sets_) {
    for (const auto& way : set.ways) n += way && way->order == order ? 1 : 0;
  }
  return n;
}

tlb::tlb(const tlb_config& config) : config_{config} {
  for (const auto& level : config.geometry.levels) {
    auto& structures = levels_.emplace_back();
    for (const auto& s : level) structures.push_back({s.sizes, table{s.table}});
  }
  const auto& caches = config.geometry.walk_caches;
  const std::array shapes{caches.pde, caches.pdpte, caches.pml4e, caches.pml5e};
  for (unsigned level = 1; level < config.geometry.table_levels; ++level) {
    if (shapes[level - 1].ways != 0) walk_caches_.emplace(level, shapes[level - 1]);
  }
  if (config.nested && config.nested->nested_tlb.ways != 0) {
    nested_tlb_.emplace(0, config.nested->nested_tlb);
  }
}

translation tlb::translate(asid space, vpn page, const page_mapping& mapping) {
  // The size of the last translation is asked for first.
  std::vector<page_size> sizes(all_page_sizes.begin(), all_page_sizes.end());
  const auto last = std::ranges::find(sizes, last_size_);
  std::rotate(sizes.begin(), last, last + 1);
  for (const page_size size : sizes) {
    const unsigned order = order_of_size(size);
    for (unsigned level = 0; level < levels_.size(); ++level) {
      for (auto& s : levels_[level]) {
        if (!s.sizes.contains(size)) continue;
        const auto found = s.entries.find(page.value(), order, space.value());
        if (!found) continue;
        ++hits(counts_.levels[level], order);
        last_size_ = size;
        for (unsigned above = 0; above < level; ++above) {
          ++misses(counts_.levels[above], order);
          fill(above, *found);
        }
        return {.hit_level = static_cast<std::uint8_t>(level + 1), .size = size};
      }
    }
  }
  const unsigned references = walk(space, page.value(), static_cast<unsigned>(mapping.size));
  page_size size = mapping.size;
  if (config_.nested) size = std::min(size, config_.nested->host_page);
  const std::array walks{&tlb_walk_counts::walks_4k, &tlb_walk_counts::walks_2m,
                         &tlb_walk_counts::walks_1g};
  ++(counts_.walks.*walks[static_cast<unsigned>(size)]);
  const unsigned order = order_of_size(size);
  last_size_ = size;
  for (unsigned level = 0; level < levels_.size(); ++level) {
    ++misses(counts_.levels[level], order);
    fill(level, {.order = order,
                 .number = page.value() >> order,
                 .space = space.value(),
                 .global = mapping.scope == mapping_scope::global});
  }
  return {.size = size, .walk_references = static_cast<std::uint8_t>(references)};
}

void tlb::fill(unsigned level, const entry& added) {
  for (auto& s : levels_[level]) {
    for (const page_size size : all_page_sizes) {
      if (!s.sizes.contains(size) || order_of_size(size) != added.order) continue;
      const auto evicted = s.entries.insert(added);
      if (evicted) ++evictions(counts_.levels[level], evicted->order);
    }
  }
}

unsigned tlb::walk(asid space, std::uint64_t page, unsigned leaf) {
  auto& walks = counts_.walks;
  const std::array references{&walks.pte_references, &walks.pde_references, &walks.pdpte_references,
                              &walks.pml4e_references, &walks.pml5e_references};
  const std::array cache_hits{&walks.pte_references, &walks.pde_cache_hits, &walks.pdpte_cache_hits,
                              &walks.pml4e_cache_hits, &walks.pml5e_cache_hits};
  unsigned start = config_.geometry.table_levels;
  for (unsigned level = leaf + 1; level < config_.geometry.table_levels; ++level) {
    const auto cache = walk_caches_.find(level);
    if (cache == walk_caches_.end() || !cache->second.find(page, 9 * level, space.value()))
      continue;
    ++*cache_hits[level];
    start = level;
    break;
  }
  unsigned total = 0;
  for (unsigned level = start; level-- > leaf;) {
    ++total;
    ++*references[level];
    if (config_.nested) {
      // The guest's table of this level, named by the first page it covers and its level.
      const unsigned covers = 9 * (level + 1);
      const std::uint64_t table_name = (page >> covers) * max_table_levels + level;
      auto cache = nested_tlb_.find(0);
      if (cache != nested_tlb_.end() && cache->second.find(table_name, 0, space.value())) {
        ++walks.nested_tlb_hits;
      } else {
        if (cache != nested_tlb_.end() &&
            cache->second.insert({.number = table_name, .space = space.value()})) {
          ++walks.walk_cache_evictions;
        }
        total += host_walk();
      }
    }
    const auto cache = walk_caches_.find(level);
    if (level == leaf || cache == walk_caches_.end()) continue;
    const entry added{.order = 9 * level, .number = page >> (9 * level), .space = space.value()};
    if (cache->second.insert(added)) ++walks.walk_cache_evictions;
  }
  if (config_.nested) total += host_walk();
  return total;
}

unsigned tlb::host_walk() {
  const unsigned levels =
      config_.nested->host_table_levels - static_cast<unsigned>(config_.nested->host_page);
  ++counts_.walks.host_walks;
  counts_.walks.host_references += levels;
  return levels;
}

bool tlb::holds(asid space, vpn page) const {
  for (const auto& level : levels_) {
    for (const auto& s : level) {
      for (const page_size size : all_page_sizes) {
        if (s.entries.contains(page.value(), order_of_size(size), space.value())) return true;
      }
    }
  }
  return false;
}

void tlb::flush(const tlb_flush& what) {
  for (std::uint64_t i = 0; i < what.pages; ++i) {
    flush_page(what.space.value(),
               what.first.value() + i * (std::uint64_t{1} << order_of_size(what.stride)));
  }
  if (what.pages != 0) return;
  const auto dropped = [&](const entry& e) {
    if (what.full == full_flush::everything) return true;
    if (e.global) return false;
    return what.full == full_flush::all_but_global || e.space == what.space.value();
  };
  for (unsigned level = 0; level < levels_.size(); ++level) {
    for (auto& s : levels_[level]) {
      for (const auto& e : s.entries.drop_if(dropped)) ++flushed(counts_.levels[level], e.order);
    }
  }
  for (auto& [level, cache] : walk_caches_) drop_walk_caches(cache.drop_if(dropped));
  if (what.full == full_flush::everything) {
    ++counts_.flushes.everything_flushes;
    for (auto& [name, cache] : nested_tlb_) drop_walk_caches(cache.drop_if(dropped));
  } else if (what.full == full_flush::all_but_global) {
    ++counts_.flushes.all_but_global_flushes;
  } else {
    ++counts_.flushes.address_space_flushes;
  }
}

void tlb::flush_page(std::uint16_t space, std::uint64_t page) {
  ++counts_.flushes.page_flushes;
  const auto covers = [&](const entry& e) { return e.answers(page, e.order, space); };
  for (unsigned level = 0; level < levels_.size(); ++level) {
    for (auto& s : levels_[level]) {
      for (const auto& e : s.entries.drop_if(covers)) ++flushed(counts_.levels[level], e.order);
    }
  }
  const bool whole_space =
      config_.geometry.walk_caches.on_page_flush == walk_cache_flush::address_space;
  for (auto& [level, cache] : walk_caches_) {
    drop_walk_caches(
        cache.drop_if([&](const entry& e) { return whole_space ? e.space == space : covers(e); }));
  }
}

void tlb::drop_walk_caches(const std::vector<entry>& dropped) {
  counts_.walks.walk_cache_flushed += dropped.size();
}

std::uint64_t tlb::entries(unsigned level, page_size size) const {
  std::uint64_t n = 0;
  for (const auto& s : levels_[level - 1]) {
    if (s.sizes.contains(size)) n += s.entries.count(order_of_size(size));
  }
  return n;
}

}  // namespace memsim::reference
