// SPDX-License-Identifier: Apache-2.0
// Pages that age, are taken back, or are kept.
#include <algorithm>
#include <numeric>

#include <memsim/testing/invariants.hpp>

#include "alloc/reclaim_machine.hpp"

using namespace memsim;

namespace {

std::vector<std::uint32_t> numbers(std::uint32_t first, std::size_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), first);
  return all;
}

}  // namespace

SCENARIO("a request that finds nothing takes back the oldest clean pages", "[alloc][reclaim]") {
  for (const auto& profile : {linux_6_1, linux_6_12}) {
    INFO(profile.name);
    reclaim_machine m{profile};
    REQUIRE(m.fill(page_kind::file) > 10'000);
    REQUIRE(!m.memory.alloc(m.ctx, order{0}, gfp_without_reclaim));
    const auto page = m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable);
    REQUIRE(page);
    CHECK(m.owner.gone.size() >= 32);
    CHECK(m.owner.gone == numbers(0, m.owner.gone.size()));
    CHECK(m.memory.reclaim_events().direct_reclaims == 1);
    CHECK(m.memory.reclaim_events().pages_reclaimed_direct == m.owner.gone.size());
    CHECK(m.ctx.done.pages_reclaimed == m.owner.gone.size());
  }
}

SCENARIO("a request that may not wait fails where it did, and takes nothing back",
         "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable - gfp_flag::direct_reclaim));
  CHECK(m.owner.gone.empty());
  CHECK(m.memory.reclaim_events().slow_requests == 0);
}

SCENARIO("the slow path can be switched off", "[alloc][reclaim]") {
  reclaim_machine m{linux_6_12, 64_MiB, {.slow_path = rule::off}};
  m.fill(page_kind::file);
  CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
  CHECK(m.owner.gone.empty());
  CHECK(!m.memory.take_kswapd_wish());
}

SCENARIO("pages are reclaimed before anybody needs them", "[alloc][reclaim]") {
  for (const frame_count wanted : {1, 32, 1000, 9000}) {
    reclaim_machine m;
    m.fill(page_kind::file, 10'000);
    const auto got = m.memory.reclaim(m.ctx, wanted);
    CAPTURE(wanted, got);
    CHECK(got >= wanted);
    CHECK(got < wanted + 64);
    CHECK(m.owner.gone == numbers(0, got));
    CHECK(m.memory.reclaim_events().slow_requests == 0);
  }
  reclaim_machine m;
  m.fill(page_kind::file, 100);
  m.memory.pin(m.owner.pages.at(7));
  CHECK(m.memory.reclaim(m.ctx, 1000) == 99);
  CHECK(m.memory.reclaim(m.ctx, 1000) == 0);
  context elsewhere{.cpu = cpu_id{1}};
  CHECK_THROWS_WITH(m.memory.reclaim(elsewhere, 1), ContainsSubstring("CPU 1"));
}

SCENARIO("of what is nobody's, only clean pages of files are reclaimed", "[alloc][reclaim]") {
  reclaim_machine m;
  m.memory.set_swap(1000);
  m.fill(page_kind::anonymous, 100);
  const auto first_file = m.fill(page_kind::file, 100);
  REQUIRE(first_file == 100);
  m.memory.mark_dirty(m.owner.pages.at(150));
  m.memory.remove_owner(m.owner_number);
  CHECK(m.memory.reclaim(m.ctx, 1000) == 99);
  CHECK(m.owner.gone.empty());
  CHECK(m.memory.page(m.owner.pages.at(150)).flags.has_any(page_flag::dirty));
  CHECK(m.memory.page(m.owner.pages.at(0)).owner == 0);
  CHECK(m.memory.free_swap() == 1000);
  CHECK(memsim::testing::check_invariants(m.memory).empty());
}

SCENARIO("a page that was used through a mapping has another round, and then is active",
         "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  m.owner.used = {0, 2};
  REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
  CHECK(m.owner.pages.contains(0));
  CHECK(!m.owner.pages.contains(1));
  CHECK(m.owner.pages.contains(2));
  CHECK(m.flags(0) == (page_flag::lru | page_flag::referenced));
  auto inactive = m.list(inactive_file);
  // Looked at first, put back first, so that the one after it is nearer the head.
  CHECK(std::ranges::find(inactive, 2u) < std::ranges::find(inactive, 0u));

  WHEN("it is used again before its next turn") {
    m.owner.used = {0};
    while (m.owner.pages.contains(2)) {
      REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    }
    THEN("it has become active, and the other is gone") {
      CHECK(m.flags(0) == (page_flag::lru | page_flag::referenced | page_flag::active));
      CHECK(m.list(active_file) == std::vector<std::uint32_t>{0});
      CHECK(m.memory.reclaim_events().pages_activated == 1);
    }
  }
}

SCENARIO("a page accessed twice is active; one access makes it referenced", "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file, 40);
  m.memory.mark_accessed(m.owner.pages.at(3));
  CHECK(m.flags(3) == (page_flag::lru | page_flag::referenced));
  CHECK(m.list(active_file).empty());
  m.memory.mark_accessed(m.owner.pages.at(3));
  CHECK(m.flags(3) == (page_flag::lru | page_flag::active));
  CHECK(m.list(active_file) == std::vector<std::uint32_t>{3});

  SECTION("while it waits in a batch, too") {
    REQUIRE(m.add(page_kind::anonymous));
    const auto page = m.owner.pages.at(40);
    m.memory.mark_accessed(page);
    m.memory.mark_accessed(page);
    CHECK(m.list(active_anonymous).empty());
    m.memory.flush_lru_batches();
    CHECK(m.list(active_anonymous) == std::vector<std::uint32_t>{40});
  }
  SECTION("pages that are on no list are not accessed") {
    const auto page = m.memory.alloc(m.ctx, order{0}, gfp_kernel).value();
    CHECK_THROWS_WITH(m.memory.mark_accessed(page), ContainsSubstring("not a page on the LRU"));
    CHECK_THROWS_AS(m.memory.mark_dirty(page), usage_error);
    CHECK_THROWS_AS(m.memory.start_writeback(page), usage_error);
    CHECK_THROWS_WITH(m.memory.end_writeback(page), ContainsSubstring("not under writeback"));
  }
}

SCENARIO("when few pages are inactive, active ones become so, from the tail", "[alloc][reclaim]") {
  reclaim_machine m;
  const auto all = m.fill(page_kind::file);
  for (std::uint32_t tag = 0; tag < all; ++tag) {
    for (int i = 0; i < 2; ++i) m.memory.mark_accessed(m.owner.pages.at(tag));
  }
  REQUIRE(m.list(inactive_file).empty());
  REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
  CHECK(m.memory.reclaim_events().pages_deactivated > 0);
  REQUIRE(!m.owner.gone.empty());
  CHECK(m.owner.gone == numbers(0, m.owner.gone.size()));
}

SCENARIO("nothing reclaims what is pinned", "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  for (const auto& [tag, page] : m.owner.pages) m.memory.pin(page);
  CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
  CHECK(m.owner.gone.empty());
  CHECK(m.memory.reclaim_events().pages_kept_pinned > 0);

  WHEN("one is not pinned any more") {
    m.memory.unpin(m.owner.pages.at(77));
    THEN("it is the one that goes") {
      static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
      CHECK(m.owner.gone == std::vector<std::uint32_t>{77});
    }
  }
}

SCENARIO("a dirty page of a file is written before it goes", "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  for (const auto& [tag, page] : m.owner.pages) m.memory.mark_dirty(page);

  WHEN("writes are over at once") {
    REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    THEN("every page that is gone was written") {
      REQUIRE(!m.owner.gone.empty());
      for (const auto tag : m.owner.gone) {
        CHECK(std::ranges::find(m.owner.written, tag) != m.owner.written.end());
      }
      CHECK(m.ctx.done.pages_written_back == m.owner.written.size());
      CHECK(m.memory.reclaim_events().writes_started == m.owner.written.size());
    }
  }
  WHEN("writes take time") {
    m.owner.writing = write_outcome::started;
    CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    THEN("nothing is gone, and a write that is over makes its page the next") {
      CHECK(m.owner.gone.empty());
      REQUIRE(!m.owner.written.empty());
      const auto tag = m.owner.written.front();
      const auto last = m.owner.written.back();
      CHECK(m.flags(tag).has_all(page_flag::writeback | page_flag::reclaim));
      m.memory.end_writeback(m.owner.pages.at(tag));
      m.memory.end_writeback(m.owner.pages.at(last));
      CHECK(m.flags(tag) == page_flag::lru);
      CHECK(m.list(inactive_file).back() == last);
      static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
      CHECK(m.owner.gone == std::vector<std::uint32_t>{last, tag});
    }
    THEN("a page that was changed meanwhile is written again") {
      const auto tag = m.owner.written.front();
      m.memory.mark_dirty(m.owner.pages.at(tag));
      m.memory.end_writeback(m.owner.pages.at(tag));
      CHECK(m.flags(tag).has_all(page_flag::dirty));
      CHECK(!m.flags(tag).has_any(page_flag::writeback));
    }
  }
  WHEN("writes are refused") {
    m.owner.writing = write_outcome::refused;
    CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    THEN("the pages stay, dirty as they were") {
      CHECK(m.owner.gone.empty());
      CHECK(m.flags(0).has_any(page_flag::dirty));
      CHECK(!m.flags(0).has_any(page_flag::writeback));
    }
  }
}

SCENARIO("anonymous pages go to swap, as long as there is any", "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::anonymous);

  WHEN("there is none") {
    THEN("they stay") {
      CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
      CHECK(m.owner.swapped.empty());
    }
  }
  WHEN("there is a little") {
    m.memory.set_swap(10);
    unsigned served = 0;
    while (m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable)) ++served;
    THEN("that many leave, the oldest first") {
      CHECK(m.owner.swapped == numbers(0, 10));
      CHECK(m.owner.gone == m.owner.swapped);
      CHECK(m.memory.free_swap() == 0);
      CHECK(served > 0);
      CHECK(m.memory.reclaim_events().swap_outs == 10);
      CHECK(m.ctx.done.pages_swapped_out == 10);
    }
    THEN("slots come back") {
      m.memory.release_swap(4);
      CHECK(m.memory.free_swap() == 4);
      CHECK_THROWS_WITH(m.memory.release_swap(7), ContainsSubstring("6 are in use"));
      CHECK_THROWS_AS(m.memory.set_swap(5), usage_error);
    }
  }
  WHEN("writing to it takes time") {
    m.memory.set_swap(100'000);
    m.owner.writing = write_outcome::started;
    CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    REQUIRE(!m.owner.swapped.empty());
    CHECK(m.owner.gone.empty());
    const auto tag = m.owner.swapped.front();
    CHECK(m.flags(tag).has_all(page_flag::swap_cached | page_flag::writeback));
    CHECK(m.memory.free_swap() == 100'000 - m.owner.swapped.size());
    THEN("a page that is freed gives its slot back") {
      const auto page = m.owner.pages.at(tag);
      const auto before = m.memory.free_swap();
      m.memory.end_writeback(page);
      m.memory.free(m.ctx, page, order{0});
      CHECK(m.memory.free_swap() == before + 1);
    }
    THEN("a page that was written is the next, without being written again") {
      m.memory.end_writeback(m.owner.pages.at(tag));
      const auto writes = m.owner.swapped.size();
      m.owner.writing = write_outcome::refused;
      static_cast<void>(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
      CHECK(m.owner.gone == std::vector<std::uint32_t>{tag});
      CHECK(m.owner.swapped.size() == writes);
    }
  }
  WHEN("the request may do no I/O") {
    m.memory.set_swap(1000);
    THEN("nothing is swapped for it") {
      CHECK(!m.memory.alloc(m.ctx, order{0}, gfp_noio | gfp_flag::movable | gfp_flag::highmem));
      CHECK(m.owner.swapped.empty());
      CHECK(m.memory.free_swap() == 1000);
    }
  }
}

SCENARIO("swappiness says who goes", "[alloc][reclaim]") {
  const auto swapped_share = [](unsigned swappiness) {
    reclaim_machine m{linux_6_12, 64_MiB, {.swappiness = swappiness}};
    m.memory.set_swap(100'000);
    m.fill(page_kind::anonymous, 6000);
    const auto files = m.fill(page_kind::file);
    // With a few of them active, inactive ones are not taken alone.
    for (std::uint32_t tag = 6000; tag < 6000 + files * 3 / 4; ++tag) {
      for (int i = 0; i < 2; ++i) m.memory.mark_accessed(m.owner.pages.at(tag));
    }
    for (int i = 0; i < 2000; ++i) {
      REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
    }
    return m.owner.swapped.size();
  };
  const auto none = swapped_share(0);
  const auto usual = swapped_share(60);
  const auto much = swapped_share(180);
  CHECK(none == 0);
  CHECK(usual > 0);
  CHECK(much > usual);
  CHECK_THROWS_WITH((reclaim_machine{linux_6_12, 64_MiB, {.swappiness = 201}}),
                    ContainsSubstring("swappiness 201"));
}

SCENARIO("a request takes back pages only where it can use them", "[alloc][reclaim]") {
  reclaim_machine m;
  m.fill(page_kind::file);
  while (m.add(page_kind::file, gfp_dma)) {
  }
  m.memory.flush_lru_batches();
  const auto dma = m.memory.zones().front().extent;
  const auto pages_in_dma = [&] {
    return std::ranges::count_if(m.owner.pages, [&](const auto& entry) {
      return entry.second >= dma.start && entry.second < dma.end();
    });
  };
  const auto elsewhere = m.owner.pages.size() - static_cast<std::size_t>(pages_in_dma());
  m.owner.gone.clear();
  for (int i = 0; i < 100; ++i) REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_kernel | gfp_dma));
  CHECK(m.owner.pages.size() - static_cast<std::size_t>(pages_in_dma()) == elsewhere);
  CHECK(!m.owner.gone.empty());
}

namespace {

// Objects of a page each.
struct slab final : shrinker {
  page_allocator& memory;
  std::vector<pfn> pages{};
  unsigned cost = 2;

  explicit slab(page_allocator& m) : memory{m} {}
  [[nodiscard]] std::uint64_t count() const override { return pages.size(); }
  [[nodiscard]] unsigned seeks() const override { return cost; }
  std::uint64_t scan(context& ctx, std::uint64_t objects) override {
    for (std::uint64_t i = 0; i < objects && !pages.empty(); ++i) {
      memory.free(ctx, pages.back(), order{0});
      pages.pop_back();
    }
    return objects;
  }
};

}  // namespace

SCENARIO("a shrinker frees what no LRU list has", "[alloc][reclaim]") {
  const auto shrunk = [](unsigned seeks) {
    reclaim_machine m;
    slab cache{m.memory};
    cache.cost = seeks;
    m.memory.add_shrinker(cache);
    const gfp flags = gfp_kernel | gfp_flag::reclaimable;
    while (const auto page = m.memory.alloc(m.ctx, order{0}, flags - gfp_reclaim)) {
      cache.pages.push_back(*page);
    }
    const auto before = cache.pages.size();
    REQUIRE(m.memory.alloc(m.ctx, order{0}, flags));
    CHECK(m.memory.reclaim_events().pages_shrunk == before - cache.pages.size());
    CHECK(m.ctx.done.objects_shrunk == m.memory.reclaim_events().objects_scanned);
    m.memory.remove_shrinker(cache);
    return before - cache.pages.size();
  };
  CHECK(shrunk(2) >= 32);
  CHECK(shrunk(8) <= shrunk(1));
}

SCENARIO("a restored machine goes on as the original does", "[alloc][reclaim]") {
  reclaim_machine m;
  m.memory.set_swap(500);
  m.fill(page_kind::anonymous, 3000);
  m.fill(page_kind::file);
  REQUIRE(m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable));
  auto twin = page_allocator::restore(m.memory.state(), m.memory.profile(), m.memory.settings());
  REQUIRE(twin);
  CHECK(twin->state_digest() == m.memory.state_digest());
  obedient_owner owner;
  owner.pages = m.owner.pages;
  twin->attach_owner(m.owner_number, owner);
  m.owner.gone.clear();
  context ctx;
  for (int i = 0; i < 500; ++i) {
    const auto here = m.memory.alloc(m.ctx, order{0}, gfp_highuser_movable);
    const auto there = twin->alloc(ctx, order{0}, gfp_highuser_movable);
    REQUIRE(here == there);
  }
  CHECK(owner.gone == m.owner.gone);
  CHECK(!owner.gone.empty());
  CHECK(twin->state_digest() == m.memory.state_digest());
}
