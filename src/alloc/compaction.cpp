// SPDX-License-Identifier: Apache-2.0
// A run of compaction over a zone: the two scanners, and when to stop (compaction A2 to A5, A8).
#include "alloc/compaction.hpp"

#include <algorithm>
#include <array>

#include <memsim/alloc/free_space.hpp>

#include "alloc/free_lists.hpp"
#include "alloc/watermark_test.hpp"

namespace memsim {

std::string_view name_of(compact_result result) {
  static constexpr std::array<std::string_view, 9> names{
      "not suitable", "skipped", "deferred",  "no suitable page", "proceed",
      "complete",     "partial", "contended", "success"};
  return names[static_cast<unsigned>(result)];
}

std::string to_text(compact_result result) { return std::string{name_of(result)}; }

namespace detail {
namespace {

constexpr std::uint64_t block_size = pageblock_frames;
constexpr int costly = static_cast<int>(costly_order);
constexpr unsigned most_shift = 6;

constexpr std::uint64_t block_start(std::uint64_t frame) { return frame / block_size * block_size; }
constexpr std::uint64_t block_number(std::uint64_t frame) { return frame / block_size; }

std::uint64_t zone_start(const zone& z) { return z.extent.start.value(); }
std::uint64_t last_block(const zone& z) { return block_start(z.extent.end().value() - 1); }

order_counts free_blocks_by_order(const zone& z) {
  order_counts blocks{};
  for (unsigned o = 0; o < page_orders; ++o) blocks[o] = z.free_blocks_of(order{o});
  return blocks;
}

// Hands targets to the page mover as the free scanner finds them.
class scanned_targets final : public target_source {
 public:
  scanned_targets(allocator_core& core, free_scanner& scanner, target_pages& pages,
                  const std::uint64_t& migrate, std::uint64_t& free)
      : core_{core}, scanner_{scanner}, pages_{pages}, migrate_{migrate}, free_{free} {}

  void begin_batch(std::uint64_t pages) { wanted_ = pages; }

  frame_index take(unsigned order) override {
    auto block = pages_.take(core_, order);
    if (block == no_frame) {
      scanner_.find(migrate_, free_, wanted_);
      block = pages_.take(core_, order);
    }
    if (block != no_frame && counts_down()) wanted_ -= std::min(wanted_, std::uint64_t{1} << order);
    return block;
  }
  void give_back(frame_index target) override {
    const auto order = core_.order_of(target);
    core_.frames_.end_allocation(target, order, {});
    pages_.give_back(target, order);
    if (counts_down()) wanted_ += std::uint64_t{1} << order;
  }

 private:
  [[nodiscard]] bool counts_down() const { return core_.profile_.batch_wants_the_rest == rule::on; }

  allocator_core& core_;
  free_scanner& scanner_;
  target_pages& pages_;
  const std::uint64_t& migrate_;
  std::uint64_t& free_;
  std::uint64_t wanted_ = 0;
};

}  // namespace

// A2.
compact_result allocator_core::compaction_suitability(const zone& z, int order, zone_type highest,
                                                      bool may_use_cma) {
  const bool reports_all = profile_.reports_plain_suitability == rule::on;
  const auto report = [&](compact_result result) {
    const auto wanted =
        order < 0 ? std::nullopt : std::optional{memsim::order{static_cast<unsigned>(order)}};
    for (auto* observer : observers_) observer->on_suitability({z.extent.type, wanted, result});
  };
  if (order < 0) {
    if (reports_all) report(compact_result::proceed);
    return compact_result::proceed;
  }
  const auto o = static_cast<unsigned>(order);
  const attempt how{.mark = watermark::min, .cma = may_use_cma};
  const std::int64_t needed = (std::int64_t{1} << o) - 1;
  if (margin_above(profile_, z, highest, how, z.marks.min + z.boost) > needed &&
      (o == 0 || has_block(z, o, how))) {
    if (reports_all) report(compact_result::success);
    return compact_result::success;
  }
  const std::uint64_t gap = std::uint64_t{2} << o;
  const auto mark = (order > costly ? z.marks.low : z.marks.min) + z.boost + gap;
  if (margin_above(profile_, z, highest, {.cma = true}, mark) <= 0) {
    report(compact_result::skipped);
    return compact_result::skipped;
  }
  if (order > costly) {
    const int index = fragmentation_index(free_blocks_by_order(z), memsim::order{o});
    if (index >= 0 && index <= static_cast<int>(settings_.extfrag_threshold)) {
      report(compact_result::not_suitable);
      return compact_result::skipped;
    }
  }
  report(compact_result::proceed);
  return compact_result::proceed;
}

// A4: back to the ends of the zone.
void allocator_core::reset_scanners(zone& z) {
  z.compaction.migrate_async = z.compaction.migrate_sync = zone_start(z);
  z.compaction.free = last_block(z);
}

struct compaction_run::scanners {
  std::uint64_t migrate = 0;
  std::uint64_t free = 0;
  std::uint64_t lowest_noted = 0;  // by the searches for a block, 0: none
  bool noted_used = false;
  isolated_pages pages{};
  target_pages targets;
  migrate_scanner source;
  bool thorough = false;

  [[nodiscard]] bool have_met() const { return block_number(free) <= block_number(migrate); }
};

compact_result compaction_run::run(zone& z) {
  const auto& scan = how_.scan;
  const auto suitable = core_.compaction_suitability(z, scan.order, how_.highest, how_.may_use_cma);
  if (suitable != compact_result::proceed) {
    core_.note_compaction(suitable);
    return suitable;
  }
  auto& memory = z.compaction;
  if (scan.order >= static_cast<int>(memory.order_failed) && memory.shift == most_shift &&
      memory.considered >= 1u << most_shift) {
    core_.reset_skip_hints(z);
  }
  scanners s{.targets = target_pages{core_.profile_.compaction_targets},
             .source = {core_, ctx_, z, scan}};
  set_positions(z, s);
  for (auto* observer : core_.observers_) {
    observer->on_compaction_start({z.extent.type, pfn{s.migrate}, pfn{s.free}, scan.mode});
  }
  core_.flush_lru_batch(ctx_.cpu);
  ++core_.counts_.compactions;
  const auto result = loop(z, s);
  if (s.targets.size() > 0) {
    const auto highest = s.targets.release(core_, ctx_);
    memory.free = std::max(memory.free, block_start(highest));
  }
  core_.note_compaction(result);
  for (auto* observer : core_.observers_) {
    observer->on_compaction_end({z.extent.type, pfn{s.migrate}, pfn{s.free}, result});
  }
  return result;
}

// A3.3.
void compaction_run::set_positions(zone& z, scanners& s) {
  auto& memory = z.compaction;
  if (how_.whole_zone) {
    s.migrate = zone_start(z);
    s.free = last_block(z);
    return;
  }
  const auto within = [&](std::uint64_t position) {
    return position >= zone_start(z) && position < z.extent.end().value();
  };
  s.migrate = how_.scan.mode == migration_mode::async ? memory.migrate_async : memory.migrate_sync;
  s.free = memory.free;
  if (!within(s.free)) memory.free = s.free = last_block(z);
  if (!within(s.migrate)) memory.migrate_async = memory.migrate_sync = s.migrate = zone_start(z);
  if (s.migrate <= memory.init_migrate) how_.whole_zone = true;
}

// A3.4, B2.
compact_result compaction_run::loop(zone& z, scanners& s) {
  const auto& scan = how_.scan;
  const auto& profile = core_.profile_;
  auto& memory = z.compaction;
  free_scanner free{core_,
                    ctx_,
                    z,
                    {.order = scan.order,
                     .mode = scan.mode,
                     .direct = scan.direct,
                     .ignores_hints = scan.ignores_hints,
                     .any_block = how_.any_target_block},
                    search_,
                    s.targets};
  scanned_targets targets{core_, free, s.targets, s.migrate, s.free};
  page_mover mover{core_, ctx_, targets, scan.mode};
  std::uint64_t last = 0;  // where pages were last moved from and not drained since
  bool in_step = scan.mode == migration_mode::async && memory.migrate_async == memory.migrate_sync;

  bool goes_on = false;  // with the pageblock, without asking whether it is enough
  while (true) {
    if (!goes_on) {
      if (const auto result = finished(z, s); result != compact_result::proceed) return result;
      s.thorough = block_number(last) == block_number(s.migrate);
    }
    goes_on = false;
    s.source.set_thorough(s.thorough);
    const auto before = s.migrate;
    if (!take_source(z, s)) {
      if (in_step) memory.migrate_sync = memory.migrate_async;
    } else {
      in_step = false;
      last = profile.moved_from == batch_origin::pageblock
                 ? std::max(zone_start(z), block_start(s.migrate - 1))
                 : before;
      std::uint64_t wanted = 0;
      for (const auto page : s.pages) wanted += std::uint64_t{1} << core_.order_of(page);
      targets.begin_batch(wanted);
      const auto outcome = mover.move(s.pages);
      if (!outcome.all_moved) {
        while (!s.pages.empty()) {
          core_.put_back_from_move(ctx_.cpu, s.pages.back());
          s.pages.pop_back();
        }
        if (outcome.out_of_targets && !s.have_met()) return compact_result::contended;
        if (profile.failed_batch == failed_batch_rule::finish_pageblock) {
          const bool half_done = s.migrate % block_size != 0 && !scan.ignores_hints &&
                                 !s.thorough && scan.mode != migration_mode::sync;
          if (half_done) {
            s.thorough = goes_on = true;
            if (scan.order == static_cast<int>(pageblock_order.value())) last = 0;
            continue;
          }
        } else if (scan.direct && scan.mode == migration_mode::async) {
          const std::uint64_t chunk = std::uint64_t{1} << scan.order;
          s.migrate = ((s.migrate - 1) / chunk + 1) * chunk;
          last = 0;
        }
      }
      if (has_captured(capture_check::after_batch)) return compact_result::success;
    }
    if (scan.order > 0 && last > 0 && last < (s.migrate >> scan.order << scan.order)) {
      core_.flush_lru_batch(ctx_.cpu);
      core_.drain_zone(ctx_, z, ctx_.cpu);
      last = 0;
    }
    if (has_captured(capture_check::every_round)) return compact_result::success;
  }
}

// Asked at both times, of which one counts.
bool compaction_run::has_captured(capture_check when) const {
  return core_.profile_.captures_seen == when && core_.captured_ != no_frame;
}

// A4.
compact_result compaction_run::finished(zone& z, const scanners& s) const {
  if (s.have_met()) {
    core_.reset_scanners(z);
    if (how_.scan.direct) z.compaction.flush_hints = true;
    return how_.whole_zone ? compact_result::complete : compact_result::partial;
  }
  if (how_.enough_at) {
    const bool more = allocator_core::external_fragmentation(z) > *how_.enough_at;
    return more ? compact_result::proceed : compact_result::success;
  }
  if (how_.scan.order < 0 || s.migrate % block_size != 0) return compact_result::proceed;
  return has_suitable_block(z) ? compact_result::success : compact_result::proceed;
}

bool compaction_run::has_suitable_block(const zone& z) const {
  const auto type = how_.scan.type;
  const auto order = static_cast<unsigned>(how_.scan.order);
  const auto orders_of = [&](migratetype t) {
    return z.free_orders[static_cast<unsigned>(t)] >> order << order;
  };
  if (orders_of(type) != 0) return true;
  if (type == migratetype::movable && orders_of(migratetype::cma) != 0) return true;
  std::uint32_t stealable = 0;
  for (const auto other : fallbacks_of(type)) stealable |= orders_of(other);
  constexpr unsigned least = pageblock_order.value() / 2;
  if (type == migratetype::movable) stealable = stealable >> least << least;
  return stealable != 0;
}

// A5.1: a pageblock near the start with a free block of nearly the wanted order.
std::uint64_t compaction_run::choose_block(zone& z, scanners& s) {
  const auto& scan = how_.scan;
  const auto& profile = core_.profile_;
  if (scan.ignores_hints) return s.migrate;
  if (s.thorough && profile.whole_scan_searches == rule::off) return s.migrate;
  if (s.migrate != zone_start(z) && s.migrate % block_size != 0) return s.migrate;
  if (scan.order <= costly) return s.migrate;
  if (scan.direct && scan.type != migratetype::movable) return s.migrate;
  std::uint64_t distance = (s.free - s.migrate) >> 1;
  if (s.migrate != zone_start(z)) distance >>= 2;
  const std::uint64_t high = block_start(s.migrate + distance);
  const std::uint32_t limit = search_limit(search_);
  std::uint32_t seen = 0;
  for (int order = scan.order - 1; order >= costly && seen < limit; --order) {
    const auto o = static_cast<unsigned>(order);
    if (z.free_blocks[o][static_cast<unsigned>(migratetype::movable)] == 0) continue;
    auto& list = z.lists[list_number(o, migratetype::movable)];
    for (auto at = list.first(); at != list.last(); ++at) {
      if (!is_current(core_.frames_, list, at, o, migratetype::movable)) continue;
      const std::uint64_t frame = list[at];
      if (seen++ >= limit) {
        core_.rotate(z, o, migratetype::movable, at + 1);
        break;
      }
      const auto block = static_cast<frame_index>(block_number(frame));
      if (frame >= high || core_.frames_.skip_hint(block)) continue;
      core_.rotate(z, o, migratetype::movable, at + 1);
      if (!s.noted_used) {
        s.lowest_noted = s.lowest_noted == 0 ? frame : std::min(s.lowest_noted, frame);
      }
      search_.failures = 0;
      if (profile.search_sets_skip_hint == rule::on) core_.frames_.set_skip_hint(block);
      return std::max(block_start(frame), zone_start(z));
    }
  }
  ++search_.failures;
  if (s.lowest_noted != 0 && !s.noted_used) {
    s.migrate = s.lowest_noted;
    s.noted_used = true;
  }
  return s.migrate;
}

// A5.2.
bool compaction_run::take_source(zone& z, scanners& s) {
  const auto& scan = how_.scan;
  std::uint64_t position = choose_block(z, s);
  bool chosen = position != s.migrate && search_.failures == 0;
  for (std::uint64_t end = block_start(position) + block_size; end <= s.free;
       end += block_size, chosen = false, s.migrate = position = end - block_size) {
    const auto block = static_cast<frame_index>(block_number(position));
    if (!core_.is_pageblock_of(z, position)) continue;
    const bool has_hint = s.source.looks_at_hint(position);
    if (has_hint && !chosen && !scan.ignores_hints && core_.frames_.skip_hint(block)) continue;
    if (!is_suitable_source(static_cast<frame_index>(position))) {
      s.source.advance_cache(end);
      continue;
    }
    s.migrate = s.source.scan_block(position, end, s.pages);
    break;
  }
  return !s.pages.empty();
}

bool compaction_run::is_suitable_source(frame_index block) const {
  if (how_.scan.mode != migration_mode::async || !how_.scan.direct) return true;
  const auto type = core_.block_type(block);
  if (how_.scan.type == migratetype::movable) {
    return type == migratetype::movable || type == migratetype::cma;
  }
  return type == how_.scan.type;
}

}  // namespace detail
}  // namespace memsim
