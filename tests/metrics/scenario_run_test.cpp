// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/scenario_run.hpp>

#include <set>
#include <string>

#include <memsim/metrics/fragmentation.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

scenario small_scenario() {
  return {.machine = {.memory = memory_map::x86_64(128_MiB), .cpus = 2, .profile = linux_6_1},
          .ageing = ageing_plan{.recipe = "order_mixed_churn", .turnover = 1}};
}

template <class T>
T number(const scenario_result& result, std::string_view name) {
  return std::get<T>(result.at(name).value);
}

}  // namespace

SCENARIO("a scenario's row says what was run and everything that came out", "[metrics]") {
  const auto result = run_scenario(small_scenario());
  REQUIRE(result);
  const auto aged = make_aged_machine(small_scenario());
  REQUIRE(aged);
  const auto now = measure(aged->memory()).machine;
  const auto free = total_by_order(now.free_blocks);

  THEN("it names recipe, profile, seed and digest") {
    CHECK(number<std::string>(*result, "recipe") == "order_mixed_churn");
    CHECK(number<std::string>(*result, "profile") == "linux_6_1");
    CHECK(number<std::uint64_t>(*result, "seed") == 1);
    CHECK(number<std::string>(*result, "digest") == to_text(aged->state_digest()));
  }
  THEN("its metrics are those of the machine") {
    CHECK(number<std::uint64_t>(*result, "free") == now.frames.free);
    CHECK(number<std::uint64_t>(*result, "free_blocks_order_3") == free[3]);
    CHECK(number<double>(*result, "unusable_order_9") == unusable_fraction(free, order{9}));
    CHECK(number<double>(*result, "fragmentation_order_10") ==
          *fragmentation_fraction(free, order{10}));
    CHECK(number<std::uint64_t>(*result, "pageblocks_unmovable") == now.pageblocks[0]);
    CHECK(number<std::uint64_t>(*result, "mixed_pageblocks") == now.mixed.both);
    CHECK(number<std::uint64_t>(*result, "2MiB_free_if_moved") == now.large[0].free_if_moved);
    CHECK(number<double>(*result, "2MiB_allocatable") ==
          share_of(now.large[0].free_now, order{9}, now.frames.memory));
    CHECK(number<std::uint64_t>(*result, "longest_free_run") == now.runs.longest);
    CHECK(number<double>(*result, "free_in_runs_of_2_to_5") == now.runs.share_in(5));
    CHECK(number<std::uint64_t>(*result, "ageing_user_pages") > 30'000);
    CHECK(number<std::uint64_t>(*result, "fallbacks") == aged->memory().counts().fallbacks);
    CHECK(number<std::uint64_t>(*result, "blocks_split") == aged->done().blocks_split);
  }
  THEN("every value has a name of its own and a sentence, every number but the seed a unit") {
    std::set<std::string> names;
    for (const auto& v : result->values) {
      CAPTURE(v.name);
      CHECK(names.insert(v.name).second);
      CHECK_FALSE(v.description.empty());
      CHECK((v.unit.empty() == std::holds_alternative<std::string>(v.value) || v.name == "seed"));
    }
  }
  THEN("what is not there is misuse") {
    CHECK_THROWS_AS(result->at("no_such"), usage_error);
    CHECK(to_text(result->at("recipe")) == "recipe order_mixed_churn");
  }
}

TEST_CASE("a machine that cannot be is an error of the scenario", "[metrics]") {
  auto s = small_scenario();
  s.machine.movable_zone = (1_GiB).frames();
  const auto result = run_scenario(s);
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == errc::inconsistent);
}
