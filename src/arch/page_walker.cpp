// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/page_walker.hpp>

namespace memsim::detail {
namespace {

// Entries per table are 2^9: the region that an entry of this level covers.
constexpr unsigned order_covered(unsigned level) { return 9 * level; }

// Caches of different levels are different tables; within one there is a single kind.
constexpr unsigned only_kind = 0;

constexpr std::array key_makers{
    key_maker{order_covered(0), only_kind}, key_maker{order_covered(1), only_kind},
    key_maker{order_covered(2), only_kind}, key_maker{order_covered(3), only_kind},
    key_maker{order_covered(4), only_kind}, key_maker{order_covered(5), only_kind}};

entry_key cached_entry(std::uint64_t where, unsigned level) { return key_makers[level](where); }

// A table of the guest: the region it covers, with its level in bits of the page number that are
// zero in the first page of any such region.
entry_key guest_table(std::uint64_t where, unsigned level) {
  const auto covered = key_makers[level + 1](where);
  return {.tag = covered.tag | std::uint64_t{level} << place::page_shift,
          .number = covered.number * max_table_levels + level};
}

}  // namespace

page_walker::page_walker(const tlb_config& config)
    : levels_{config.geometry.table_levels},
      largest_{config.nested ? config.nested->host_page : page_size::g1},
      on_page_flush_{config.geometry.walk_caches.on_page_flush},
      nested_{config.nested} {
  const auto& caches = config.geometry.walk_caches;
  const std::array shapes{table_geometry{}, caches.pde, caches.pdpte, caches.pml4e, caches.pml5e};
  for (unsigned level = 1; level < levels_; ++level) {
    if (shapes[level].ways == 0) continue;
    caches_.push_back({.level = level,
                       .last = no_place,
                       .mask = key_makers[level].mask | no_place,
                       .entries{shapes[level], config.seed,
                                fmt::format("{}.walk_cache{}", config.stream, level)}});
    for (unsigned leaf = level; leaf < page_sizes; ++leaf) ++first_cache_[leaf];
  }
  plain_ = caches_.empty() && !nested_;
  if (nested_ && nested_->nested_tlb.ways != 0) {
    nested_tlb_.emplace(nested_->nested_tlb, config.seed, config.stream + ".nested_tlb");
  }
}

unsigned page_walker::walk_with_caches(std::uint64_t where, page_size size) {
  const auto leaf = static_cast<unsigned>(size);
  const std::size_t first = first_cache_[leaf];
  unsigned known = levels_;  // the lowest level whose entry is at hand; the root is always
  std::size_t i = first;
  for (; i < caches_.size(); ++i) {
    cache& c = caches_[i];
    const bool again = ((where ^ c.last) & c.mask) == 0;
    if (!again && c.entries.touch(cached_entry(where, c.level)) == 0) continue;
    c.last = where;
    known = c.level;
    break;
  }
  ++walks_[leaf][known];
  while (i-- > first) {
    cache& c = caches_[i];
    c.entries.insert(cached_entry(where, c.level));
    c.last = where;
  }
  const unsigned references = known - leaf;
  return nested_ ? references + walk_host_for(where, known, leaf) : references;
}

unsigned page_walker::walk_host_for(std::uint64_t where, unsigned known, unsigned leaf) {
  unsigned references = walk_host();  // for the page itself
  for (unsigned level = known; level-- > leaf;) references += translate_table(where, level);
  return references;
}

unsigned page_walker::translate_table(std::uint64_t where, unsigned level) {
  if (!nested_tlb_) return walk_host();
  const auto key = guest_table(where, level);
  if (nested_tlb_->touch(key) != 0) {
    ++other_.nested_tlb_hits;
    return 0;
  }
  ++nested_inserted_;
  nested_tlb_->insert(key);
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
  for (cache& c : caches_) {
    c.last = no_place;
    other_.walk_cache_flushed += c.entries.erase(cached_entry(where, c.level));
  }
}

void page_walker::flush_space(std::uint64_t where) {
  for (cache& c : caches_) {
    c.last = no_place;
    if (c.entries.live()[only_kind] == 0) continue;
    const auto erased = c.entries.erase_where(place::asid_bits, where & place::asid_bits);
    other_.walk_cache_flushed += erased[only_kind];
  }
}

void page_walker::flush_all_spaces() {
  for (cache& c : caches_) {
    c.last = no_place;
    other_.walk_cache_flushed += c.entries.live()[only_kind];
    c.entries.clear();
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
  std::array<std::uint64_t, max_table_levels + 1> begun{};
  std::array<std::uint64_t, max_table_levels> read{};
  std::uint64_t inserted = nested_inserted_;
  for (unsigned leaf = 0; leaf < page_sizes; ++leaf) {
    for (unsigned known = leaf + 1; known <= levels_; ++known) {
      const std::uint64_t walks = walks_[leaf][known];
      begun[known] += walks;
      for (unsigned level = leaf; level < known; ++level) read[level] += walks;
      for (const cache& c : caches_) inserted += c.level > leaf && c.level < known ? walks : 0;
    }
  }
  counts.pte_references = read[0];
  counts.pde_references = read[1];
  counts.pdpte_references = read[2];
  counts.pml4e_references = read[3];
  counts.pml5e_references = read[4];
  // A walk that begins at the root begins at no cache.
  begun[levels_] = 0;
  counts.pde_cache_hits = begun[1];
  counts.pdpte_cache_hits = begun[2];
  counts.pml4e_cache_hits = begun[3];
  counts.pml5e_cache_hits = begun[4];
  counts.walk_cache_evictions = inserted - counts.walk_cache_flushed - entries();
  return counts;
}

std::uint64_t page_walker::entries() const {
  std::uint64_t sum = nested_tlb_ ? nested_tlb_->live()[only_kind] : 0;
  for (const cache& c : caches_) sum += c.entries.live()[only_kind];
  return sum;
}

void page_walker::add_to(digest& sum) const {
  for (const cache& c : caches_) c.entries.add_to(sum);
  if (nested_tlb_) nested_tlb_->add_to(sum);
}

}  // namespace memsim::detail
