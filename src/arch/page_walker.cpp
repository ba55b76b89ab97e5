// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/page_walker.hpp>

namespace memsim::detail {
namespace {

// Entries per table are 2^9: the region that an entry of this level covers.
constexpr unsigned order_covered(unsigned level) { return 9 * level; }

// Caches of different levels are different tables; within one there is a single kind.
constexpr unsigned only_kind = 0;

entry_key cached_entry(std::uint64_t where, unsigned level) {
  return entry_key::of(where, order_covered(level), only_kind);
}

// A table of the guest: the region it covers, with its level in bits of the page number that are
// zero in the first page of any such region.
entry_key guest_table(std::uint64_t where, unsigned level) {
  auto key = entry_key::of(where, order_covered(level + 1), only_kind);
  key.tag |= std::uint64_t{level} << place::page_shift;
  key.number = key.number * max_table_levels + level;
  return key;
}

}  // namespace

page_walker::page_walker(const tlb_config& config)
    : levels_{config.geometry.table_levels},
      on_page_flush_{config.geometry.walk_caches.on_page_flush},
      nested_{config.nested} {
  const auto& caches = config.geometry.walk_caches;
  const std::array shapes{table_geometry{}, caches.pde, caches.pdpte, caches.pml4e, caches.pml5e};
  for (unsigned level = 1; level < levels_; ++level) {
    if (shapes[level].ways == 0) continue;
    caches_[level].emplace(shapes[level], config.seed,
                           fmt::format("{}.walk_cache{}", config.stream, level));
  }
  if (nested_ && nested_->nested_tlb.ways != 0) {
    nested_tlb_.emplace(nested_->nested_tlb, config.seed, config.stream + ".nested_tlb");
  }
}

unsigned page_walker::walk(std::uint64_t where, page_size size) {
  const auto leaf = static_cast<unsigned>(size);
  unsigned known = levels_;  // the lowest level whose entry is at hand; the root is always
  for (unsigned level = leaf + 1; level < levels_; ++level) {
    if (caches_[level] && caches_[level]->touch(cached_entry(where, level)) != 0) {
      ++hits_[level];
      known = level;
      break;
    }
  }
  unsigned references = known - leaf;
  for (unsigned level = known; level-- > leaf;) {
    ++references_[level];
    if (nested_) references += translate_table(where, level);
    if (level == leaf || !caches_[level]) continue;
    const auto key = cached_entry(where, level);
    if (caches_[level]->insert(key.tag, key.number) != 0) ++other_.walk_cache_evictions;
  }
  if (nested_) references += walk_host();
  return references;
}

unsigned page_walker::translate_table(std::uint64_t where, unsigned level) {
  if (!nested_tlb_) return walk_host();
  const auto key = guest_table(where, level);
  if (nested_tlb_->touch(key) != 0) {
    ++other_.nested_tlb_hits;
    return 0;
  }
  if (nested_tlb_->insert(key.tag, key.number) != 0) ++other_.walk_cache_evictions;
  return walk_host();
}

unsigned page_walker::walk_host() {
  const unsigned references =
      nested_->host_table_levels - static_cast<unsigned>(nested_->host_page);
  ++other_.host_walks;
  other_.host_references += references;
  return references;
}

void page_walker::flush_page(std::uint64_t where) {
  if (on_page_flush_ == walk_cache_flush::address_space) return flush_space(where);
  for (unsigned level = 1; level < levels_; ++level) {
    if (caches_[level])
      other_.walk_cache_flushed += caches_[level]->erase(cached_entry(where, level));
  }
}

void page_walker::flush_space(std::uint64_t where) {
  for (auto& cache : caches_) {
    if (!cache || cache->live()[only_kind] == 0) continue;
    const auto erased = cache->erase_where(place::asid_bits, where & place::asid_bits);
    other_.walk_cache_flushed += erased[only_kind];
  }
}

void page_walker::flush_all_spaces() {
  for (auto& cache : caches_) {
    if (!cache) continue;
    other_.walk_cache_flushed += cache->live()[only_kind];
    cache->clear();
  }
}

void page_walker::flush_everything() {
  flush_all_spaces();
  if (!nested_tlb_) return;
  other_.walk_cache_flushed += nested_tlb_->live()[only_kind];
  nested_tlb_->clear();
}

tlb_walk_counts page_walker::counts() const {
  tlb_walk_counts counts = other_;
  counts.pte_references = references_[0];
  counts.pde_references = references_[1];
  counts.pdpte_references = references_[2];
  counts.pml4e_references = references_[3];
  counts.pml5e_references = references_[4];
  counts.pde_cache_hits = hits_[1];
  counts.pdpte_cache_hits = hits_[2];
  counts.pml4e_cache_hits = hits_[3];
  counts.pml5e_cache_hits = hits_[4];
  return counts;
}

void page_walker::add_to(digest& sum) const {
  for (const auto& cache : caches_) {
    if (cache) cache->add_to(sum);
  }
  if (nested_tlb_) nested_tlb_->add_to(sum);
}

}  // namespace memsim::detail
