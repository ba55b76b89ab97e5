// SPDX-License-Identifier: Apache-2.0
// The slow path's order, its end, and whom the OOM killer must not kill.
#include <algorithm>

#include <memsim/alloc/observer.hpp>

#include "alloc/reclaim_machine.hpp"

using namespace memsim;

namespace {

struct process final : oom_candidate {
  page_allocator& memory;
  std::vector<pfn> pages{};
  int adjustment = 0;
  bool dead = false;

  process(page_allocator& m, int score_adjustment = 0) : memory{m}, adjustment{score_adjustment} {
    memory.add_oom_candidate(*this);
  }
  void take(context& ctx, std::size_t count) {
    while (pages.size() < count) {
      pages.push_back(memory.alloc(ctx, order{0}, gfp_kernel - gfp_reclaim).value());
    }
  }
  [[nodiscard]] oom_usage usage() const override { return {.resident = pages.size()}; }
  [[nodiscard]] int score_adjustment() const override { return adjustment; }
  void killed(context& ctx) override {
    dead = true;
    for (const auto page : pages) memory.free(ctx, page, order{0});
    pages.clear();
  }
};

// Where nothing can be reclaimed, and a process could be killed.
struct full_machine : reclaim_machine {
  explicit full_machine(const kernel_profile& profile = linux_6_12)
      : reclaim_machine{profile}, victim{memory} {
    victim.take(ctx, 1000);
    exhaust();
  }
  bool kills(order size, gfp flags) {
    static_cast<void>(memory.alloc(ctx, size, flags));
    return victim.dead;
  }
  process victim;
};

}  // namespace

SCENARIO("the OOM killer frees what a request needs, as the last resort", "[alloc][oom]") {
  full_machine m;
  CHECK(m.memory.alloc(m.ctx, order{0}, gfp_kernel));
  CHECK(m.victim.dead);
  CHECK(m.memory.reclaim_events().oom_kills == 1);
}

SCENARIO("nobody is killed as long as something can be reclaimed", "[alloc][oom]") {
  reclaim_machine m;
  process p{m.memory};
  p.take(m.ctx, 1000);
  m.fill(page_kind::file);
  for (int i = 0; i < 5000; ++i) REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_kernel));
  CHECK(!p.dead);
}

SCENARIO("the OOM killer chooses the largest, with the adjustment's share of memory",
         "[alloc][oom]") {
  CHECK(oom_points({.resident = 10, .swapped = 5, .page_tables = 1}, 0, 100'000) == 16);
  CHECK(oom_points({.resident = 10}, 500, 100'000) == 50'010);
  CHECK(oom_points({.resident = 10}, -1, 100'999) == -90);

  GIVEN("a large process, a small one that is to go first, and one that is never killed") {
    reclaim_machine m;
    process never{m.memory, oom_candidate::never};
    process large{m.memory};
    process small{m.memory, 500};
    never.take(m.ctx, 4000);
    large.take(m.ctx, 3000);
    small.take(m.ctx, 300);
    std::size_t left = m.exhaust().size();
    REQUIRE(left > 0);
    WHEN("requests go on") {
      std::vector<std::string> order_of_death;
      while (m.memory.alloc(m.ctx, order{0}, gfp_kernel)) {
        if (small.dead && order_of_death.empty()) order_of_death.emplace_back("small");
        if (large.dead && order_of_death.size() < 2) order_of_death.emplace_back("large");
      }
      THEN("they go one after the other, and then requests fail") {
        CHECK(order_of_death == std::vector<std::string>{"small", "large"});
        CHECK(!never.dead);
        CHECK(m.memory.reclaim_events().oom_kills == 2);
        CHECK(m.memory.reclaim_events().oom_without_victim > 0);
      }
    }
  }
  GIVEN("two alike") {
    reclaim_machine m;
    process first{m.memory};
    process second{m.memory};
    first.take(m.ctx, 500);
    second.take(m.ctx, 500);
    m.exhaust();
    CHECK(m.memory.alloc(m.ctx, order{0}, gfp_kernel));
    CHECK(second.dead);
    CHECK(!first.dead);
  }
}

SCENARIO("for a costly order nobody is killed", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{4}, gfp_kernel));
  CHECK(full_machine{}.kills(order{3}, gfp_kernel));
}

SCENARIO("with __GFP_RETRY_MAYFAIL nobody is killed", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{0}, gfp_kernel | gfp_flag::retry_mayfail));
}

SCENARIO("with __GFP_THISNODE nobody is killed", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{0}, gfp_kernel | gfp_flag::thisnode));
}

SCENARIO("with __GFP_NORETRY nobody is killed", "[alloc][oom]") {
  full_machine m;
  CHECK(!m.kills(order{0}, gfp_kernel | gfp_flag::noretry));
  CHECK(m.memory.reclaim_events().direct_reclaims == 1);
}

SCENARIO("for a request below ZONE_NORMAL nobody is killed", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{0}, gfp_kernel | gfp_dma));
  CHECK(!full_machine{}.kills(order{0}, gfp_kernel | gfp_dma32));
}

SCENARIO("without __GFP_FS nobody is killed", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{0}, gfp_nofs));
  CHECK(!full_machine{}.kills(order{0}, gfp_noio));
}

SCENARIO("a request that may not wait kills nobody", "[alloc][oom]") {
  CHECK(!full_machine{}.kills(order{0}, gfp_atomic));
  CHECK(!full_machine{}.kills(order{0}, gfp_nowait));
}

SCENARIO("with __GFP_NOFAIL a request that nobody can be killed for gets the last pages",
         "[alloc][oom]") {
  reclaim_machine m;
  m.exhaust();
  REQUIRE(!m.memory.alloc(m.ctx, order{0}, gfp_kernel));
  unsigned served = 0;
  while (m.memory.alloc(m.ctx, order{0}, gfp_kernel | gfp_flag::nofail)) ++served;
  CHECK(served > 0);
  m.memory.drain_all(m.ctx);
  for (const auto& z : m.memory.zones()) CHECK(z.exact_free_pages() == 0);
}

SCENARIO("with __GFP_MEMALLOC a request that may wait disregards the marks", "[alloc][slow_path]") {
  reclaim_machine m;
  m.exhaust();
  CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_kernel | gfp_flag::memalloc | gfp_flag::nomemalloc));
  CHECK(m.memory.alloc(m.ctx, order{0}, gfp_kernel | gfp_flag::memalloc));
  CHECK(m.memory.reclaim_events().direct_reclaims == 1);
}

namespace {

// What the slow path does, a letter a step.
struct journal final : allocator_observer {
  std::string steps;
  void note(char step) {
    if (steps.empty() || steps.back() != step) steps += step;
  }
  void on_suitability(const suitability_event&) override { note('c'); }
  void on_reclaim(const reclaim_event&) override { note('r'); }
};

}  // namespace

SCENARIO("unmovable high orders are compacted for before anything is reclaimed",
         "[alloc][slow_path]") {
  const auto steps = [](order size, gfp flags) {
    reclaim_machine m;
    m.fill(page_kind::file);
    journal log;
    m.memory.add_observer(log);
    static_cast<void>(m.memory.alloc(m.ctx, size, flags));
    m.memory.remove_observer(log);
    return log.steps;
  };
  CHECK(steps(order{0}, gfp_kernel) == "r");
  CHECK(steps(order{2}, gfp_kernel).starts_with("cr"));
  CHECK(steps(order{2}, gfp_highuser_movable).starts_with("r"));
  CHECK(steps(order{9}, gfp_highuser_movable).starts_with("cr"));
  CHECK(steps(order{2}, gfp_noio).starts_with("r"));
}

SCENARIO("a costly request with __GFP_NORETRY gives up when compaction is skipped",
         "[alloc][slow_path]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  CHECK(!m.memory.alloc(m.ctx, order{9}, gfp_transhuge | gfp_flag::noretry));
  CHECK(m.owner.gone.empty());
  CHECK(m.memory.reclaim_events().direct_reclaims == 0);
  CHECK(!m.memory.alloc(m.ctx, order{9}, gfp_transhuge));
  CHECK(m.memory.reclaim_events().direct_reclaims > 0);
}

SCENARIO("a high order is reclaimed and compacted for until it is there", "[alloc][slow_path]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    INFO(profile.name);
    reclaim_machine m{profile};
    // Pages of files and the kernel's, in turn: no block of order 3 without moving or dropping.
    std::vector<pfn> kept;
    while (m.add(page_kind::file)) {
      if (m.tags % 64 == 0) {
        const auto page = m.memory.alloc(m.ctx, order{0}, gfp_without_reclaim);
        if (page) kept.push_back(*page);
      }
    }
    m.memory.flush_lru_batches();
    for (int i = 0; i < 20; ++i) CHECK(m.memory.alloc(m.ctx, order{3}, gfp_kernel));
    CHECK(!m.owner.gone.empty());
  }
}

SCENARIO("without anything to reclaim the slow path ends soon", "[alloc][slow_path]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    reclaim_machine m{profile};
    m.exhaust();
    CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_kernel));
    CHECK(m.memory.reclaim_events().direct_reclaims == 1);
    CHECK(m.memory.reclaim_events().oom_without_victim == 1);
    for (unsigned o = 1; o < page_orders; ++o) {
      CHECK(!m.memory.alloc(m.ctx, order{o}, gfp_kernel | gfp_flag::retry_mayfail));
    }
  }
}

SCENARIO("after sixteen rounds in vain a request gives up", "[alloc][slow_path]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  for (const auto& [tag, page] : m.owner.pages) m.memory.pin(page);
  CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_kernel));
  CHECK(m.memory.reclaim_events().direct_reclaims == 17);
}

SCENARIO("before it gives up a request takes the high-order atomic reserve, to the last block",
         "[alloc][slow_path][highatomic]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    INFO(profile.name);
    reclaim_machine m{profile, 512_MiB};
    // A pageblock is reserved when memory is short; then a little is free elsewhere again, but no
    // more than without the reserve.
    auto taken = m.exhaust();
    const auto& z = m.memory.zones().back();
    const auto give_back = [&](std::size_t pages) {
      for (std::size_t i = 0; i < pages; ++i) {
        m.memory.free(m.ctx, taken.back(), order{0});
        taken.pop_back();
      }
      m.memory.drain_all(m.ctx);
    };
    taken.resize(50'000);
    std::expected<pfn, error> atomic;
    while (z.reserved_highatomic == 0) {
      give_back(32);
      atomic = m.memory.alloc(m.ctx, order{1}, gfp_atomic);
      REQUIRE(atomic);
    }
    REQUIRE(z.reserved_highatomic == pageblock_frames);
    REQUIRE(m.memory.pageblock_type(*atomic) == migratetype::highatomic);
    taken.resize(20'000);
    while (z.exact_free_pages() < static_cast<std::int64_t>(z.marks.min) + 50) give_back(1);

    WHEN("there is nothing to reclaim") {
      const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel);
      THEN("the last block goes too, and becomes the request's type") {
        CHECK(page);
        CHECK(z.reserved_highatomic == 0);
        CHECK(m.memory.pageblock_type(*atomic) == migratetype::unmovable);
        CHECK(m.memory.reclaim_events().highatomic_blocks_unreserved == 1);
      }
    }
    WHEN("a request may not wait") {
      static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_nowait));
      THEN("the reserve stays") { CHECK(z.reserved_highatomic == pageblock_frames); }
    }
  }
}

SCENARIO("__GFP_MEMALLOC takes the last page, waiting or not", "[alloc][slow_path]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const gfp flags : {gfp_kernel, gfp_atomic, gfp_kernel - gfp_reclaim}) {
      CAPTURE(profile.name, flags);
      full_machine m{profile};
      while (m.memory.alloc(m.ctx, order{0}, gfp_atomic)) {
      }
      CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_atomic));
      CHECK(m.memory.alloc(m.ctx, order{0}, flags | gfp_flag::memalloc));
      if (!flags.has_any(gfp_flag::direct_reclaim)) {
        CHECK(!m.memory.alloc(m.ctx, order{0}, flags | gfp_flag::memalloc | gfp_flag::nomemalloc));
      }
    }
  }
}

SCENARIO("__GFP_NOFAIL has the reserves where nobody may be killed", "[alloc][slow_path][oom]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    for (const gfp flags : {gfp_nofs, gfp_noio}) {
      CAPTURE(profile.name, flags);
      full_machine m{profile};
      CHECK(!m.memory.alloc(m.ctx, order{0}, flags));
      CHECK(m.memory.alloc(m.ctx, order{0}, flags | gfp_flag::nofail));
      CHECK(!m.victim.dead);
      CHECK(m.memory.reclaim_events().oom_kills_withheld == 2);
    }
  }
}
