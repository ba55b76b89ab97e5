// SPDX-License-Identifier: Apache-2.0
#include "alloc/reference_model.hpp"

#include <algorithm>
#include <ranges>

#include <memsim/core/error.hpp>

namespace memsim::reference {
namespace {

kernel kernel_of(const kernel_profile& profile) {
  if (profile == linux_6_1) return kernel::v6_1;
  if (profile == linux_6_12) return kernel::v6_12;
  throw_usage("the reference model knows {} and {} only", linux_6_1.name, linux_6_12.name);
}

}  // namespace

reference_model::reference_model(const allocator_state& state, const kernel_profile& profile,
                                 const tuning& settings)
    : memory_{state.memory}, cma_areas_{state.cma_areas} {
  zones_.reserve(state.zones.size());
  for (const auto& zone : state.zones) zones_.emplace_back(zone, kernel_of(profile), settings);
}

allocator_state reference_model::state() const {
  allocator_state result{.memory = memory_, .cma_areas = cma_areas_};
  for (const auto& zone : zones_) result.zones.push_back(zone.state());
  return result;
}

zone_model& reference_model::zone_of(pfn frame) {
  return *std::ranges::find_if(zones_, [&](const auto& zone) { return zone.contains(frame); });
}

// A1
std::optional<pfn> reference_model::alloc(gfp flags, order size, cpu_id cpu) {
  log_.clear();
  const bool high = flags.has_all(gfp_flag::high);
  attempt a{.order = size.value(),
            .type = migratetype_of(flags),
            .highest_zone = static_cast<unsigned>(highest_zone_of(flags)),
            .mark = watermark::low,
            .atomic = flags.has_all(gfp_flag::atomic),
            .wakes_reclaimer = flags.has_all(gfp_flag::kswapd_reclaim)};
  a.cma_allowed = a.type == migratetype::movable;
  // "If a zone Normal is present and the request may use it": read as "the first zone of the walk
  // is Normal" (so does the kernel). The two differ only for movable requests of a machine with a
  // zone Movable, which no recording has.
  for (const auto& zone : std::views::reverse(zones_)) {
    if (static_cast<unsigned>(zone.type()) > a.highest_zone) continue;
    a.no_fragment = zone.type() == zone_type::normal;
    break;
  }
  if (const auto block = try_once(a, cpu.value())) return block;

  // A request that may reclaim is not non-blocking. It fails where the kernel would begin to
  // reclaim, after the same attempts.
  a.mark = watermark::min;
  a.no_fragment = false;
  a.non_blocking = !flags.has_all(gfp_flag::direct_reclaim);
  a.min_reserve = high;
  a.highatomic = high && a.non_blocking && a.order > 0;
  for (int twice = 0; twice < 2; ++twice) {
    if (const auto block = try_once(a, cpu.value())) return block;
  }
  return std::nullopt;
}

// A2
std::optional<pfn> reference_model::try_once(const attempt& a, unsigned cpu) {
  if (const auto block = walk(a, cpu)) return block;
  if (!a.no_fragment) return std::nullopt;
  auto again = a;
  again.no_fragment = false;
  return walk(again, cpu);
}

std::optional<pfn> reference_model::walk(const attempt& a, unsigned cpu) {
  for (auto& zone : std::views::reverse(zones_)) {
    if (static_cast<unsigned>(zone.type()) > a.highest_zone) continue;
    if (const auto block = zone.try_zone(a, cpu, log_)) {
      if (a.highatomic) zone.reserve_highatomic(*block, a.order, cpu);  // A12
      return block;
    }
  }
  return std::nullopt;
}

void reference_model::free(pfn block, order size, cpu_id cpu) {
  zone_of(block).free(block, size.value(), cpu.value());
}

void reference_model::drain(cpu_id owner, cpu_id actor) {
  for (auto& zone : zones_) zone.drain(owner.value(), actor.value());
}

void reference_model::set_movable(pfn frame, bool movable) {
  zone_of(frame).set_movable(frame, movable);
}

}  // namespace memsim::reference
