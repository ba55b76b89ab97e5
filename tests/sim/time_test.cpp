// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/time.hpp>

#include <type_traits>

#include <memsim/core/error.hpp>
#include <memsim/sim/event_order.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

SCENARIO("simulated time is whole nanoseconds from the beginning", "[sim][time]") {
  const sim_time t = sim_time{} + 3us + 500ns;
  CHECK(t.time_since_epoch().count() == 3'500);
  CHECK(t - sim_time{2us} == 1'500ns);
  CHECK(fmt::format("{}", t) == "3500 ns");
}

SCENARIO("wall time does not convert to simulated time", "[sim][time]") {
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::chrono::steady_clock::time_point, sim_time>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<sim_time, std::chrono::system_clock::time_point>);
}

SCENARIO("a wait that time cannot hold is refused", "[sim][time]") {
  CHECK(detail::time_after(sim_time{2us}, 0ns) == sim_time{2us});
  CHECK(detail::time_after(sim_time{2us}, sim_time::max() - sim_time{2us}) == sim_time::max());
  CHECK_THROWS_WITH(detail::time_after(sim_time{}, -1ns), "a wait of -1 ns is negative");
  CHECK_THROWS_WITH(detail::time_after(sim_time{1us}, sim_time::max() - sim_time{}),
                    ContainsSubstring("after 1000 ns is beyond the end of time"));
}

SCENARIO("there are 64 priorities, the lower number first", "[sim][event_order]") {
  CHECK(event_priority{-1} < event_priority{});
  CHECK(event_priority{-32}.level() == 0);
  CHECK(event_priority{31}.level() == 63);
  CHECK(fmt::format("{}", event_priority{-5}) == "-5");
  CHECK_THROWS_WITH(event_priority{32}, "event priority 32 is outside -32 to 31");
  CHECK_THROWS_WITH(event_priority{-33}, "event priority -33 is outside -32 to 31");
}
