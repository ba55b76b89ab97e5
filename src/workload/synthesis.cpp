// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/synthesis.hpp>

#include <algorithm>
#include <iterator>
#include <numeric>

#include <memsim/alloc/tuning.hpp>
#include <memsim/core/random.hpp>
#include <memsim/workload/machine_description.hpp>
#include <memsim/workload/trace_hints.hpp>

#include "workload/layout.hpp"

namespace memsim {
namespace {

constexpr auto cma = static_cast<unsigned>(migratetype::cma);
constexpr auto movable = static_cast<unsigned>(migratetype::movable);

// Blocks that add up to `pages`, taken from `blocks`, the largest first.
block_counts take_pages(block_counts& blocks, std::uint64_t pages) {
  block_counts taken{};
  for (unsigned o = page_orders; o-- > 0;) {
    taken[o] = std::min(pages >> o, blocks[o]);
    blocks[o] -= taken[o];
    pages -= taken[o] << o;
  }
  return taken;
}

// Without pagetypeinfo: every pageblock is movable, but for the CMA area's (modelling assumption).
void assume_types(detail::layout_request& request, const described_zone& z) {
  const auto cut = z.extent.start.value() % pageblock_frames;
  const auto blocks = (cut + z.extent.present + pageblock_frames - 1) / pageblock_frames;
  request.pageblocks[cma] = std::min(z.cma_pages / pageblock_frames, blocks);
  request.pageblocks[movable] = blocks - request.pageblocks[cma];
  if (z.free_blocks) {
    auto left = *z.free_blocks;
    request.free[cma].blocks = take_pages(left, z.free_cma);
    request.free[movable].blocks = left;
  } else {
    request.free[cma].pages = z.free_cma;
    request.free[movable].pages = z.free_pages - std::min(z.free_cma, z.free_pages);
  }
}

detail::layout_request request_for(const described_zone& z, const kernel_profile& profile) {
  detail::layout_request request{
      .type = z.extent.type, .start = z.extent.start, .spanned = z.extent.spanned};
  // Since blocks are claimed whole or not at all, lists agree with pageblocks.
  request.lists_follow_pageblocks =
      profile.fallback == fallback_rule::claim_or_steal ? rule::on : rule::off;
  if (z.types) {
    request.pageblocks = z.types->pageblocks;
    for (unsigned t = 0; t < migratetypes; ++t) request.free[t].blocks = z.types->free_blocks[t];
  } else {
    assume_types(request, z);
  }
  return request;
}

// Hands out the frames of a layout that are not free: to the per-CPU lists first those that a trace
// says were there and last those that it says were in use; in random order otherwise.
class frame_supply {
 public:
  frame_supply(std::vector<std::uint32_t> frames, random_stream& random, const trace_hints* hints)
      : frames_{std::move(frames)} {
    random.shuffle(frames_);
    if (hints == nullptr) return;
    using enum trace_hints::place;
    const auto at = [hints](std::uint32_t frame) { return hints->at(pfn{frame}); };
    const auto rank = [&](std::uint32_t frame) {
      const auto place = at(frame);
      if (place == in_use) return 0;
      return place == per_cpu_list ? 2 : 1;
    };
    std::vector<std::uint32_t> ordered;
    ordered.reserve(frames_.size());
    for (const int wanted : {0, 1, 2}) {
      std::ranges::copy_if(frames_, std::back_inserter(ordered),
                           [&](std::uint32_t frame) { return rank(frame) == wanted; });
    }
    frames_ = std::move(ordered);
  }

  [[nodiscard]] bool empty() const { return frames_.empty(); }
  pfn take() {
    const pfn frame{frames_.back()};
    frames_.pop_back();
    return frame;
  }

 private:
  std::vector<std::uint32_t> frames_;
};

using frame_supplies = std::vector<frame_supply>;  // by migratetype
using by_mobility = std::array<std::uint64_t, mergeable_migratetypes>;

// Divides a number in proportion to the weights; what rounding leaves goes to the first with any.
by_mobility divide(std::uint64_t number, const by_mobility& weights) {
  by_mobility parts{};
  const auto total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  if (total == 0) return {0, number, 0};
  std::uint64_t given = 0;
  for (unsigned t = 0; t < mergeable_migratetypes; ++t) {
    parts[t] = number * weights[t] / total;
    given += parts[t];
  }
  const auto* const first =
      std::ranges::find_if(weights, [](std::uint64_t weight) { return weight != 0; });
  parts[static_cast<std::size_t>(first - weights.begin())] += number - given;
  return parts;
}

// A type of which frames are left, the preferred one if it has any.
std::optional<unsigned> type_with_frames(const frame_supplies& supplies, unsigned preferred) {
  if (!supplies[preferred].empty()) return preferred;
  for (unsigned t = 0; t < mergeable_migratetypes; ++t) {
    if (!supplies[t].empty()) return t;
  }
  return std::nullopt;
}

pcp_state page_set_of(const described_pageset& set, const pcp_state& tuned, pcp_rule rule) {
  pcp_state pcp{.count = set.count, .high = set.high, .batch = set.batch};
  if (rule == pcp_rule::fixed_high) {
    // A kernel that adapts `high` starts from what one that does not would have fixed.
    pcp.high = set.high_min.value_or(set.high);
    return pcp;
  }
  pcp.high_min = set.high_min.value_or(set.high);
  pcp.high_max = std::max(pcp.high_min, set.high_max.value_or(tuned.high_max));
  return pcp;
}

class zone_synthesis {
 public:
  zone_synthesis(const described_zone& described, const kernel_profile& profile, std::uint64_t seed,
                 const trace_hints* hints)
      : described_{described}, profile_{profile}, seed_{seed}, hints_{hints} {}

  std::expected<zone_state, error> make(const zone_state& tuned) {
    const auto request = request_for(described_, profile_);
    auto layout = detail::lay_out(request, seed_, hints_);
    if (!layout) return std::unexpected{layout.error()};
    state_ = {.extent = described_.extent,
              .marks = described_.marks,
              .boost = described_.boost,
              .reserve = described_.protection,
              .counter_threshold = described_.pagesets.front().counter_threshold,
              .free_lists = std::move(layout->free_lists),
              .pageblocks = std::move(layout->pageblocks)};
    cma_ = layout->cma;
    state_.reserved_highatomic =
        request.pageblocks[static_cast<unsigned>(migratetype::highatomic)] * pageblock_frames;
    state_.free_highatomic = static_cast<std::uint64_t>(free_pages(migratetype::highatomic));

    random_stream random{seed_, fmt::format("synthesis.{}.in_use", described_.extent.type)};
    frame_supplies supplies;
    for (auto& frames : layout->in_use) supplies.emplace_back(std::move(frames), random, hints_);
    by_mobility pageblocks{};
    std::copy_n(request.pageblocks.begin(), mergeable_migratetypes, pageblocks.begin());
    for (unsigned cpu = 0; cpu < described_.pagesets.size(); ++cpu) {
      state_.cpus.push_back(page_set_of(described_.pagesets[cpu], tuned.cpus[cpu], profile_.pcp));
      const auto pages = page_set_types(cpu_id{cpu}, pageblocks);
      if (auto ok = fill(state_.cpus.back(), pages, supplies); !ok) {
        return std::unexpected{ok.error()};
      }
    }
    mark_lru_pages(supplies);
    set_counters();
    return std::move(state_);
  }

  [[nodiscard]] const std::optional<cma_area>& cma_range() const { return cma_; }

 private:
  [[nodiscard]] std::int64_t free_pages(migratetype type) const {
    std::int64_t pages = 0;
    for (unsigned o = 0; o < page_orders; ++o) {
      pages +=
          static_cast<std::int64_t>(state_.free_lists[o][static_cast<unsigned>(type)].size() << o);
    }
    return pages;
  }

  // How many of a CPU's pages are of each type: what a trace knows, and of the rest as many as
  // there are pageblocks.
  [[nodiscard]] by_mobility page_set_types(cpu_id cpu, const by_mobility& pageblocks) const {
    std::uint64_t left = described_.pagesets[cpu.value()].count;
    by_mobility pages{};
    by_mobility open = pageblocks;
    for (unsigned t = 0; t < mergeable_migratetypes && hints_ != nullptr; ++t) {
      const auto known = hints_->per_cpu(described_.extent.type, cpu, all_migratetypes[t]);
      pages[t] = std::min(known.pages, left);
      left -= pages[t];
      if (known.exact) open[t] = 0;
    }
    const bool all_exact = std::ranges::count(open, 0u) == mergeable_migratetypes;
    const auto rest = divide(left, all_exact ? pageblocks : open);
    for (unsigned t = 0; t < mergeable_migratetypes; ++t) pages[t] += rest[t];
    return pages;
  }

  std::expected<void, error> fill(pcp_state& pcp, const by_mobility& pages,
                                  frame_supplies& supplies) {
    for (unsigned wanted = 0; wanted < mergeable_migratetypes; ++wanted) {
      for (std::uint64_t n = 0; n < pages[wanted]; ++n) {
        const auto t = type_with_frames(supplies, wanted);
        if (!t) {
          return fail(errc::inconsistent,
                      "zone {}: the page sets hold more pages than are not free",
                      described_.extent.type);
        }
        const auto type = all_migratetypes[*t];
        pcp.lists[pcp_list_of(0, type)].push_back({supplies[*t].take(), type});
      }
    }
    return {};
  }

  void mark_lru_pages(frame_supplies& supplies) {
    using enum migratetype;
    auto left = described_.lru_pages;
    for (const auto type : {movable, migratetype::cma, reclaimable, unmovable, highatomic}) {
      auto& supply = supplies[static_cast<unsigned>(type)];
      for (; left != 0 && !supply.empty(); --left) {
        state_.movable_in_use.push_back(supply.take());
      }
    }
    std::ranges::sort(state_.movable_in_use);
  }

  // The counters lag behind the lists by what is pending on the CPUs, at most the threshold each;
  // a larger difference is the time between two reads, and the lists are right.
  void set_counters() {
    std::int64_t free = 0;
    for (const auto type : all_migratetypes) {
      if (type != migratetype::isolate) free += free_pages(type);
    }
    state_.free_pages = spread_pending(free, static_cast<std::int64_t>(described_.free_pages),
                                       &pending_counters::free);
    state_.free_cma =
        spread_pending(free_pages(migratetype::cma), static_cast<std::int64_t>(described_.free_cma),
                       &pending_counters::cma);
    state_.below_high =
        profile_.high_mark_first == rule::on &&
        state_.free_pages <= static_cast<std::int64_t>(state_.marks.high + state_.boost);
  }

  // Makes pending what can be of the difference; the counter that goes with it.
  std::int64_t spread_pending(std::int64_t exact, std::int64_t counter,
                              std::int32_t pending_counters::* member) {
    const auto threshold = static_cast<std::int64_t>(state_.counter_threshold);
    const auto cpus = static_cast<std::int64_t>(state_.cpus.size());
    auto left = std::clamp(exact - counter, -threshold * cpus, threshold * cpus);
    const auto result = exact - left;
    for (auto& pcp : state_.cpus) {
      const auto part = std::clamp(left, -threshold, threshold);
      pcp.pending.*member = static_cast<std::int32_t>(part);
      left -= part;
    }
    return result;
  }

  const described_zone& described_;
  const kernel_profile& profile_;
  std::uint64_t seed_;
  const trace_hints* hints_;
  zone_state state_;
  std::optional<cma_area> cma_;
};

}  // namespace

std::expected<allocator_state, error> synthesise(const machine_description& machine,
                                                 const kernel_profile& profile, std::uint64_t seed,
                                                 const trace_hints* hints) {
  if (machine.zones.empty() || machine.cpus() == 0) {
    return fail(errc::inconsistent, "a machine without zones or CPUs");
  }
  // For what the files lack.
  std::vector<zone_state> tuned;
  for (const auto& z : machine.zones) tuned.push_back({.extent = z.extent});
  tune(tuned, machine.cpus(), tuning{}, profile);

  allocator_state state;
  for (std::size_t i = 0; i < machine.zones.size(); ++i) {
    zone_synthesis zone{machine.zones[i], profile, seed, hints};
    auto made = zone.make(tuned[i]);
    if (!made) return std::unexpected{made.error()};
    state.zones.push_back(std::move(*made));
    if (zone.cma_range()) state.cma_areas.push_back(*zone.cma_range());
  }
  return state;
}

}  // namespace memsim
