// SPDX-License-Identifier: Apache-2.0
#include "workload/prior_use.hpp"

#include <algorithm>
#include <bit>
#include <ranges>

#include <memsim/alloc/page_allocator.hpp>

namespace memsim::detail {
namespace {

constexpr std::uint64_t all = ~std::uint64_t{0};

// For each aligned block of 2^order bits of the word, its first bit if all of them are set.
std::uint64_t full_blocks(std::uint64_t word, unsigned order) {
  for (unsigned o = 0; o < order; ++o) word &= word >> (1u << o);
  std::uint64_t firsts = 1;
  for (unsigned width = 1u << order; width < 64; width *= 2) firsts |= firsts << width;
  return word & firsts;
}

}  // namespace

prior_use::prior_use(const page_allocator& memory, std::uint64_t seed)
    : end_{memory.frames().end().value()},
      words_{end_ / 64 + 1},
      random_{seed, "replay.substitutes"} {
  for (const auto& z : memory.zones()) {
    zones_.push_back({.first = z.extent.start.value(), .last = z.extent.end().value()});
  }
  for (const auto& region : memory.memory().regions()) {
    if (region.kind != region_kind::ram) continue;
    for (pfn frame = region.first; frame < region.end();) {
      const auto mark = memory.frames().mark_at(frame);
      if (mark.use() == frame_use::none) insert(frame.value());
      frame += mark.use() == frame_use::none ? 1 : frame_count{1} << mark.order();
    }
  }
}

bool prior_use::contains(std::uint64_t first, std::uint64_t count) const {
  for (std::uint64_t frame = first; frame < first + count; ++frame) {
    if ((words_[frame / 64] >> frame % 64 & 1) == 0) return false;
  }
  return true;
}

bool prior_use::take(pfn block, order size) {
  const auto first = block.value();
  const auto count = size.frames();
  if (first >= end_ || count > end_ - first || first % count != 0) return false;
  if (!contains(first, count)) return false;
  for (auto frame = first; frame < first + count; ++frame) {
    words_[frame / 64] &= ~(std::uint64_t{1} << frame % 64);
  }
  return true;
}

// The first aligned block within [first, last) that is all in; whole words are looked at.
std::optional<std::uint64_t> prior_use::find(std::uint64_t first, std::uint64_t last,
                                             unsigned order) const {
  const std::uint64_t count = std::uint64_t{1} << order;
  if (order < 6) {
    for (auto word = first / 64; word * 64 < last; ++word) {
      for (auto found = full_blocks(words_[word], order); found != 0; found &= found - 1) {
        const auto frame = word * 64 + static_cast<unsigned>(std::countr_zero(found));
        if (frame >= first && frame + count <= last) return frame;
      }
    }
    return std::nullopt;
  }
  for (auto frame = (first + count - 1) / count * count; frame + count <= last; frame += count) {
    const auto* begin = words_.data() + frame / 64;
    if (std::all_of(begin, begin + count / 64, [](auto word) { return word == all; })) return frame;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> prior_use::find_in_zone(zone_range& zone, unsigned order) {
  if (zone.exhausted[order]) return std::nullopt;
  const auto start = zone.first + random_.below(zone.last - zone.first);
  if (const auto found = find(start, zone.last, order)) return found;
  // Also what begins before the start and ends after it.
  const auto rest = std::min(zone.last, start + (std::uint64_t{1} << order));
  if (const auto found = find(zone.first, rest, order)) return found;
  zone.exhausted[order] = true;  // frames are only ever taken out
  return std::nullopt;
}

std::optional<pfn> prior_use::take_other(pfn wanted, order size) {
  const auto take_at = [&](std::uint64_t frame) {
    const pfn block{frame};
    return take(block, size) ? std::optional{block} : std::nullopt;
  };
  zone_range* own = nullptr;
  for (auto& zone : zones_) {
    if (wanted.value() >= zone.first && wanted.value() < zone.last) own = &zone;
  }
  const unsigned o = size.value();
  if (own != nullptr && !own->exhausted[o]) {
    const auto block = wanted.value() / pageblock_frames * pageblock_frames;
    const auto first = std::max(block, own->first);
    const auto last = std::min(block + pageblock_frames, own->last);
    if (const auto found = find(first, last, o)) return take_at(*found);
    if (const auto found = find_in_zone(*own, o)) return take_at(*found);
  }
  for (auto& zone : std::views::reverse(zones_)) {
    if (const auto found = find_in_zone(zone, o)) return take_at(*found);
  }
  return std::nullopt;
}

}  // namespace memsim::detail
