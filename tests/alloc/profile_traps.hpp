// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// For tests of what a switch of a profile changes: one switch set by itself, so that nothing else
/// can make the difference, and zones in which every page is where the test wants it.

#include <algorithm>
#include <map>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include <memsim/alloc/observer.hpp>
#include <memsim/alloc/page_allocator.hpp>

namespace memsim {

/// Linux 6.12 but for one switch.
template <class Value>
kernel_profile with(Value kernel_profile::* member, std::type_identity_t<Value> value) {
  auto profile = linux_6_12;
  profile.*member = value;
  return profile;
}

/// A zone with one CPU, whose every page is in use and stays where it is.
struct zone_plan {
  kernel_profile profile = linux_6_12;
  zone_type type = zone_type::dma32;
  pfn first{4096};
  frame_count pages = 16 * pageblock_frames;
  watermarks marks{};
  std::map<unsigned, migratetype> types{};  ///< of pageblocks that are not movable, by number
  std::vector<allocated_block> large{};     ///< blocks in use of more than a page
  compaction_state compaction{};
};

/// The zone, and what is heard of it. Pageblocks are counted from the one that the zone starts in.
class planned_zone final : public page_owner, public allocator_observer {
 public:
  explicit planned_zone(const zone_plan& plan)
      : memory{restored(plan)}, start_{plan.first.value() / pageblock_frames * pageblock_frames} {
    owner_ = memory.add_owner(*this);
    memory.add_observer(*this);
  }
  ~planned_zone() override { memory.remove_observer(*this); }
  planned_zone(const planned_zone&) = delete;
  planned_zone& operator=(const planned_zone&) = delete;

  /// A page of a pageblock.
  [[nodiscard]] pfn at(unsigned block, unsigned page) const {
    return pfn{start_ + block * pageblock_frames + page};
  }
  /// Pages [first, last) of a pageblock, every `step`th, join the free lists one after the other.
  void free(unsigned block, unsigned first, unsigned last, unsigned step = 1) {
    for (; first < last; first += step) memory.free(ctx, at(block, first), order{0});
    memory.drain_all(ctx);
  }
  void make_movable(unsigned block, unsigned first, unsigned last, unsigned step = 1) {
    for (; first < last; first += step) {
      memory.assign(ctx, at(block, first), {.kind = page_kind::anonymous, .owner = owner_});
    }
    memory.flush_lru_batches();
  }
  /// Seven of eight pages of a pageblock, in blocks of orders 0 to 2: targets, and of no use to a
  /// request for more.
  void free_small(unsigned block) {
    for (unsigned page = 0; page < pageblock_frames; page += 8) {
      for (unsigned i = 1; i < 8; ++i) memory.free(ctx, at(block, page + i), order{0});
    }
    memory.drain_all(ctx);
  }

  [[nodiscard]] const zone& only_zone() const { return memory.zones().front(); }
  /// The pages that the first pages were moved to; such a page may be moved again later in a run.
  [[nodiscard]] std::vector<pfn> first_targets(std::size_t count) const {
    return {targets.begin(),
            targets.begin() + static_cast<std::ptrdiff_t>(std::min(count, targets.size()))};
  }
  [[nodiscard]] bool has_skip_hint(unsigned block) const {
    return memory.frames().skip_hint(
        static_cast<frame_table::node>(start_ / pageblock_frames + block));
  }
  [[nodiscard]] bool is_listed(pfn block, order size, migratetype type) const {
    const auto list = memory.free_list(only_zone(), size, type);
    return std::ranges::find(list, block) != list.end();
  }

  bool lets_move(pfn from, pfn, std::uint32_t) override { return !stays.contains(from); }
  void on_scan(const scan_event& e) override {
    (e.which == scan_event::scanner::migrate ? migrate_scans : free_scans)
        .emplace_back(e.first, e.last);
  }
  void on_migration(const migration_event& e) override { targets.push_back(e.to); }
  void on_suitability(const suitability_event& e) override { suitability.push_back(e.result); }

  page_allocator memory;
  context ctx;
  std::set<pfn> stays;  ///< pages that do not let themselves be moved

  using stretch = std::pair<pfn, pfn>;  ///< from, and one past the last
  std::vector<stretch> migrate_scans;
  std::vector<stretch> free_scans;
  std::vector<pfn> targets;  ///< of each attempt to move a page
  std::vector<compact_result> suitability;

 private:
  static page_allocator restored(const zone_plan& plan) {
    constexpr std::uint32_t never = 1u << 20;
    zone_state z{.extent = {plan.type, plan.first, plan.pages, plan.pages, plan.pages},
                 .marks = plan.marks};
    z.cpus.push_back({.high = never, .batch = 1, .high_min = never, .high_max = never});
    z.compaction = plan.compaction;
    const auto end = (plan.first + plan.pages).value();
    const auto block_of = [](std::uint64_t frame) { return frame / pageblock_frames; };
    z.pageblocks.assign(block_of(end - 1) - block_of(plan.first.value()) + 1, migratetype::movable);
    for (const auto& [block, type] : plan.types) z.pageblocks[block] = type;
    auto large = plan.large.begin();
    for (pfn page = plan.first; page.value() < end;) {
      const bool is_large = large != plan.large.end() && large->block == page;
      z.allocated.push_back(is_large ? *large++ : allocated_block{page, order{0}});
      page = page + z.allocated.back().size.frames();
    }
    return page_allocator::restore({.zones = {std::move(z)}}, plan.profile,
                                   {.extfrag_threshold = 0, .slow_path = rule::off})
        .value();
  }

  std::uint64_t start_;
  owner_id owner_{};
};

}  // namespace memsim
