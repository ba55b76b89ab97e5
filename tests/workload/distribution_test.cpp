// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/distribution.hpp>

#include <array>
#include <utility>

#include <memsim/core/error.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

constexpr std::uint64_t draws = 100'000;

random_stream stream() { return {7, "test"}; }

}  // namespace

TEST_CASE("a constant is itself, and draws nothing", "[workload][distribution]") {
  auto random = stream();
  CHECK(distribution{512}.draw(random) == 512);
  CHECK(distribution{}.draw(random) == 0);
  CHECK(distribution{std::chrono::microseconds{3}}.draw(random) == 3000);
  CHECK(random.below(1'000'000) == stream().below(1'000'000));
}

TEST_CASE("whole numbers between two are all alike", "[workload][distribution]") {
  auto random = stream();
  const auto d = distribution::uniform(3, 7);
  std::array<std::uint64_t, 10> seen{};
  for (std::uint64_t i = 0; i < draws; ++i) ++seen.at(d.draw(random));
  for (std::size_t value = 0; value < seen.size(); ++value) {
    INFO(value);
    if (value < 3 || value > 7) {
      CHECK(seen[value] == 0);
    } else {
      CHECK(seen[value] > draws / 5 - 1000);  // the deviation is 126
      CHECK(seen[value] < draws / 5 + 1000);
    }
  }
  CHECK(distribution::uniform(5, 5).draw(random) == 5);
}

TEST_CASE("octaves are alike, and numbers within one", "[workload][distribution]") {
  auto random = stream();
  const auto d = distribution::log_uniform(2, 17);  // 2 to 3, 4 to 7, 8 to 15, 16 to 17
  std::array<std::uint64_t, 20> seen{};
  for (std::uint64_t i = 0; i < draws; ++i) ++seen.at(d.draw(random));
  const auto between = [&](std::size_t first, std::size_t last) {
    std::uint64_t sum = 0;
    for (auto value = first; value <= last; ++value) sum += seen[value];
    return sum;
  };
  CHECK(between(0, 1) == 0);
  for (const auto& [first, last] : {std::pair{2, 3}, {4, 7}, {8, 15}, {16, 17}}) {
    INFO(first);
    const auto count = between(static_cast<std::size_t>(first), static_cast<std::size_t>(last));
    CHECK(count > draws / 4 - 1000);
    CHECK(count < draws / 4 + 1000);
  }
  CHECK(between(18, 19) == 0);
  CHECK(seen[8] > draws / 32 - 500);
  CHECK(seen[8] < draws / 32 + 500);
}

TEST_CASE("an exponential distribution has its mean and its tail", "[workload][distribution]") {
  auto random = stream();
  const auto d = distribution::exponential(1'000'000);
  double sum = 0;
  std::uint64_t above = 0;
  for (std::uint64_t i = 0; i < draws; ++i) {
    const auto value = d.draw(random);
    sum += static_cast<double>(value);
    if (value > 3'000'000) ++above;
  }
  CHECK(sum / draws > 985'000);  // the deviation is 3162
  CHECK(sum / draws < 1'015'000);
  CHECK(above > 4600);  // exp(-3) of 100000 are 4979
  CHECK(above < 5350);
  CHECK(d.most() == 64'000'000);
}

TEST_CASE("a distribution that there is not is refused", "[workload][distribution]") {
  CHECK_THROWS_WITH(distribution::uniform(2, 1),
                    "uniform from 2 to 1: the first may not be above the second");
  CHECK_THROWS_AS(distribution::log_uniform(0, 1), usage_error);
  CHECK_THROWS_AS(distribution::log_uniform(3, 2), usage_error);
  CHECK_THROWS_AS(distribution::exponential(0), usage_error);
  CHECK_THROWS_AS(distribution::exponential(~std::uint64_t{0}), usage_error);
}

TEST_CASE("distributions as texts", "[workload][distribution]") {
  CHECK(to_text(distribution{512}) == "512");
  CHECK(to_text(distribution::uniform(1, 8)) == "uniform 1 to 8");
  CHECK(to_text(distribution::log_uniform(1, 8)) == "log_uniform 1 to 8");
  CHECK(to_text(distribution::exponential(40)) == "exponential, 40 on average");
}
