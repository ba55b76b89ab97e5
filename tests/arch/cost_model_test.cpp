// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/cost_model.hpp>

#include <limits>

#include <memsim/core/error.hpp>
#include <memsim/core/random.hpp>

#include "catch.hpp"

using namespace memsim;
using std::chrono::nanoseconds;

namespace {

cost_model odd_prices() {
  cost_model costs{"odd"};
  for (std::size_t i = 0; i < work_statistics.size(); ++i) {
    costs.set(work_statistics[i].name, picoseconds{333 + 7 * static_cast<std::int64_t>(i)}, "test");
  }
  return costs;
}

work random_work(random_stream& random) {
  work w;
  for (const auto& s : work_statistics) w.*s.member = random.below(1000);
  return w;
}

}  // namespace

SCENARIO("every counter of the ledger is priced by itself", "[arch][cost_model]") {
  for (std::size_t i = 0; i < work_statistics.size(); ++i) {
    cost_model costs{"one"};
    costs.set(work_statistics[i].name, picoseconds{7}, "test");
    work done;
    for (const auto& s : work_statistics) done.*s.member = 1000;
    done.*work_statistics[i].member = 3;
    CHECK(costs.price_of(done) == picoseconds{21});
    CHECK(costs.of(work_statistics[i].name) == price{picoseconds{7}, "test"});
  }
}

SCENARIO("one ledger can have two prices", "[arch][cost_model]") {
  const work done{.pages_zeroed = 10, .ipis = 3};
  CHECK(default_costs().price_of(done) == nanoseconds{10 * 200 + 3 * 200});
  CHECK(no_costs().price_of(done) == picoseconds{0});
}

SCENARIO("prices add up", "[arch][cost_model]") {
  random_stream random{1, "test"};
  const auto costs = odd_prices();
  work all;
  picoseconds sum{};
  cost_meter meter{costs};
  nanoseconds charged{};
  for (int i = 0; i < 1000; ++i) {
    const auto part = random_work(random);
    all += part;
    sum += costs.price_of(part);
    charged += meter.charge(all);
    REQUIRE(costs.price_of(all) == sum);
    REQUIRE(charged == std::chrono::floor<nanoseconds>(sum));
  }
  CHECK(meter.total() == charged);

  THEN("however often they are charged") {
    cost_meter once{costs};
    CHECK(once.charge(all) == charged);
    CHECK(once.charge(all) == nanoseconds{0});
  }
}

SCENARIO("all default prices are set and say where they come from", "[arch][cost_model]") {
  for (const auto& s : work_statistics) {
    CAPTURE(s.name);
    const auto& [each, source] = default_costs().of(s.name);
    CHECK((each.count() > 0) != s.name.starts_with("remote_"));  // the time of other CPUs
    CHECK_FALSE(source.empty());
  }
}

SCENARIO("a bill has a line for each kind of work", "[arch][cost_model]") {
  const work done{.pages_zeroed = 10, .list_removals = 2};
  CHECK(to_text(default_costs(), done) ==
        "            10 pages_zeroed                  2.000 us\n"
        "             2 list_removals                 0.040 us\n"
        "               together                      2.040 us\n");
}

SCENARIO("a cost model refuses nonsense", "[arch][cost_model]") {
  cost_model costs{"bad"};
  CHECK_THROWS_WITH(
      costs.set("page_zeroed", picoseconds{1}, ""),
      ContainsSubstring("no work called \"page_zeroed\"") && ContainsSubstring(" pages_zeroed "));
  CHECK_THROWS_WITH(costs.set("ipis", picoseconds{-1}, ""), ContainsSubstring("ipis: -1 ps"));
  CHECK_THROWS_AS(costs.of("nothing"), usage_error);
  costs.set("ipis", picoseconds{std::numeric_limits<std::int64_t>::max()}, "");
  CHECK(costs.price_of({.ipis = 1}).count() == std::numeric_limits<std::int64_t>::max());
  CHECK_THROWS_WITH(costs.price_of({.ipis = 2}), ContainsSubstring("\"bad\" is above"));
  cost_meter meter{default_costs()};
  static_cast<void>(meter.charge({.ipis = 5}));
  CHECK_THROWS_WITH(meter.charge({.ipis = 4}), ContainsSubstring("must only grow"));
}
