// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb.hpp>

#include <bit>

#include <memsim/core/error.hpp>

namespace memsim {
namespace {

using detail::entry_key;
using detail::place;

constexpr unsigned index_of(page_size size) { return static_cast<unsigned>(size); }

constexpr unsigned pages_log2(page_size size) { return page_table_order * index_of(size); }

constexpr std::array key_makers{detail::key_maker{pages_log2(page_size::k4), 0},
                                detail::key_maker{pages_log2(page_size::m2), 1},
                                detail::key_maker{pages_log2(page_size::g1), 2}};

// A place where the counts of a level keep a number of each page size.
using counter_of_size = std::array<std::uint64_t tlb_level_counts::*, page_sizes>;
constexpr counter_of_size hits_of{&tlb_level_counts::hits_4k, &tlb_level_counts::hits_2m,
                                  &tlb_level_counts::hits_1g};
constexpr counter_of_size misses_of{&tlb_level_counts::misses_4k, &tlb_level_counts::misses_2m,
                                    &tlb_level_counts::misses_1g};
constexpr counter_of_size evictions_of{&tlb_level_counts::evictions_4k,
                                       &tlb_level_counts::evictions_2m,
                                       &tlb_level_counts::evictions_1g};
constexpr counter_of_size flushed_of{&tlb_level_counts::flushed_4k, &tlb_level_counts::flushed_2m,
                                     &tlb_level_counts::flushed_1g};

// How many there are, in a configuration that is valid.
unsigned checked_levels(const tlb_config& config) {
  validate(config);
  return static_cast<unsigned>(config.geometry.levels.size());
}

}  // namespace

tlb::tlb(const tlb_config& config)
    : levels_{checked_levels(config)}, walker_{config}, config_{config} {
  for (const page_size size : all_page_sizes) {
    chains_[index_of(size)].key = key_makers[index_of(size)];
    chains_[index_of(size)].bit = 1u << index_of(size);
  }
  for (unsigned level = 0; level < levels_; ++level) {
    for (const auto& structure : config_.geometry.levels[level]) {
      for (const page_size size : all_page_sizes) {
        if (!structure.sizes.contains(size)) continue;
        chain& c = chains_[index_of(size)];
        c.links[c.length++] = {
            .structure = static_cast<std::uint32_t>(structures_.size()),
            .hit = {.hit_level = static_cast<std::uint8_t>(level + 1), .size = size}};
      }
      structures_.emplace_back(structure.table, config_.seed,
                               fmt::format("{}.{}", config_.stream, structures_.size()));
      level_of_.push_back(static_cast<std::uint8_t>(level));
    }
  }
  for (chain& c : chains_) {
    c.quick = c.length >= 2 && c.links[0].hit.hit_level == 1 &&
              structures_[c.links[0].structure].is_quad() &&
              structures_[c.links[1].structure].is_quick();
  }
}

void tlb::detail_refuse_nesting(vpn page) {
  throw_usage("the page walk for {} made the same TLB translate", page);
}

translation tlb::look_up(std::uint64_t where) {
  ++lookups_;
  // Most accesses are of the size of the one before, and most structures are quads or narrow. This
  // much calls nothing but in its end, so that it need not save a register.
  const chain& c = chains_[index_of(last_.hit.size)];
  if (!c.quick) [[unlikely]]
    return look_up_chains(where, 0);
  const entry_key key = c.key(where);
  auto& first = structures_[c.links[0].structure];
  if (first.touch_quad(key) != 0) {
    ++hits_[0][index_of(c.links[0].hit.size)];
    last_.where = where;
    return c.links[0].hit;
  }
  const std::uint64_t tag = structures_[c.links[1].structure].touch_quickly(key);
  if (tag == 0) {
    if (active_sizes_ == c.bit && c.length == 2) [[likely]]
      return {};
    return look_up_chains(where, 2);
  }
  const translation hit = c.links[1].hit;
  ++hits_[hit.hit_level - 1u][index_of(hit.size)];
  last_.where = where;
  const entry_key copy{.tag = tag, .number = key.number};
  if (!first.insert_in_quad(copy)) [[unlikely]]
    first.insert(copy);
  return hit;
}

translation tlb::look_up_chains(std::uint64_t where, unsigned done) {
  const unsigned last_size = index_of(last_.hit.size);
  if (const auto found = look_up_chain(where, last_size, done); found.hit_level != 0) return found;
  for (unsigned sizes = active_sizes_ & ~(1u << last_size); sizes != 0; sizes &= sizes - 1) {
    const auto size = static_cast<unsigned>(std::countr_zero(sizes));
    if (const auto found = look_up_chain(where, size, 0); found.hit_level != 0) return found;
  }
  return {};
}

[[gnu::always_inline]] inline translation tlb::look_up_chain(std::uint64_t where, unsigned size,
                                                             unsigned done) {
  const chain& c = chains_[size];
  auto key = c.key(where);
  for (unsigned i = done; i < c.length; ++i) {
    const std::uint64_t tag = structures_[c.links[i].structure].touch(key);
    if (tag == 0) continue;
    const translation hit = c.links[i].hit;
    ++hits_[hit.hit_level - 1u][size];
    key.tag = tag;
    while (i-- > 0) structures_[c.links[i].structure].insert(key);
    remember(where, hit.size);
    return hit;
  }
  return {};
}

translation tlb::install(std::uint64_t where, const page_mapping& mapping) {
  const unsigned references = walker_.walk(where, mapping.size);
  const page_size size = walker_.combined(mapping.size);
  const chain& c = chains_[index_of(size)];
  entry_key key = c.key(where);
  if (mapping.scope == mapping_scope::global) key.tag = place::global(key.tag);
  unsigned filled = 0;
  if (c.quick) [[likely]] {
    // As long as this goes well, nothing is called.
    if (structures_[c.links[0].structure].insert_in_quad(key)) ++filled;
    if (filled == 1 && structures_[c.links[1].structure].insert_quickly(key)) ++filled;
  }
  if (filled < c.length) fill(c, filled, key);
  ++walks_[index_of(size)];
  active_sizes_ |= c.bit;
  remember(where, size);
  return {.size = size, .walk_references = static_cast<std::uint8_t>(references)};
}

void tlb::fill(const chain& c, unsigned first, entry_key key) {
  for (unsigned i = first; i < c.length; ++i) structures_[c.links[i].structure].insert(key);
}

void tlb::remember(std::uint64_t where, page_size size) {
  last_.where = where;
  if (last_.hit.size != size || last_.mask == no_place) [[unlikely]]
    change_last_size(size);
}

void tlb::change_last_size(page_size size) {
  hits_[0][index_of(last_.hit.size)] += last_.hits;
  const bool kept = structure_at(0, index_of(size)) != no_structure;
  last_ = {.where = kept ? last_.where : no_place,
           .mask = kept ? place::mask(pages_log2(size)) | no_place : no_place,
           .hit = {.hit_level = 1, .size = size}};
}

unsigned tlb::structure_at(unsigned level, unsigned size) const {
  const chain& c = chains_[size];
  for (unsigned i = 0; i < c.length; ++i) {
    if (c.links[i].hit.hit_level == level + 1) return c.links[i].structure;
  }
  return no_structure;
}

bool tlb::holds(asid space, vpn page) const {
  for (const chain& c : chains_) {
    const auto key = c.key(place::of(space, page));
    for (unsigned i = 0; i < c.length; ++i) {
      if (structures_[c.links[i].structure].contains(key)) return true;
    }
  }
  return false;
}

void tlb::flush(const tlb_flush& what) {
  forget_last();
  if (what.pages != 0) {
    const frame_count step = frames_of(what.stride);
    for (std::uint64_t i = 0; i < what.pages; ++i) flush_page(what.space, what.first + i * step);
    return;
  }
  const std::uint64_t space = place::of(what.space, vpn{});
  switch (what.full) {
    case full_flush::address_space:
      ++flushes_.address_space_flushes;
      flush_where(place::asid_bits | place::global_bit, space);
      return walker_.flush_space(space);
    case full_flush::all_but_global:
      ++flushes_.all_but_global_flushes;
      flush_where(place::global_bit, 0);
      return walker_.flush_all_spaces();
    case full_flush::everything:
      ++flushes_.everything_flushes;
      flush_everything();
      return walker_.flush_everything();
  }
}

void tlb::flush_page(asid space, vpn page) {
  ++flushes_.page_flushes;
  const std::uint64_t where = place::of(space, page);
  for (unsigned size = 0; size < page_sizes; ++size) {
    const chain& c = chains_[size];
    if ((active_sizes_ >> size & 1) == 0) continue;
    const auto key = c.key(where);
    for (unsigned i = 0; i < c.length; ++i) {
      const unsigned number = c.links[i].structure;
      flushed_[level_of_[number]][size] += structures_[number].erase(key);
    }
  }
  walker_.flush_page(where);
}

void tlb::flush_where(std::uint64_t mask, std::uint64_t value) {
  for (std::size_t i = 0; i < structures_.size(); ++i) {
    const auto erased = structures_[i].erase_where(mask, value);
    for (unsigned size = 0; size < page_sizes; ++size) flushed_[level_of_[i]][size] += erased[size];
  }
}

void tlb::flush_everything() {
  for (std::size_t i = 0; i < structures_.size(); ++i) {
    const auto& live = structures_[i].live();
    for (unsigned size = 0; size < page_sizes; ++size) flushed_[level_of_[i]][size] += live[size];
    structures_[i].clear();
  }
  active_sizes_ = 0;
}

std::uint64_t tlb::entries(unsigned level, page_size size) const {
  if (level < 1 || level > levels_)
    throw_usage("TLB level {}: allowed are 1 to {}", level, levels_);
  const unsigned structure = structure_at(level - 1, index_of(size));
  return structure == no_structure ? 0 : structures_[structure].live()[index_of(size)];
}

tlb_counts tlb::counts() const {
  tlb_counts counts;
  counts.walks = walker_.counts();
  counts.walks.walks_4k = walks_[0];
  counts.walks.walks_2m = walks_[1];
  counts.walks.walks_1g = walks_[2];
  counts.flushes = flushes_;
  // What a level missed is what the levels below it had, and the walks.
  auto misses = walks_;
  for (unsigned level = levels_; level-- > 0;) {
    auto& at_level = counts.levels[level];
    for (unsigned size = 0; size < page_sizes; ++size) {
      const bool is_last = level == 0 && size == index_of(last_.hit.size);
      const std::uint64_t hits = hits_[level][size] + (is_last ? last_.hits : 0);
      at_level.*hits_of[size] = hits;
      at_level.*misses_of[size] = misses[size];
      // Every miss brought an entry, where the level keeps the size.
      if (const unsigned number = structure_at(level, size); number != no_structure) {
        at_level.*evictions_of[size] =
            misses[size] - flushed_[level][size] - structures_[number].live()[size];
      }
      at_level.*flushed_of[size] = flushed_[level][size];
      misses[size] += hits;
    }
  }
  return counts;
}

digest tlb::state_digest() const {
  digest sum;
  for (const auto& structure : structures_) structure.add_to(sum);
  walker_.add_to(sum);
  return sum;
}

std::string to_text(mapping_scope scope) {
  return scope == mapping_scope::global ? "global" : "address_space";
}

std::string to_text(const translation& t) {
  if (t.hit_level != 0) return fmt::format("{} hit in L{}", t.size, t.hit_level);
  return fmt::format("{} walk of {}", t.size, t.walk_references);
}

}  // namespace memsim
