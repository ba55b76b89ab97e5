// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/page_pool.hpp>

#include <set>

#include "catch.hpp"

using namespace memsim;

namespace {

// Frames 0 to `most`, one at a time.
struct counted_source final : page_source {
  std::expected<pfn, error> get(context&) override {
    if (out.size() >= most) return fail(errc::no_memory, "no more");
    pfn page{};
    while (out.contains(page)) page = page + 1;
    out.insert(page);
    return page;
  }
  void put(context&, pfn page) override { REQUIRE(out.erase(page) == 1); }
  [[nodiscard]] bool has_surplus() const override { return surplus; }

  std::size_t most = 100;
  bool surplus = true;
  std::set<pfn> out{};
};

struct tested_pool {
  explicit tested_pool(std::uint64_t pages, std::uint64_t overcommit = 0) {
    REQUIRE(pool.set_overcommit(overcommit));
    CHECK(pool.resize(ctx, pages) == pages);
  }
  void check(std::uint64_t total, std::uint64_t free, std::uint64_t reserved,
             std::uint64_t surplus) const {
    const auto& c = pool.counts();
    CHECK(c.total == total);
    CHECK(c.free == free);
    CHECK(c.reserved == reserved);
    CHECK(c.surplus == surplus);
    CHECK(source.out.size() == total);
  }

  context ctx{};
  counted_source source{};
  page_pool pool{source};
};

}  // namespace

TEST_CASE("a page that is promised is not for others", "[page_pool]") {
  tested_pool t{2};
  REQUIRE(t.pool.reserve(t.ctx, 1));
  const auto others = t.pool.take(t.ctx, {});
  REQUIRE(others);
  t.check(2, 1, 1, 0);
  const auto refused = t.pool.take(t.ctx, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::no_space);
  CHECK(refused.error().message() == "1 of 2 pages are free, and 1 promised");
  const auto promised = t.pool.take(t.ctx, {.entitled = true});
  REQUIRE(promised);
  t.check(2, 0, 0, 0);
  t.pool.put(t.ctx, *others, after_use::available);
  t.pool.put(t.ctx, *promised, after_use::reserved);
  t.check(2, 2, 1, 0);
}

TEST_CASE("surplus pages are made for promises, all or none", "[page_pool]") {
  tested_pool t{2, 3};
  REQUIRE_FALSE(t.pool.reserve(t.ctx, 6));
  t.check(2, 2, 0, 0);
  REQUIRE(t.pool.reserve(t.ctx, 4));
  t.check(4, 4, 4, 2);
  t.pool.unreserve(t.ctx, 3);
  t.check(2, 2, 1, 0);
  t.source.most = 3;
  REQUIRE_FALSE(t.pool.reserve(t.ctx, 3));
  t.check(2, 2, 1, 0);
}

TEST_CASE("a page that leaves its use is destroyed while there are surplus ones", "[page_pool]") {
  tested_pool t{1, 1};
  const auto own = t.pool.take(t.ctx, {});
  const auto surplus = t.pool.take(t.ctx, {});
  REQUIRE(own);
  REQUIRE(surplus);
  t.check(2, 0, 0, 1);
  t.pool.put(t.ctx, *own, after_use::available);
  t.check(1, 0, 0, 0);
  t.pool.put(t.ctx, *surplus, after_use::available);
  t.check(1, 1, 0, 0);
}

TEST_CASE("a surplus page can be taken outside the promises", "[page_pool]") {
  tested_pool t{1, 2};
  REQUIRE(t.pool.take(t.ctx, {}));
  REQUIRE(t.pool.take(t.ctx, {.entitled = true, .spares_reserve = true}));
  t.check(2, 0, 0, 1);
  REQUIRE(t.pool.take(t.ctx, {.entitled = true}));
  t.check(3, 0, ~std::uint64_t{0}, 2);
}

TEST_CASE("a pool becomes as large as can be had, and as small as its use allows", "[page_pool]") {
  tested_pool t{4, 2};
  t.source.most = 6;
  CHECK(t.pool.resize(t.ctx, 10) == 6);
  t.check(6, 6, 0, 0);
  REQUIRE(t.pool.reserve(t.ctx, 2));
  const auto page = t.pool.take(t.ctx, {});
  REQUIRE(page);
  // One used, two promised; the overcommit of two does not bind here.
  CHECK(t.pool.resize(t.ctx, 0) == 0);
  t.check(3, 2, 2, 3);
  // Surplus pages become the pool's own again.
  CHECK(t.pool.resize(t.ctx, 2) == 2);
  t.check(3, 2, 2, 1);
  t.pool.put(t.ctx, *page, after_use::available);
  t.check(2, 2, 2, 0);
}

TEST_CASE("pages that cannot be surplus have no overcommit", "[page_pool]") {
  tested_pool t{1};
  t.source.surplus = false;
  const auto refused = t.pool.set_overcommit(1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::invalid);
  CHECK_FALSE(t.pool.reserve(t.ctx, 2));
  t.check(1, 1, 0, 0);
}

// As the kernel's, the count of promises can go below zero: then d of them need no more pages, and
// still fail where there are not d free ones.
TEST_CASE("a promise is only made of pages that are free", "[page_pool]") {
  tested_pool t{2, 3};
  t.pool.unreserve(t.ctx, 3);
  REQUIRE(t.pool.take(t.ctx, {}));
  t.check(2, 1, ~std::uint64_t{0} - 2, 0);
  REQUIRE_FALSE(t.pool.reserve(t.ctx, 2));
  t.check(2, 1, ~std::uint64_t{0} - 2, 0);
  REQUIRE(t.pool.reserve(t.ctx, 1));
  t.check(2, 1, ~std::uint64_t{0} - 1, 0);
}

TEST_CASE("a pool that grows keeps its surplus pages as its own", "[page_pool]") {
  tested_pool t{2, 2};
  REQUIRE(t.pool.reserve(t.ctx, 3));
  t.check(3, 3, 3, 1);
  CHECK(t.pool.resize(t.ctx, 3) == 3);
  t.check(3, 3, 3, 0);
}

TEST_CASE("a surplus page that is lost is no surplus any more", "[page_pool]") {
  tested_pool t{0, 1};
  const auto page = t.pool.take(t.ctx, {});
  REQUIRE(page);
  t.check(1, 0, 0, 1);
  t.pool.lose();
  CHECK(t.pool.counts().total == 0);
  CHECK(t.pool.counts().surplus == 0);
}

TEST_CASE("a page that a pool did not give out it does not take", "[page_pool]") {
  tested_pool t{2};
  const auto page = t.pool.take(t.ctx, {});
  REQUIRE(page);
  t.pool.put(t.ctx, *page, after_use::available);
  CHECK_THROWS_WITH(t.pool.put(t.ctx, *page, after_use::available),
                    "frame 1 is put back into a pool whose 2 pages are all free");
  CHECK_THROWS_WITH(t.pool.lose(), "a page in use is lost of a pool whose 2 pages are all free");
  t.check(2, 2, 0, 0);
}

TEST_CASE("absurdly many pages are not promised", "[page_pool]") {
  tested_pool t{2, 2};
  REQUIRE(t.pool.reserve(t.ctx, 3));
  CHECK_FALSE(t.pool.reserve(t.ctx, std::uint64_t{1} << 63));
  CHECK_FALSE(t.pool.reserve(t.ctx, ~std::uint64_t{0}));
  t.check(3, 3, 3, 1);
}

TEST_CASE("a promise is made of what is free and not promised", "[page_pool]") {
  tested_pool t{2};
  REQUIRE(t.pool.reserve(t.ctx, 1));
  CHECK(t.pool.promise());
  CHECK_FALSE(t.pool.promise());
  t.check(2, 2, 2, 0);
}
