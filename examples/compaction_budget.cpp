// SPDX-License-Identifier: Apache-2.0

/// \file
/// What does compaction buy, and what does each page that it moves buy?
///
/// A machine is filled with movable pages and a few unmovable ones, and then a part of the movable
/// ones is freed at random: much is free, and next to nothing of it in 2 MiB blocks. Compaction is
/// then run with a budget, the pages that it may move, and the huge pages that can be had are
/// counted. Beside it stands an oracle, which knows where every page is and moves as few as it can:
/// it empties the pageblocks with the fewest pages first.
///
///     compaction_budget [MIB]     memory of the machine; default 1024

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/arch/cost_model.hpp>
#include <memsim/core/random.hpp>

using namespace memsim;

namespace {

constexpr frame_count huge = pageblock_frames;

// How much is unmovable, and of the rest, how much is left in use.
struct recipe {
  std::string name;
  double unmovable;
  double occupied;
};

page_allocator aged(bytes size, const kernel_profile& profile, const recipe& how) {
  page_allocator memory{{.memory = memory_map::x86_64(size), .profile = profile}};
  context ctx;
  random_stream random{1, "compaction_budget"};
  std::vector<pfn> movable;
  while (true) {
    const bool fixed = random.chance(how.unmovable);
    const auto page = memory.alloc(ctx, order{0}, fixed ? gfp_kernel : gfp_highuser_movable);
    if (!page) break;
    if (fixed) continue;
    memory.assign(ctx, *page, {.kind = page_kind::anonymous});
    movable.push_back(*page);
  }
  auto left = static_cast<std::size_t>(static_cast<double>(movable.size()) * (1 - how.occupied));
  for (; left > 0; --left) {
    const auto victim = random.below(movable.size());
    memory.free(ctx, movable[victim], order{0});
    movable[victim] = movable.back();
    movable.pop_back();
  }
  memory.drain_all(ctx);
  memory.flush_lru_batches();
  return memory;
}

std::uint64_t huge_pages(const page_allocator& memory) {
  std::uint64_t pages = 0;
  for (const auto& z : memory.zones()) {
    for (unsigned o = pageblock_order.value(); o < page_orders; ++o) {
      pages += z.free_blocks_of(order{o}) << (o - pageblock_order.value());
    }
  }
  return pages;
}

// What an oracle would move to free each pageblock, cheapest first, zone by zone.
struct oracle {
  std::vector<frame_count> costs;  // ascending

  explicit oracle(const page_allocator& memory) {
    for (const auto& z : memory.zones()) {
      std::vector<frame_count> blocks;
      frame_count room = 0;  // free pages that are in no free pageblock
      for (pfn block = z.extent.start; block + huge <= z.extent.end(); block += huge) {
        if (block.value() % huge != 0) continue;
        frame_count in_use = 0;
        bool movable = true;
        for (pfn frame = block; frame < block + huge && movable;) {
          const auto mark = memory.frames().mark_at(frame);
          const bool free = mark.use() == frame_use::free;
          if (!free) {
            movable = mark.movable();
            ++in_use;
          }
          frame += free ? order{mark.order()}.frames() : 1;
        }
        if (in_use != 0 && movable) blocks.push_back(in_use);
        if (in_use != 0) room += huge - in_use;
      }
      std::ranges::sort(blocks);
      for (const auto in_use : blocks) {
        // The pages go to what is free elsewhere; the block's own free pages are lost for that.
        const auto rest = room - std::min(room, huge - in_use);
        if (in_use > rest) break;
        room = rest - in_use;
        costs.push_back(in_use);
      }
    }
    std::ranges::sort(costs);
  }

  // Huge pages that this many moves buy.
  [[nodiscard]] std::uint64_t buys(frame_count moves) const {
    std::uint64_t pages = 0;
    for (const auto cost : costs) {
      if (cost > moves) break;
      moves -= cost;
      ++pages;
    }
    return pages;
  }
};

struct outcome {
  std::uint64_t gained = 0;
  std::uint64_t moved = 0;
  std::uint64_t scanned = 0;
  double milliseconds = 0;
};

// One huge page after another is asked for until the budget is used up or nothing comes of it.
outcome compact(page_allocator memory, std::uint64_t budget) {
  context ctx;
  std::vector<pfn> got;
  int in_vain = 0;
  while (memory.counts().pages_migrated < budget && in_vain < 200) {
    const auto one =
        memory.compact_for(ctx, pageblock_order, gfp_transhuge, compact_priority::sync_light);
    in_vain = one.block ? 0 : in_vain + 1;
    if (one.block) got.push_back(*one.block);
  }
  return {.gained = got.size() + huge_pages(memory),
          .moved = memory.counts().pages_migrated,
          .scanned = ctx.done.pages_scanned,
          .milliseconds = static_cast<double>(default_costs().price_of(ctx.done).count()) / 1e9};
}

std::string bar(std::uint64_t value, std::uint64_t most) {
  constexpr std::uint64_t width = 40;
  return std::string(most == 0 ? 0 : value * width / most, '#');
}

void show(bytes size, const kernel_profile& profile, const recipe& how) {
  const auto memory = aged(size, profile, how);
  const oracle best{memory};
  const auto start = huge_pages(memory);
  const auto most = start + best.costs.size();
  frame_count free = 0;
  for (const auto& z : memory.zones()) free += static_cast<frame_count>(z.exact_free_pages());
  fmt::print("\n{}, {}: {} MiB free, {} huge pages of it; {} can be had at most\n\n", how.name,
             profile, free * page_bytes >> 20, start, most);
  fmt::print("{:>8} {:>8} {:>9} {:>8} {:>8} {:>7}\n", "budget", "moved", "scanned", "ms", "oracle",
             "got");
  for (const std::uint64_t budget : {0u, 1000u, 3000u, 10'000u, 30'000u, 100'000u, 1'000'000u}) {
    const auto one = budget == 0 ? outcome{.gained = start} : compact(memory, budget);
    const auto reach = start + best.buys(budget);
    fmt::print("{:>8} {:>8} {:>9} {:>8.1f} {:>8} {:>7} {}\n", budget, one.moved, one.scanned,
               one.milliseconds, reach, one.gained, bar(one.gained, most));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bytes size = 1_MiB * (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1024);
  if (size < 64_MiB || size > 64_GiB) {
    fmt::print(stderr, "compaction_budget [MIB]: allowed are 64 to 65536\n");
    return 2;
  }
  fmt::print(
      "Huge pages that can be had from {} MiB after compaction has moved as many pages as it was\n"
      "allowed to: budget and moved in pages, ms by the default prices, and what an oracle gets "
      "for\n"
      "the same budget by emptying the cheapest pageblocks first.\n",
      size.value() >> 20);
  const std::array recipes{recipe{"nothing unmovable, half free", 0, 0.5},
                           recipe{"nothing unmovable, a tenth free", 0, 0.9},
                           recipe{"one page in 2000 unmovable, half free", 0.0005, 0.5}};
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const auto& how : recipes) show(size, profile, how);
  }
}
