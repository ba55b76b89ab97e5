// SPDX-License-Identifier: Apache-2.0
// The reclaim daemon's runs, without a clock: what wakes it, what it does, when it rests.
#include "alloc/reclaim_machine.hpp"

using namespace memsim;

namespace {

constexpr daemon_wish any_page{order{0}, zone_type::movable};

bool meets_high(const zone& z) {
  return z.exact_free_pages() > static_cast<std::int64_t>(z.marks.high + z.boost);
}

}  // namespace

SCENARIO("a request below the low mark wakes kswapd, which reclaims up to a high mark",
         "[alloc][kswapd]") {
  reclaim_machine m;
  CHECK(!m.memory.take_kswapd_wish());
  m.fill(page_kind::file);
  CHECK(!m.memory.take_kswapd_wish());
  static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_nowait));
  const auto wish = m.memory.take_kswapd_wish();
  REQUIRE(wish);
  CHECK(*wish == daemon_wish{order{0}, zone_type::normal});
  CHECK(!m.memory.take_kswapd_wish());

  const auto result = m.memory.balance(m.ctx, *wish);
  CHECK(result.balanced);
  CHECK(result.reclaimed == m.owner.gone.size());
  CHECK((meets_high(m.memory.zones().front()) || meets_high(m.memory.zones().back())));
  CHECK(m.memory.reclaim_events().pages_reclaimed_kswapd == result.reclaimed);
  CHECK(m.memory.reclaim_events().kswapd_runs == 1);
  for (const auto& z : m.memory.zones()) CHECK(!z.reclaim_active);

  THEN("there is nothing left to do for a while") {
    const auto again = m.memory.balance(m.ctx, *wish);
    CHECK(again.balanced);
    CHECK(again.reclaimed == 0);
    CHECK(!m.memory.is_kswapd_hopeless());
  }
}

SCENARIO("a request without __GFP_KSWAPD_RECLAIM wakes nobody", "[alloc][kswapd]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_flag::high));
  CHECK(!m.memory.take_kswapd_wish());
}

SCENARIO("wishes that nobody takes are one, of the higher order and the higher zone",
         "[alloc][kswapd]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  static_cast<void>(m.memory.alloc(m.ctx, order{2}, gfp_nowait | gfp_dma32));
  static_cast<void>(m.memory.alloc(m.ctx, order{1}, gfp_nowait));
  CHECK(m.memory.take_kswapd_wish() == daemon_wish{order{2}, zone_type::normal});
}

SCENARIO("after sixteen runs in vain kswapd is hopeless, until a request gets something",
         "[alloc][kswapd]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  for (const auto& [tag, page] : m.owner.pages) m.memory.pin(page);
  for (int run = 0; run < 15; ++run) {
    CHECK(m.memory.balance(m.ctx, any_page).reclaimed == 0);
    CHECK(!m.memory.is_kswapd_hopeless());
  }
  m.memory.balance(m.ctx, any_page);
  CHECK(m.memory.is_kswapd_hopeless());

  THEN("it is not woken; kcompactd is, by requests that may not wait") {
    static_cast<void>(m.memory.alloc(m.ctx, order{3}, gfp_nowait));
    CHECK(!m.memory.take_kswapd_wish());
    CHECK(m.memory.take_kcompactd_wish() == daemon_wish{order{3}, zone_type::normal});
  }
  THEN("what a request reclaims gives it hope") {
    for (const auto& [tag, page] : m.owner.pages) m.memory.unpin(page);
    REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_kernel));
    CHECK(!m.memory.is_kswapd_hopeless());
  }
}

SCENARIO("once there is room, kswapd leaves higher orders to compaction", "[alloc][kswapd]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  const auto result = m.memory.balance(m.ctx, {order{4}, zone_type::normal});
  CHECK(result.reclaimed >= 2 * 16);
  CHECK(result.reached == order{0});
  m.memory.rest_kswapd({order{4}, zone_type::normal});
  CHECK(m.memory.take_kcompactd_wish() == daemon_wish{order{4}, zone_type::normal});
  CHECK(!m.memory.take_kcompactd_wish());
  m.memory.rest_kswapd(any_page);
  CHECK(!m.memory.take_kcompactd_wish());
}

namespace {

// Pages everywhere, with room in every pageblock, and a request that has to mix types there.
void boost(reclaim_machine& m, page_kind kind = page_kind::file) {
  m.fill(kind);
  for (auto at = m.owner.pages.begin(); at != m.owner.pages.end();) {
    const bool goes = at->second.value() % pageblock_frames < 320;
    if (goes) m.memory.free(m.ctx, at->second, order{0});
    at = goes ? m.owner.pages.erase(at) : std::next(at);
  }
  m.memory.drain_all(m.ctx);
  static_cast<void>(m.memory.take_kswapd_wish());
  REQUIRE(m.memory.counts().watermark_boosts == 0);
  while (m.memory.counts().watermark_boosts == 0) {
    REQUIRE(m.memory.alloc(m.ctx, order{4}, gfp_nowait));
  }
}

}  // namespace

SCENARIO("a boosted zone wakes kswapd, which works the boost off without writing or swapping",
         "[alloc][kswapd][boost]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    INFO(profile.name);
    reclaim_machine m{profile, 512_MiB};
    m.memory.set_swap(100'000);
    m.fill(page_kind::anonymous, 20'000);
    boost(m);
    const auto& z = m.memory.zones().back();
    REQUIRE(z.boost == pageblock_frames);
    const auto wish = m.memory.take_kswapd_wish();
    REQUIRE(wish);
    const auto result = m.memory.balance(m.ctx, *wish);
    CHECK(z.boost == 0);
    CHECK(result.reclaimed > 0);
    CHECK(m.owner.swapped.empty());
    CHECK(m.owner.written.empty());
    CHECK(m.memory.take_kcompactd_wish() == daemon_wish{pageblock_order, wish->highest});
  }
}

SCENARIO("for a boost nothing is swapped or written, though nothing else is there",
         "[alloc][kswapd][boost]") {
  for (const auto kind : {page_kind::anonymous, page_kind::file}) {
    INFO(to_text(kind));
    reclaim_machine m{linux_6_12, 512_MiB};
    m.memory.set_swap(100'000);
    boost(m, kind);
    for (const auto& [tag, page] : m.owner.pages) m.memory.mark_dirty(page);
    const auto result = m.memory.balance(m.ctx, any_page);
    CHECK((kind == page_kind::anonymous || result.scanned > 0));
    CHECK(result.reclaimed == 0);
    CHECK(m.owner.swapped.empty());
    CHECK(m.memory.free_swap() == 100'000);
    CHECK(m.owner.written.empty());
  }
}

SCENARIO("a boost is gone after a run that got nothing, too", "[alloc][kswapd][boost]") {
  reclaim_machine m{linux_6_12, 512_MiB};
  boost(m);
  for (const auto& [tag, page] : m.owner.pages) m.memory.pin(page);
  const auto& z = m.memory.zones().back();
  REQUIRE(z.boost == pageblock_frames);
  const auto result = m.memory.balance(m.ctx, any_page);
  CHECK(result.reclaimed == 0);
  CHECK(result.balanced);
  CHECK(z.boost == 0);
  // It was in vain all the same.
  CHECK(m.memory.state().reclaim.kswapd_failures == 1);
}

SCENARIO("when memory is short in earnest, kswapd disregards the boost", "[alloc][kswapd][boost]") {
  reclaim_machine m{linux_6_12, 512_MiB};
  m.memory.set_swap(100'000);
  boost(m);
  m.exhaust();
  for (const auto& [tag, page] : m.owner.pages) m.memory.mark_dirty(page);
  const auto result = m.memory.balance(m.ctx, any_page);
  CHECK(result.balanced);
  CHECK(!m.owner.written.empty());
}

SCENARIO("who runs the daemons is told once there is something to do", "[alloc][kswapd]") {
  struct bell final : daemon_waker {
    int kswapd = 0;
    int kcompactd = 0;
    void wake_kswapd() override { ++kswapd; }
    void wake_kcompactd() override { ++kcompactd; }
  };
  reclaim_machine m;
  bell b;
  m.memory.set_daemon_waker(&b);
  m.fill(page_kind::file);
  CHECK(b.kswapd == 0);
  static_cast<void>(m.memory.alloc(m.ctx, order{1}, gfp_nowait));
  CHECK(b.kswapd == 1);
  m.memory.rest_kswapd({order{1}, zone_type::normal});
  CHECK(b.kcompactd == 1);
  auto copy = m.memory;
  static_cast<void>(copy.alloc(m.ctx, order{1}, gfp_nowait));
  CHECK(b.kswapd == 1);
  m.memory.set_daemon_waker(nullptr);
}
