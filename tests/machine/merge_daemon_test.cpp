// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine/merge_daemon.hpp>

#include <memsim/sim/spawn.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

constexpr pfn first_hole{1 << 18};

// With a hole in each of the eight 2 MiB ranges of [1 GiB, 1 GiB + 16 MiB) that was filled again.
machine split_machine() {
  machine m{{.memory = memory_map::x86_64(4_GiB), .cpus = 2}};
  for (unsigned i = 0; i < 8; ++i) {
    const pfn hole = first_hole + i * frames_of(page_size::m2);
    REQUIRE(m.map().change(m.cpu(1), hole, 1, make_invalid));
    REQUIRE(m.map().change(m.cpu(1), hole, 1, make_default));
  }
  static_cast<void>(m.take_charge(1));
  return m;
}

}  // namespace

SCENARIO("a daemon gives a machine its large pages back, at its pace", "[machine][merge_daemon]") {
  machine m = split_machine();
  const auto small = m.map().mapped().k4;
  const auto splits = m.map().counts();
  REQUIRE(splits.m2_splits == 8);
  merge_daemon daemon{m, {.period = 1s, .budget = 512, .largest = page_size::m2}};

  THEN("nothing happens before its first period is over") {
    m.sim().run_for(999ms);
    CHECK(daemon.rounds() == 0);
    CHECK(m.map().counts() == splits);
  }
  THEN("a round looks at as much as its budget allows, and the next goes on there") {
    m.sim().run_for(1s);  // the first gigabyte, of which the kernel mapped 2 MiB small at boot
    CHECK(daemon.rounds() == 1);
    CHECK(daemon.collapsed() == 1);
    m.sim().run_for(1s);
    CHECK(daemon.rounds() == 2);
    CHECK(daemon.collapsed() == 9);
    CHECK(m.map().mapped().k4 == small - 9 * 512);
  }
  THEN("its CPU pays, and is busy meanwhile") {
    m.sim().run_until(sim_time{2s});
    CHECK(m.cpu(1).done.mappings_collapsed == 0);
    CHECK(m.cpu(0).done.mappings_collapsed == 9);
    const auto price = m.costs().price_of(m.done(0));
    REQUIRE(price > 2ns);
    CHECK(m.cpu_time(0).held() == 1);
    m.sim().run_for(std::chrono::ceil<sim_duration>(price));
    CHECK(m.cpu_time(0).held() == 0);
    CHECK(m.take_charge(0) == 0ns);
  }
  THEN("it waits for its turn") {
    auto use = [](machine& on) -> task<> {
      const auto turn = co_await on.cpu_time(0).acquire();
      co_await delay(5s);
    };
    const auto busy = spawn(m.sim(), use(m));
    m.sim().run_until(sim_time{4s});
    CHECK(daemon.collapsed() == 0);
    CHECK(daemon.rounds() == 1);
    m.sim().run_until(sim_time{5500ms});
    CHECK(daemon.collapsed() == 1);
    CHECK(daemon.skipped() == 4);  // those of 2 s to 5 s
  }
  THEN("a simulation does not go on for it") {
    m.sim().run();
    CHECK(m.sim().now() == sim_time{});
  }
  THEN("it can be stopped") {
    m.sim().run_for(1s);
    daemon.stop();
    m.sim().run_for(10s);
    CHECK(daemon.rounds() == 1);
  }
}

SCENARIO("a daemon is told what is allowed", "[machine][merge_daemon]") {
  machine m{{.memory = memory_map::x86_64(4_GiB)}};
  CHECK_THROWS_WITH((merge_daemon{m, {.cpu = 1}}), ContainsSubstring("CPU 1"));
  CHECK_THROWS_WITH((merge_daemon{m, {.period = 0s}}), ContainsSubstring("period"));
  CHECK_THROWS_WITH((merge_daemon{m, {.largest = page_size::k4}}), ContainsSubstring("2M and 1G"));
}
