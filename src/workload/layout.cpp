// SPDX-License-Identifier: Apache-2.0
#include "workload/layout.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include <memsim/core/random.hpp>
#include <memsim/workload/trace_hints.hpp>

namespace memsim::detail {
namespace {

constexpr unsigned top = max_page_order.value();
constexpr unsigned block_order = pageblock_order.value();

// Blocks of frames by their first frame: 32 bits, as in the frame table.
using frame_number = std::uint32_t;

enum class block_fate : unsigned char {
  hole,     // no memory
  open,     // memory, not decided yet
  free,     // a free block of order 9, or half of one of order 10
  partial,  // neither wholly free nor a hole
};

struct pageblock_plan {
  block_fate fate = block_fate::hole;
  std::optional<migratetype> type{};
};

class planner {
 public:
  planner(const layout_request& request, std::uint64_t seed, const trace_hints* hints)
      : request_{request},
        hints_{hints},
        first_block_{request.start.value() / pageblock_frames},
        blocks_((end().value() + pageblock_frames - 1) / pageblock_frames - first_block_),
        left_{request.pageblocks},
        where_{seed, fmt::format("synthesis.{}.pageblocks", request.type)},
        which_{seed, fmt::format("synthesis.{}.blocks", request.type)},
        order_in_list_{seed, fmt::format("synthesis.{}.lists", request.type)} {}

  std::expected<zone_layout, error> plan() {
    if (auto ok = choose_memory(); !ok) return std::unexpected{ok.error()};
    choose_cma();
    for (const auto type : all_migratetypes) {
      if (auto ok = place_pairs(type); !ok) return std::unexpected{ok.error()};
    }
    for (const auto type : all_migratetypes) {
      if (auto ok = place_whole_blocks(type); !ok) return std::unexpected{ok.error()};
    }
    choose_types();
    if (auto ok = place_parts(); !ok) return std::unexpected{ok.error()};
    for (auto& lists : result_.free_lists) {
      for (auto& list : lists) order_in_list_.shuffle(list);
    }
    for (const auto& block : blocks_) {
      result_.pageblocks.push_back(block.fate == block_fate::hole ? std::nullopt : block.type);
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] pfn end() const { return request_.start + request_.spanned; }
  [[nodiscard]] pfn frame_of(std::size_t block) const {
    return pfn{(first_block_ + block) * pageblock_frames};
  }
  [[nodiscard]] bool within_zone(pfn first, frame_count count) const {
    return first >= request_.start && first + count <= end();
  }
  [[nodiscard]] bool outside_zone(pfn first, frame_count count) const {
    return first + count <= request_.start || first >= end();
  }
  // Whether a frame is known not to have been on a free list.
  [[nodiscard]] bool known_held(pfn first, frame_count count) const {
    return hints_ != nullptr && hints_->any_held(first, count);
  }
  [[nodiscard]] bool strict() const { return request_.lists_follow_pageblocks == rule::on; }

  // How many blocks of an order a type wants, given how many could be placed.
  std::uint64_t wanted(migratetype type, unsigned order, std::uint64_t possible) {
    const auto t = static_cast<unsigned>(type);
    const auto& demand = request_.free[t];
    if (!demand.pages) return demand.blocks[order];
    return std::min((*demand.pages - placed_pages_[t]) >> order, possible);
  }

  void put(pfn first, unsigned order, migratetype list) {
    const auto t = static_cast<unsigned>(list);
    result_.free_lists[order][t].push_back(first);
    placed_pages_[t] += std::uint64_t{1} << order;
  }

  [[nodiscard]] std::unexpected<error> no_place(unsigned order, migratetype type,
                                                std::uint64_t missing) const {
    return fail(errc::inconsistent,
                "zone {}: no place for {} of the free blocks of order {} and type {} in {} "
                "pageblocks of that type",
                request_.type, missing, order, type,
                request_.pageblocks[static_cast<unsigned>(type)]);
  }

  // Which pageblocks have memory: those that the trace names, the rest of their sections of
  // 128 MiB (the unit in which x86-64 adds memory), then the first of the zone.
  std::expected<void, error> choose_memory() {
    const auto needed = std::accumulate(left_.begin(), left_.end(), std::uint64_t{0});
    if (needed > blocks_.size()) {
      return fail(errc::inconsistent, "zone {}: {} pageblocks in a zone that spans {}",
                  request_.type, needed, blocks_.size());
    }
    constexpr std::size_t section_blocks = 64;
    std::vector<unsigned> rank(blocks_.size(), 2);
    for (std::size_t i = 0; hints_ != nullptr && i < blocks_.size(); ++i) {
      if (!hints_->any_known(frame_of(i), pageblock_frames)) continue;
      const auto section = (first_block_ + i) / section_blocks * section_blocks;
      for (auto b = section; b < section + section_blocks; ++b) {
        if (b < first_block_ || b - first_block_ >= blocks_.size()) continue;
        auto& r = rank[b - first_block_];
        r = std::min(r, 1u);
      }
      rank[i] = 0;
    }
    std::uint64_t chosen = 0;
    for (unsigned r = 0; r <= 2; ++r) {
      for (std::size_t i = 0; i < blocks_.size() && chosen < needed; ++i) {
        if (rank[i] != r) continue;
        blocks_[i].fate = block_fate::open;
        ++chosen;
      }
    }
    return {};
  }

  // The lowest range that holds all CMA pageblocks and starts at a block of order 10.
  void choose_cma() {
    const auto cma = static_cast<unsigned>(migratetype::cma);
    const auto count = left_[cma];
    if (count == 0) return;
    std::uint64_t run = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const bool usable =
          blocks_[i].fate == block_fate::open && within_zone(frame_of(i), pageblock_frames);
      if (!usable || (run == 0 && (first_block_ + i) % 2 != 0)) {
        run = 0;
        continue;
      }
      if (++run < count) continue;
      const auto first = i + 1 - run;
      for (auto b = first; b <= i; ++b) blocks_[b].type = migratetype::cma;
      left_[cma] = 0;
      result_.cma = cma_area{frame_of(first), run * pageblock_frames};
      return;
    }
  }

  [[nodiscard]] bool may_become(std::size_t block, migratetype type) const {
    const auto& plan = blocks_[block];
    if (plan.fate != block_fate::open || !within_zone(frame_of(block), pageblock_frames)) {
      return false;
    }
    if (plan.type) return *plan.type == type;
    return type != migratetype::cma || !result_.cma;
  }

  [[nodiscard]] bool hinted_otherwise(std::size_t block, migratetype type) const {
    if (hints_ == nullptr) return false;
    const auto hint = hints_->pageblock_type(first_block_ + block);
    return hint && *hint != type;
  }

  // Takes a pageblock's type out of those that are left; another type's where that is allowed.
  void claim(std::size_t block, migratetype type) {
    auto& plan = blocks_[block];
    plan.fate = block_fate::free;
    if (plan.type) return;
    auto t = static_cast<unsigned>(type);
    if (left_[t] == 0) {
      t = static_cast<unsigned>(std::ranges::max_element(left_) - left_.begin());
    }
    --left_[t];
    plan.type = all_migratetypes[t];
  }

  // Candidates in random order, those first of which nothing says otherwise.
  std::vector<std::size_t> ranked(const std::vector<std::size_t>& candidates, std::size_t size,
                                  migratetype type) {
    std::array<std::vector<std::size_t>, 3> classes;
    for (const auto i : candidates) {
      bool otherwise = false;
      for (auto b = i; b < i + size; ++b) otherwise |= hinted_otherwise(b, type);
      const bool held = known_held(frame_of(i), size * pageblock_frames);
      auto& its_class = held ? classes[2] : classes[otherwise ? 1 : 0];
      its_class.push_back(i);
    }
    std::vector<std::size_t> all;
    for (auto& one : classes) {
      where_.shuffle(one);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

  // Free blocks of order 10.
  std::expected<void, error> place_pairs(migratetype type) {
    std::vector<std::size_t> candidates;
    for (std::size_t i = first_block_ % 2; i + 1 < blocks_.size(); i += 2) {
      if (may_become(i, type) && may_become(i + 1, type)) candidates.push_back(i);
    }
    auto count = wanted(type, top, std::min(candidates.size(), claimable(type) / 2));
    if (count == 0) return {};
    if (count > candidates.size() || (strict() && 2 * count > claimable(type))) {
      return no_place(top, type, count);
    }
    for (const auto i : ranked(candidates, 2, type)) {
      if (count-- == 0) break;
      claim(i, type);
      claim(i + 1, type);
      put(frame_of(i), top, type);
    }
    return {};
  }

  // Pageblocks that can still be of a type.
  [[nodiscard]] std::uint64_t claimable(migratetype type) const {
    std::uint64_t fixed = 0;
    if (type == migratetype::cma && result_.cma) {
      fixed = static_cast<std::uint64_t>(std::ranges::count_if(blocks_, [](const auto& b) {
        return b.fate == block_fate::open && b.type == migratetype::cma;
      }));
    }
    return left_[static_cast<unsigned>(type)] + fixed;
  }

  // Free blocks of order 9; two of them are never buddies.
  std::expected<void, error> place_whole_blocks(migratetype type) {
    std::vector<std::size_t> candidates;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (may_become(i, type) && !buddy_is_free(i)) candidates.push_back(i);
    }
    auto count = wanted(type, block_order, std::min(candidates.size(), claimable(type)));
    if (count == 0) return {};
    if (strict() && count > claimable(type)) return no_place(block_order, type, count);
    for (const auto i : ranked(candidates, 1, type)) {
      if (count == 0) break;
      if (buddy_is_free(i)) continue;
      claim(i, type);
      put(frame_of(i), block_order, type);
      --count;
    }
    if (count != 0 && !request_.free[static_cast<unsigned>(type)].pages) {
      return no_place(block_order, type, count);
    }
    return {};
  }

  [[nodiscard]] bool buddy_is_free(std::size_t block) const {
    const auto buddy = ((first_block_ + block) ^ 1) - first_block_;  // huge if before the zone
    return buddy < blocks_.size() && blocks_[buddy].fate == block_fate::free;
  }

  // The types of all other pageblocks.
  void choose_types() {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      auto& block = blocks_[i];
      if (block.fate != block_fate::open) continue;
      block.fate = block_fate::partial;
      if (block.type) continue;
      if (!within_zone(frame_of(i), pageblock_frames)) {
        set_type(block, roomiest_type());  // a pageblock that the zone cuts has the least room
      } else if (const auto hint =
                     hints_ == nullptr ? std::nullopt : hints_->pageblock_type(first_block_ + i);
                 hint && left_[static_cast<unsigned>(*hint)] != 0) {
        set_type(block, *hint);
      } else {
        open.push_back(i);
      }
    }
    std::vector<migratetype> types;
    for (const auto type : all_migratetypes) {
      types.insert(types.end(), left_[static_cast<unsigned>(type)], type);
    }
    where_.shuffle(types);
    for (std::size_t i = 0; i < open.size(); ++i) blocks_[open[i]].type = types[i];
  }

  void set_type(pageblock_plan& block, migratetype type) {
    block.type = type;
    --left_[static_cast<unsigned>(type)];
  }

  // The type whose pageblocks that are left have the most pages beyond those that shall be free.
  [[nodiscard]] migratetype roomiest_type() const {
    migratetype best{};
    std::int64_t most = std::numeric_limits<std::int64_t>::min();
    for (unsigned t = 0; t < migratetypes; ++t) {
      if (left_[t] == 0) continue;
      std::uint64_t free = 0;
      for (unsigned o = 0; o < block_order; ++o) free += request_.free[t].blocks[o] << o;
      const auto room =
          static_cast<std::int64_t>(left_[t] * pageblock_frames) - static_cast<std::int64_t>(free);
      if (room <= most) continue;
      most = room;
      best = all_migratetypes[t];
    }
    return best;
  }

  // The slots of one order and pageblock type, by what their halves allow.
  struct slots {
    std::vector<frame_number> unhinted;  // half of it may be free, for all that is known
    std::vector<frame_number> hinted;    // both halves have a frame that was held
    std::vector<frame_number> unusable;  // no half lies within the zone
  };

  // Free blocks below order 9, order by order.
  std::expected<void, error> place_parts() {
    std::array<std::vector<frame_number>, migratetypes> open;
    constexpr std::uint64_t most_partial = (1_TiB).frames() / pageblock_frames;
    const auto partial = std::ranges::count(blocks_, block_fate::partial, &pageblock_plan::fate);
    if (static_cast<std::uint64_t>(partial) > most_partial) {
      return fail(errc::unsupported, "zone {}: more than 1 TiB is in use", request_.type);
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].fate != block_fate::partial) continue;
      open[static_cast<unsigned>(*blocks_[i].type)].push_back(
          static_cast<frame_number>(frame_of(i).value()));
    }
    for (unsigned order = block_order; order-- > 0;) {
      std::array<slots, migratetypes> sorted;
      for (unsigned t = 0; t < migratetypes; ++t) sorted[t] = sort_slots(open[t], order);
      for (auto& list : open) list.clear();
      for (const auto type : all_migratetypes) {
        if (auto ok = place_order(order, type, sorted, open); !ok) return ok;
      }
      for (unsigned t = 0; t < migratetypes; ++t) split_slots(sorted[t], order, open[t]);
    }
    result_.in_use = std::move(open);
    return {};
  }

  slots sort_slots(const std::vector<frame_number>& open, unsigned order) {
    slots sorted;
    for (const auto slot : open) {
      const bool low = usable_half(slot, order, 0);
      const bool high = usable_half(slot, order, 1);
      const bool low_unhinted = low && !half_held(slot, order, 0);
      const bool high_unhinted = high && !half_held(slot, order, 1);
      auto& usable = low_unhinted || high_unhinted ? sorted.unhinted : sorted.hinted;
      (low || high ? usable : sorted.unusable).push_back(slot);
    }
    which_.shuffle(sorted.unhinted);
    which_.shuffle(sorted.hinted);
    return sorted;
  }

  [[nodiscard]] static pfn half(frame_number slot, unsigned order, unsigned which) {
    return pfn{slot} + (std::uint64_t{which} << order);
  }
  [[nodiscard]] bool usable_half(frame_number slot, unsigned order, unsigned which) const {
    return within_zone(half(slot, order, which), frame_count{1} << order);
  }
  [[nodiscard]] bool half_held(frame_number slot, unsigned order, unsigned which) const {
    return known_held(half(slot, order, which), frame_count{1} << order);
  }

  // Places the blocks of one order and type in slots of its own pageblocks, then, where a list may
  // hold blocks of other pageblocks, in theirs. The halves that stay in use go to `open`.
  std::expected<void, error> place_order(
      unsigned order, migratetype type, std::array<slots, migratetypes>& sorted,
      std::array<std::vector<frame_number>, migratetypes>& open) {
    const auto own = static_cast<unsigned>(type);
    auto count = wanted(type, order, sorted[own].unhinted.size() + sorted[own].hinted.size());
    const auto use = [&](unsigned t, std::vector<frame_number>& from) {
      for (; count != 0 && !from.empty(); --count) {
        const auto slot = from.back();
        from.pop_back();
        const unsigned which = choose_half(slot, order);
        put(half(slot, order, which), order, type);
        const auto rest = half(slot, order, 1 - which);
        if (!outside_zone(rest, frame_count{1} << order)) {
          open[t].push_back(static_cast<frame_number>(rest.value()));
        }
      }
    };
    use(own, sorted[own].unhinted);
    use(own, sorted[own].hinted);
    for (unsigned t = 0; t < migratetypes && !strict(); ++t) {
      use(t, sorted[t].unhinted);
      use(t, sorted[t].hinted);
    }
    if (count != 0) return no_place(order, type, count);
    return {};
  }

  unsigned choose_half(frame_number slot, unsigned order) {
    const bool low = usable_half(slot, order, 0);
    const bool high = usable_half(slot, order, 1);
    if (!low || !high) return low ? 0 : 1;
    const bool low_held = half_held(slot, order, 0);
    if (low_held != half_held(slot, order, 1)) return low_held ? 1 : 0;
    return static_cast<unsigned>(which_.below(2));
  }

  void split_slots(const slots& left, unsigned order, std::vector<frame_number>& open) const {
    for (const auto* list : {&left.unhinted, &left.hinted, &left.unusable}) {
      for (const auto slot : *list) {
        for (const unsigned which : {0u, 1u}) {
          const auto part = half(slot, order, which);
          if (outside_zone(part, frame_count{1} << order)) continue;
          open.push_back(static_cast<frame_number>(part.value()));
        }
      }
    }
  }

  const layout_request& request_;
  const trace_hints* hints_;
  std::uint64_t first_block_;
  std::vector<pageblock_plan> blocks_;
  std::array<std::uint64_t, migratetypes> left_;  // pageblocks of each type not yet placed
  std::array<std::uint64_t, migratetypes> placed_pages_{};
  random_stream where_;
  random_stream which_;
  random_stream order_in_list_;
  zone_layout result_;
};

}  // namespace

std::expected<zone_layout, error> lay_out(const layout_request& request, std::uint64_t seed,
                                          const trace_hints* hints) {
  return planner{request, seed, hints}.plan();
}

}  // namespace memsim::detail
