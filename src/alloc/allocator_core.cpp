// SPDX-License-Identifier: Apache-2.0
#include "alloc/allocator_core.hpp"

#include <algorithm>

#include "alloc/free_lists.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim::detail {
namespace {

// A captured zone may span more than there is memory at its end: those frames have marks too.
pfn end_of(const memory_map& memory, const std::vector<zone>& zones) {
  return zones.empty() ? memory.end() : std::max(memory.end(), zones.back().extent.end());
}

}  // namespace

allocator_core::allocator_core(memory_map memory, const kernel_profile& profile,
                               const tuning& settings, unsigned cpus, std::vector<zone> zones)
    : memory_{std::move(memory)},
      profile_{profile},
      settings_{settings},
      cpus_{cpus},
      zones_{std::move(zones)},
      frames_{end_of(memory_, zones_)},
      lru_{cpus} {
  preferred_zone_.fill(no_zone);
  for (std::size_t i = 0; i < zones_.size(); ++i) {
    for (auto highest = static_cast<unsigned>(zones_[i].extent.type); highest < zone_types;
         ++highest) {
      preferred_zone_[highest] = static_cast<std::uint8_t>(i);
    }
  }
  static_assert((gfp_flag::dma | gfp_flag::highmem | gfp_flag::dma32 | gfp_flag::movable |
                 gfp_flag::reclaimable)
                    .bits() == std::tuple_size_v<decltype(routes_)> - 1);
  for (std::uint32_t bits = 0; bits < routes_.size(); ++bits) {
    const auto type = migratetype_of(gfp{bits});
    const auto highest = highest_zone_of(gfp{bits});
    const auto zone = preferred_zone_[static_cast<unsigned>(highest)];
    const bool contradicts = gfp{bits}.has_all(gfp_flag::movable | gfp_flag::reclaimable);
    if (contradicts || zone == no_zone) {
      routes_[bits].margin = no_margin;
      continue;
    }
    routes_[bits] = {.zone = zone,
                     .margin = static_cast<std::uint8_t>(
                         margin_entry(highest, type == migratetype::movable, false)),
                     .type = static_cast<std::uint8_t>(type)};
  }
  for (auto& z : zones_) {
    for (auto& pcp : z.cpus) {
      pcp.largest_batch = pcp.batch << settings_.pcp_batch_scale_max;
      if (profile_.pcp == pcp_rule::adaptive_high) pcp.free_count_limit = pcp.largest_batch;
    }
    set_below_high(z, z.below_high);
  }
  update_attended();
}

void allocator_core::derive_trim(const zone& z, per_cpu_pages& pcp) const {
  const bool within_limits = profile_.pcp == pcp_rule::fixed_high ||
                             (pcp.high_min <= pcp.high && pcp.high <= pcp.high_max);
  pcp.trim_at = z.reclaim_active || z.below_high || !within_limits ? 0 : pcp.high;
}

void allocator_core::set_below_high(zone& z, bool below) const {
  z.below_high = below;
  const bool high_mark_first = profile_.high_mark_first == rule::on && !below;
  z.first_mark = static_cast<std::uint8_t>(high_mark_first ? margin_entry({}, false, true) : 0u);
  for (auto& pcp : z.cpus) derive_trim(z, pcp);
}

void allocator_core::report_scan(scan_event::scanner which, std::uint64_t first, std::uint64_t last,
                                 std::uint64_t taken) const {
  const scan_event event{which, pfn{first}, pfn{last}, taken};
  for (auto* observer : observers_) observer->on_scan(event);
}

bool allocator_core::has_descriptor(std::uint64_t frame) const {
  if (frame >= frames_.end().value()) return false;
  const auto* const region = memory_.find(pfn{frame});
  return region != nullptr && region->kind != region_kind::undescribed;
}

bool allocator_core::is_described_in(const zone& z, std::uint64_t frame) const {
  return frame >= z.extent.start.value() && frame < z.extent.end().value() && has_descriptor(frame);
}

bool allocator_core::is_pageblock_of(const zone& z, std::uint64_t frame) const {
  const auto block = frame / pageblock_frames;
  if (block >= frames_.pageblocks()) return false;
  const auto first = std::max(block * pageblock_frames, z.extent.start.value());
  const auto last = std::min((block + 1) * pageblock_frames, z.extent.end().value()) - 1;
  return is_described_in(z, first) && is_described_in(z, last);
}

void allocator_core::flag_movable(frame_index frame, bool movable) {
  const auto mark = frames_.mark_at(pfn{frame});
  const unsigned order = mark.order();
  frames_.touch(frame / block_frames);
  if (order == 0) frames_.take_back_page(frame);
  frames_.mark(frame, order) = mark.with_movable(movable);
}

}  // namespace memsim::detail
