// SPDX-License-Identifier: Apache-2.0
// The pinned numbers were worked out by a program of its own from the papers: MT19937-64 (Nishimura
// 2000), seeded as its authors do with a digest of seed and name. Any compiler must give them.
#include <memsim/core/random.hpp>

#include <limits>
#include <numeric>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

std::vector<std::uint64_t> draws(random_stream stream, std::uint64_t bound, std::size_t count) {
  std::vector<std::uint64_t> values(count);
  for (auto& v : values) v = stream.below(bound);
  return values;
}

}  // namespace

SCENARIO("a random stream is the same sequence on every compiler", "[core][random]") {
  GIVEN("the stream of seed 1 named replay.placement") {
    random_stream stream{1, "replay.placement"};
    WHEN("numbers below 1000 are drawn") {
      THEN("they are these") {
        CHECK(draws(stream, 1000, 6) == std::vector<std::uint64_t>{355, 211, 785, 353, 828, 766});
      }
    }
    WHEN("fractions are drawn") {
      THEN("they are these multiples of 2^-53") {
        CHECK(stream.unit() == 0x1p-53 * 3201510945200620.0);
        CHECK(stream.unit() == 0x1p-53 * 1905984252419833.0);
        CHECK(stream.unit() == 0x1p-53 * 7079487622622132.0);
      }
    }
  }
  GIVEN("bounds near the width of the engine") {
    THEN("draws that do not fit are drawn again") {
      CHECK(draws({7, "a"}, (1ULL << 63) + 5, 3) ==
            std::vector<std::uint64_t>{8416517753211963918ULL, 1332347586489704888ULL,
                                       6467666252226915472ULL});
      CHECK(draws({7, "a"}, std::numeric_limits<std::uint64_t>::max(), 2) ==
            std::vector<std::uint64_t>{16112742866699748360ULL, 8416517753211963918ULL});
    }
  }
  GIVEN("ten items in order") {
    std::vector<int> items(10);
    std::iota(items.begin(), items.end(), 0);
    WHEN("they are shuffled") {
      random_stream{3, "shuffle"}.shuffle(items);
      THEN("they end up in this order") {
        CHECK(items == std::vector<int>{0, 3, 5, 7, 4, 6, 9, 2, 8, 1});
      }
    }
  }
}

SCENARIO("streams of another name or seed are other sequences", "[core][random]") {
  CHECK(draws({1, "replay.placement"}, 1000, 3) == std::vector<std::uint64_t>{355, 211, 785});
  CHECK(draws({2, "replay.placement"}, 1000, 3) == std::vector<std::uint64_t>{596, 641, 526});
  CHECK(draws({1, "ageing"}, 1000, 3) == std::vector<std::uint64_t>{157, 977, 336});
}

SCENARIO("a random stream can be copied and goes on alike", "[core][random]") {
  random_stream stream{5, "copied"};
  static_cast<void>(stream.below(10));
  CHECK(draws(stream, 1'000'000, 20) == draws(stream, 1'000'000, 20));
}

SCENARIO("chance() says yes as often as it should", "[core][random]") {
  random_stream stream{9, "chance"};
  int yes = 0;
  for (int i = 0; i < 10'000; ++i) yes += stream.chance(0.25);
  CHECK(yes > 2'350);
  CHECK(yes < 2'650);
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(stream.chance(0));
    CHECK(stream.chance(1));
  }
}

SCENARIO("below() reaches every value and no other", "[core][random]") {
  random_stream stream{4, "below"};
  std::vector<int> seen(7);
  for (int i = 0; i < 1'000; ++i) ++seen.at(stream.below(7));
  for (const int n : seen) CHECK(n > 90);
  CHECK(stream.below(1) == 0);
}

SCENARIO("a random stream refuses bounds and probabilities that mean nothing", "[core][random]") {
  random_stream stream{1, "misuse"};
  CHECK_THROWS_AS(stream.below(0), usage_error);
  CHECK_THROWS_WITH(stream.chance(1.5), ContainsSubstring("1.5"));
  CHECK_THROWS_AS(stream.chance(-0.1), usage_error);
  CHECK_THROWS_AS(stream.chance(std::numeric_limits<double>::quiet_NaN()), usage_error);
  std::vector<int> nothing;
  CHECK_NOTHROW(stream.shuffle(nothing));
}

TEST_CASE("exponential draws have the mean and the tail of one", "[core]") {
  random_stream random{1, "exponential"};
  constexpr int draws = 100'000;
  double sum = 0;
  int above_one = 0;
  for (int i = 0; i < draws; ++i) {
    const auto drawn = random.exponential();
    REQUIRE(drawn >= 0);
    sum += drawn;
    if (drawn > 1) ++above_one;
  }
  CHECK(sum / draws > 0.985);  // the deviation is 0.003
  CHECK(sum / draws < 1.015);
  CHECK(above_one > 36'000);  // 36788 of exp(-1)
  CHECK(above_one < 37'600);
}
