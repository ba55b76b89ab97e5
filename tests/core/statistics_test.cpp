// SPDX-License-Identifier: Apache-2.0
#include <memsim/core/statistics.hpp>

#include <set>

#include <memsim/core/context.hpp>
#include <memsim/core/format.hpp>
#include <memsim/core/work.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

struct door_counts {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
};

constexpr std::array door_statistics{
    statistic<door_counts>{"door_opened", "events", "times it opened", &door_counts::opened},
    statistic<door_counts>{"door_closed", "events", "times it closed", &door_counts::closed}};

}  // namespace

SCENARIO("a table of statistics gives the values in its order", "[core][statistics]") {
  const auto values = values_of(door_counts{.opened = 3, .closed = 2}, door_statistics);
  REQUIRE(values.size() == 2);
  CHECK(values[0] == statistic_value{"door_opened", "events", "times it opened", 3});
  CHECK(values[1] == statistic_value{"door_closed", "events", "times it closed", 2});
  CHECK(fmt::format("{}", values[0]) == "door_opened 3 events");
}

SCENARIO("the work ledger lists every one of its counters once", "[core][work]") {
  CHECK(work_statistics.size() * sizeof(std::uint64_t) == sizeof(work));
  std::set<std::string_view> names;
  work ledger;
  std::uint64_t next = 1;
  for (const auto& s : work_statistics) {
    CHECK(names.insert(s.name).second);
    CHECK_FALSE(s.unit.empty());
    CHECK_FALSE(s.description.empty());
    CHECK(ledger.*s.member == 0);
    ledger.*s.member = next++;
  }
  // Distinct members: none was written twice.
  std::uint64_t expected = 1;
  for (const auto& value : values_of(ledger)) CHECK(value.value == expected++);
}

SCENARIO("adding two ledgers adds every counter", "[core][work]") {
  GIVEN("two ledgers with every counter set") {
    work a;
    work b;
    for (const auto& s : work_statistics) {
      a.*s.member = 10;
      b.*s.member = 1;
    }
    WHEN("one is added to the other") {
      a += b;
      THEN("every counter is the sum") {
        for (const auto& s : work_statistics) CHECK(a.*s.member == 11);
      }
    }
  }
  CHECK(context{}.done == work{});
}
