// SPDX-License-Identifier: Apache-2.0
// Compaction on machines small enough to follow: what it brings, and what it says of itself.
#include <memsim/alloc/compaction.hpp>

#include <algorithm>

#include <memsim/alloc/free_space.hpp>
#include <memsim/alloc/thp_defrag.hpp>
#include <memsim/core/random.hpp>
#include <memsim/testing/invariants.hpp>

#include "alloc/owned_pages.hpp"
#include "catch.hpp"

using namespace memsim;

namespace {

// 256 MiB of which a part in ten is left free, in single pages all over.
struct fragmented {
  explicit fragmented(const kernel_profile& profile, tuning settings = {})
      : memory{{.memory = memory_map::x86_64(256_MiB), .profile = profile, .settings = settings}},
        pages{memory} {
    std::vector<std::uint32_t> tags;
    while (const auto tag = pages.add(ctx)) tags.push_back(*tag);
    random_stream random{3, "holes"};
    for (std::size_t i = 0; i < tags.size() / 10; ++i) {
      const auto victim = random.below(tags.size());
      pages.remove(ctx, tags[victim]);
      tags[victim] = tags.back();
      tags.pop_back();
    }
    memory.drain_all(ctx);
    memory.flush_lru_batches();
  }

  [[nodiscard]] std::uint64_t huge_blocks() const {
    std::uint64_t blocks = 0;
    for (const auto& z : memory.zones()) {
      for (unsigned o = pageblock_order.value(); o < page_orders; ++o) {
        blocks += z.free_blocks_of(order{o}) << (o - pageblock_order.value());
      }
    }
    return blocks;
  }

  page_allocator memory;
  owned_pages pages;
  context ctx;
};

}  // namespace

SCENARIO("compacting everything brings the free pages together", "[alloc][compaction]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    fragmented m{profile};
    REQUIRE(m.huge_blocks() == 0);
    std::int64_t free = 0;
    for (const auto& z : m.memory.zones()) free += z.exact_free_pages();
    m.memory.compact_everything(m.ctx);
    m.memory.drain_all(m.ctx);
    // All but the pages of zone DMA, which has its own free pages, and one pageblock a zone.
    CHECK(m.huge_blocks() >= static_cast<std::uint64_t>(free) / 512 - 3);
    CHECK_FALSE(m.pages.lost_track);
    CHECK(m.ctx.done.page_moves == m.memory.counts().pages_migrated);
    CHECK(memsim::testing::check_invariants(m.memory).empty());
    const auto& results = m.memory.counts().compaction_results;
    CHECK(results[static_cast<unsigned>(compact_result::complete)] == m.memory.zones().size());
  }
}

SCENARIO("a direct compaction serves the request that it is for", "[alloc][compaction]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    fragmented m{profile};
    REQUIRE_FALSE(m.memory.alloc(m.ctx, pageblock_order, gfp_transhuge_light));
    const auto got =
        m.memory.compact_for(m.ctx, pageblock_order, gfp_transhuge, compact_priority::sync_light);
    CHECK(got.result == compact_result::success);
    REQUIRE(got.block);
    CHECK(got.block->value() % 512 == 0);
    CHECK(m.memory.counts().compaction_stalls == 1);
    CHECK(m.memory.counts().compaction_captures == 1);
    // It stops when it has enough: far less is moved than by compacting everything.
    CHECK(m.memory.counts().pages_migrated < 4096);
    m.memory.free(m.ctx, *got.block, pageblock_order);
    CHECK(memsim::testing::check_invariants(m.memory).empty());
  }
}

SCENARIO("where memory is short, not in pieces, compaction is not tried", "[alloc][compaction]") {
  page_allocator memory{{.memory = memory_map::x86_64(256_MiB)}};
  context ctx;
  owned_pages pages{memory};
  while (pages.add(ctx)) {
  }
  const auto got = memory.compact_for(ctx, order{9}, gfp_transhuge, compact_priority::sync_light);
  CHECK(got.result == compact_result::skipped);
  CHECK_FALSE(got.block);
  CHECK(memory.counts().pages_migrated == 0);
  CHECK(memory.counts().compaction_stalls == 0);
}

SCENARIO("a zone in which compaction failed is left alone, longer each time",
         "[alloc][compaction]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    CAPTURE(profile.name);
    fragmented m{profile};
    for (auto& [tag, page] : m.pages.where) m.memory.pin(page);
    const auto ask = [&] {
      return m.memory.compact_for(m.ctx, order{9}, gfp_transhuge, compact_priority::sync_light)
          .result;
    };
    // Runs end in vain, and between them 1, 3, 7, ... requests are deferred in every zone.
    std::vector<int> waits;
    int deferred = 0;
    for (int i = 0; i < 400 && waits.size() < 8; ++i) {
      const auto result = ask();
      if (result == compact_result::deferred) {
        ++deferred;
      } else {
        waits.push_back(deferred);
        deferred = 0;
      }
    }
    REQUIRE(waits.size() == 8);
    CHECK(std::ranges::is_sorted(waits));
    CHECK(waits.back() == 63);
    const auto& memory = m.memory.zones().back().compaction;
    CHECK(memory.shift == 6);
    CHECK(memory.order_failed == 0);  // as at boot: no order has succeeded yet
  }
}

SCENARIO("proactive compaction starts above the high limit and stops at the low one",
         "[alloc][compaction]") {
  fragmented m{linux_6_12};
  REQUIRE(m.memory.fragmentation_score() > 90);
  CHECK(m.memory.compact_proactively(m.ctx));
  CHECK(m.memory.fragmentation_score() <= 90);
  const auto moved = m.memory.counts().pages_migrated;
  CHECK(moved > 0);
  THEN("below the high limit it does nothing") {
    CHECK(m.memory.compact_proactively(m.ctx));
    CHECK(m.memory.counts().pages_migrated == moved);
  }
  THEN("more proactiveness goes further") {
    fragmented eager{linux_6_12, {.compaction_proactiveness = 60}};
    CHECK(eager.memory.compact_proactively(eager.ctx));
    CHECK(eager.memory.fragmentation_score() < m.memory.fragmentation_score());
    CHECK(eager.memory.counts().pages_migrated > moved);
  }
  THEN("with none it never starts") {
    fragmented idle{linux_6_12, {.compaction_proactiveness = 0}};
    CHECK(idle.memory.compact_proactively(idle.ctx));
    CHECK(idle.memory.counts().pages_migrated == 0);
  }
  CHECK_THROWS_WITH(page_allocator({.memory = memory_map::x86_64(64_MiB),
                                    .settings = {.compaction_proactiveness = 101}}),
                    ContainsSubstring("compaction_proactiveness 101"));
  CHECK_THROWS_WITH(page_allocator({.memory = memory_map::x86_64(64_MiB),
                                    .settings = {.extfrag_threshold = 1001}}),
                    ContainsSubstring("extfrag_threshold 1001"));
}

SCENARIO("the defrag setting says what a huge page fault may do", "[alloc][thp_defrag]") {
  using enum thp_defrag;
  const auto reclaims = [](thp_defrag setting, huge_advice advice) {
    return huge_fault_flags(setting, advice) & gfp_reclaim;
  };
  for (const auto setting : {always, defer_madvise, madvise}) {
    CAPTURE(name_of(setting));
    CHECK(reclaims(setting, huge_advice::madvised) == gfp_flag::direct_reclaim);
  }
  CHECK(huge_fault_flags(always, huge_advice::madvised) == gfp_transhuge);
  CHECK(huge_fault_flags(always, huge_advice::none) == (gfp_transhuge | gfp_flag::noretry));
  CHECK(reclaims(defer, huge_advice::none) == gfp_flag::kswapd_reclaim);
  CHECK(reclaims(defer, huge_advice::madvised) == gfp_flag::kswapd_reclaim);
  CHECK(reclaims(defer_madvise, huge_advice::none) == gfp_flag::kswapd_reclaim);
  CHECK(huge_fault_flags(madvise, huge_advice::none) == gfp_transhuge_light);
  CHECK(huge_fault_flags(never, huge_advice::madvised) == gfp_transhuge_light);
  CHECK(to_text(defer_madvise) == "defer+madvise");
}

SCENARIO("results and hints are part of a state", "[alloc][compaction][restore]") {
  fragmented m{linux_6_1};
  for (int i = 0; i < 20; ++i) {
    const auto got =
        m.memory.compact_for(m.ctx, order{4}, gfp_highuser_movable, compact_priority::async);
    static_cast<void>(got);
  }
  m.memory.compact_in_background(m.ctx, order{9}, zone_type::normal);
  const auto state = m.memory.state();
  CHECK_FALSE(state.zones.back().skip_hints.empty());
  CHECK(state.zones.back().compaction != compaction_state{});
  auto back = page_allocator::restore(state, linux_6_1);
  REQUIRE(back);
  CHECK(back->state() == state);
  CHECK(back->state_digest() == m.memory.state_digest());
  auto copy = m.memory;
  CHECK(copy.state() == state);
}
