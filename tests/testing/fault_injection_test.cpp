// SPDX-License-Identifier: Apache-2.0
#include <memsim/testing/fault_injection.hpp>

#include <limits>
#include <vector>

#include <memsim/alloc/page_allocator.hpp>
#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;
using memsim::testing::fault_injector;

namespace {

// Which of `count` requests are refused.
std::vector<int> refused(fault_injector& faults, int count, order size = order{0},
                         gfp flags = gfp_kernel) {
  std::vector<int> numbers;
  for (int i = 1; i <= count; ++i) {
    if (faults.refuses(context{}, size, flags)) numbers.push_back(i);
  }
  return numbers;
}

}  // namespace

SCENARIO("the nth request is refused, and no other", "[testing][fault_injection]") {
  GIVEN("an injector for the third request") {
    auto faults = fault_injector::nth(3);
    WHEN("ten requests are made") {
      THEN("the third is refused") {
        CHECK(refused(faults, 10) == std::vector{3});
        CHECK(faults.matched() == 10);
        CHECK(faults.refused() == 1);
      }
    }
  }
  GIVEN("an injector for the third request of order 2") {
    auto faults = fault_injector::nth(3, {.size = order{2}});
    THEN("requests of other orders are not counted") {
      CHECK(refused(faults, 5, order{1}).empty());
      CHECK(refused(faults, 2, order{2}).empty());
      CHECK(refused(faults, 5, order{0}).empty());
      CHECK(refused(faults, 2, order{2}) == std::vector{1});
      CHECK(faults.matched() == 4);
    }
  }
  GIVEN("an injector for the first request that may reclaim") {
    auto faults = fault_injector::nth(1, {.flags = gfp_reclaim});
    THEN("a request with some of these flags does not match") {
      CHECK(refused(faults, 3, order{0}, gfp_nowait).empty());
      CHECK(faults.matched() == 0);
      CHECK(refused(faults, 3, order{0}, gfp_kernel) == std::vector{1});
    }
  }
}

SCENARIO("requests are refused with a probability, the same ones for the same seed",
         "[testing][fault_injection]") {
  GIVEN("two injectors of one seed and one of another") {
    auto a = fault_injector::with_probability(0.1, 42);
    auto b = fault_injector::with_probability(0.1, 42);
    auto c = fault_injector::with_probability(0.1, 43);
    WHEN("a thousand requests are made of each") {
      const auto refused_by_a = refused(a, 1000);
      THEN("about a tenth is refused, the same ones by those of one seed") {
        CHECK(refused_by_a.size() > 70);
        CHECK(refused_by_a.size() < 130);
        CHECK(a.refused() == refused_by_a.size());
        CHECK(refused(b, 1000) == refused_by_a);
        CHECK(refused(c, 1000) != refused_by_a);
      }
    }
  }
  GIVEN("probabilities of 0 and 1") {
    auto never = fault_injector::with_probability(0, 1);
    auto always = fault_injector::with_probability(1, 1);
    CHECK(refused(never, 100).empty());
    CHECK(refused(always, 100).size() == 100);
  }
  GIVEN("requests that do not match") {
    auto a = fault_injector::with_probability(0.5, 7, {.size = order{0}});
    auto b = fault_injector::with_probability(0.5, 7, {.size = order{0}});
    THEN("they draw nothing, so that they do not move the faults of others") {
      CHECK(refused(b, 13, order{4}).empty());
      CHECK(refused(a, 50) == refused(b, 50));
    }
  }
}

SCENARIO("fault injection refuses numbers that mean nothing", "[testing][fault_injection]") {
  CHECK_THROWS_AS(fault_injector::nth(0), usage_error);
  CHECK_THROWS_WITH(fault_injector::with_probability(1.25, 1), ContainsSubstring("1.25"));
  CHECK_THROWS_AS(fault_injector::with_probability(-1, 1), usage_error);
  CHECK_THROWS_AS(fault_injector::with_probability(std::numeric_limits<double>::quiet_NaN(), 1),
                  usage_error);
}

SCENARIO("a refused request leaves the allocator as it was", "[testing][fault_injection]") {
  GIVEN("an allocator whose second page request is refused") {
    page_allocator memory{{.memory = memory_map::x86_64(64_MiB)}};
    auto faults = fault_injector::nth(2, {.size = order{0}});
    memory.set_gate(&faults);
    context ctx;
    REQUIRE(memory.alloc(ctx, order{0}, gfp_kernel));
    WHEN("it is made") {
      const auto before = memory.state_digest();
      const auto result = memory.alloc(ctx, order{0}, gfp_kernel);
      THEN("it fails as injected, and nothing has changed") {
        REQUIRE_FALSE(result);
        CHECK(result.error().code() == errc::injected);
        CHECK(memory.state_digest() == before);
      }
      THEN("the next one is served") { CHECK(memory.alloc(ctx, order{0}, gfp_kernel)); }
    }
    WHEN("the allocator is copied") {
      page_allocator copy{memory};
      THEN("nobody gates the copy") {
        CHECK(copy.alloc(ctx, order{0}, gfp_kernel));
        CHECK(faults.matched() == 1);
      }
    }
    WHEN("the gate is taken away") {
      memory.set_gate(nullptr);
      THEN("nothing is refused") { CHECK(memory.alloc(ctx, order{0}, gfp_kernel)); }
    }
  }
}
