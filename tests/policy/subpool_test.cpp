// SPDX-License-Identifier: Apache-2.0
#include <memsim/policy/subpool.hpp>

#include "catch.hpp"

using namespace memsim;

TEST_CASE("a subpool without limits demands and hands back everything", "[subpool]") {
  subpool pool{{}};
  CHECK(pool.take(7) == 7u);
  CHECK(pool.give(7) == 7);
  CHECK(pool.used() == 0);
  CHECK(pool.is_unused());
}

TEST_CASE("a subpool gives no more than its most", "[subpool]") {
  subpool pool{{.most = 6}};
  CHECK(pool.take(4) == 4u);
  CHECK_FALSE(pool.take(3));
  CHECK_FALSE(pool.take(~std::uint64_t{0}));
  CHECK(pool.used() == 4);
  CHECK_FALSE(pool.is_unused());
  CHECK(pool.take(2) == 2u);
  CHECK(pool.give(6) == 6);
  CHECK(pool.is_unused());
}

TEST_CASE("a subpool's own promises cover what it takes first", "[subpool]") {
  subpool pool{{.least = 4}};
  CHECK(pool.promised() == 4);
  CHECK(pool.take(3) == 0u);
  CHECK(pool.take(3) == 2u);
  CHECK(pool.promised() == 0);
  CHECK_FALSE(pool.is_unused());
  // Without a most nothing counts as used, and so everything given back is kept up to the least.
  CHECK(pool.give(5) == 1);
  CHECK(pool.promised() == 4);
  CHECK(pool.is_unused());
}

// The worked example of hugetlb's subpools with both limits, and its quirk: what is given back
// across the least is kept, although more than the least is used.
TEST_CASE("a subpool that gives across its least keeps too much", "[subpool]") {
  subpool pool{{.most = 6, .least = 4}};
  std::uint64_t promised_by_pool = 4;
  const auto take = [&](std::uint64_t pages) {
    const auto needed = pool.take(pages);
    promised_by_pool += needed.value_or(0);
    return needed.has_value();
  };
  const auto give = [&](std::uint64_t pages) { promised_by_pool -= pool.give(pages); };
  REQUIRE(take(3));
  CHECK(promised_by_pool == 4);
  CHECK(pool.used() == 3);
  CHECK(pool.promised() == 1);
  REQUIRE(take(3));
  CHECK(promised_by_pool == 6);
  CHECK(pool.used() == 6);
  CHECK(pool.promised() == 0);
  CHECK_FALSE(take(1));
  give(3);
  CHECK(promised_by_pool == 6);
  CHECK(pool.used() == 3);
  CHECK(pool.promised() == 3);
  give(3);
  CHECK(promised_by_pool == 4);
  CHECK(pool.used() == 0);
  CHECK(pool.promised() == 4);
}

TEST_CASE("a subpool keeps a promise only below its least", "[subpool]") {
  subpool pool{{.most = 6, .least = 4}};
  REQUIRE(pool.take(6) == 2u);
  CHECK(pool.give(1) == 1);  // five are used
  CHECK(pool.give(1) == 1);  // four, as many as its least
  CHECK(pool.give(1) == 0);
  CHECK(pool.promised() == 1);
}

TEST_CASE("a subpool that there cannot be, or that is given what it has not, is refused",
          "[subpool]") {
  CHECK_THROWS_WITH((subpool{{.most = 2, .least = 4}}), "at least 4 pages and at most 2");
  subpool pool{{.most = 6}};
  REQUIRE(pool.take(1));
  CHECK_THROWS_WITH(pool.give(2), "2 pages given back of 1");
  CHECK(pool.used() == 1);
  CHECK_THROWS_WITH(pool.lose_promise(), "a promise is lost of none");
  subpool promised{{.least = 2}};
  promised.lose_promise();
  CHECK(promised.promised() == 1);
  CHECK(promised.limits().least == 1);
  CHECK(promised.is_unused());
}
