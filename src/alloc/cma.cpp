// SPDX-License-Identifier: Apache-2.0
// Claims on CMA areas (contig A9).
#include "alloc/cma.hpp"

#include <algorithm>
#include <bit>

#include "alloc/allocator_core.hpp"
#include "alloc/checks.hpp"

namespace memsim {
namespace detail {

cma_bitmap::cma_bitmap(const cma_area& area) : area_{area}, bits_(bit_count(area)) {}

std::size_t cma_bitmap::bit_count(const cma_area& area) {
  return area.count >> area.per_bit.value();
}

// The frame that a bit stands for is aligned as an absolute frame number, not within the area.
std::optional<std::size_t> cma_bitmap::find(std::size_t start, std::size_t bits,
                                            unsigned align_order) const {
  const unsigned per_bit = area_.per_bit.value();
  const std::size_t step = align_order > per_bit ? std::size_t{1} << (align_order - per_bit) : 1;
  const std::size_t offset =
      align_order > per_bit
          ? (area_.base.value() & ((std::uint64_t{1} << align_order) - 1)) >> per_bit
          : 0;
  const auto aligned = [&](std::size_t bit) {
    return ((bit + offset + step - 1) & ~(step - 1)) - offset;
  };
  for (std::size_t first = aligned(start); first + bits <= bits_.size();) {
    std::size_t end = first;
    while (end < first + bits && !bits_[end]) ++end;
    if (end == first + bits) return first;
    first = aligned(end + 1);
  }
  return std::nullopt;
}

void cma_bitmap::set(std::size_t first, std::size_t bits, bool value) {
  std::fill_n(bits_.begin() + static_cast<std::ptrdiff_t>(first), bits, value);
}

bool cma_bitmap::all_set(std::size_t first, std::size_t bits) const {
  const auto begin = bits_.begin() + static_cast<std::ptrdiff_t>(first);
  return std::all_of(begin, begin + static_cast<std::ptrdiff_t>(bits), [](bool b) { return b; });
}

}  // namespace detail

namespace {

detail::cma_bitmap& bitmap_at(detail::allocator_core& core, std::size_t area) {
  if (area >= core.cma_bitmaps_.size()) {
    throw_usage("CMA area {}: there are {}", area, core.cma_bitmaps_.size());
  }
  return core.cma_bitmaps_[area];
}

std::size_t bits_for(const cma_area& area, frame_count count) {
  const auto per_bit = area.per_bit.frames();
  return static_cast<std::size_t>((count + per_bit - 1) / per_bit);
}

}  // namespace

std::expected<pfn, error> page_allocator::cma_alloc(context& ctx, std::size_t area,
                                                    frame_count count, order align) {
  auto& core = *core_;
  detail::check_cpu(core, ctx.cpu);
  auto& bitmap = bitmap_at(core, area);
  if (count == 0) throw_usage("a claim of no frames on CMA area {}", area);
  const auto& where = bitmap.area();
  auto& counts = bitmap.counts;
  ++counts.claims;
  const auto bits = bits_for(where, count);
  const unsigned per_bit = where.per_bit.value();
  const std::size_t step =
      align.value() > per_bit ? std::size_t{1} << (align.value() - per_bit) : 1;
  const auto failed = [&](errc why) -> std::expected<pfn, error> {
    ++counts.failed_claims;
    return std::unexpected{error{why}};
  };
  auto why = errc::no_memory;
  for (std::size_t start = 0; count <= where.count;) {
    const auto first = bitmap.find(start, bits, align.value());
    if (!first) break;
    bitmap.set(*first, bits, true);
    const pfn base = where.base + (frame_count{*first} << per_bit);
    const auto begin = static_cast<detail::frame_index>(base.value());
    const auto migrated = core.counts_.pages_migrated;
    ++counts.attempts;
    const auto taken = core.take_range(ctx, begin, begin + static_cast<detail::frame_index>(count),
                                       migratetype::cma);
    counts.pages_migrated += core.counts_.pages_migrated - migrated;
    if (taken) return base;
    counts.pages_migrated_in_vain += core.counts_.pages_migrated - migrated;
    bitmap.set(*first, bits, false);
    if (taken.error() != errc::busy) return failed(taken.error());
    ++counts.busy_attempts;
    why = errc::busy;
    start = *first + step;
  }
  return failed(why);
}

void page_allocator::cma_release(context& ctx, std::size_t area, pfn first, frame_count count) {
  auto& bitmap = bitmap_at(*core_, area);
  const auto& where = bitmap.area();
  const auto per_bit = where.per_bit.value();
  const bool within = where.base <= first && first < where.end() && count <= where.end() - first &&
                      count > 0 && (first - where.base) % where.per_bit.frames() == 0;
  const auto bit = within ? static_cast<std::size_t>((first - where.base) >> per_bit) : 0;
  if (!within || !bitmap.all_set(bit, bits_for(where, count))) {
    throw_usage("frames [{}, {}) are not a claim on {}", first, first + count, where);
  }
  // A bit stands for all of its frames: who releases some of them releases all.
  const auto next = first + count;
  if ((next - where.base) % where.per_bit.frames() != 0 && next < where.end() &&
      core_->is_claimed_page(next)) {
    throw_usage("frames [{}, {}) are not the end of a claim on {}: frame {} belongs to it", first,
                next, where, next);
  }
  free_contig_range(ctx, first, count);
  bitmap.set(bit, bits_for(where, count), false);
}

const cma_counts& page_allocator::cma_counts_of(std::size_t area) const {
  return bitmap_at(*core_, area).counts;
}

frame_count page_allocator::cma_claimed(std::size_t area) const {
  const auto& bitmap = bitmap_at(*core_, area);
  return static_cast<frame_count>(bitmap.count()) << bitmap.area().per_bit.value();
}

}  // namespace memsim
