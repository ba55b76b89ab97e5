// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/completion.hpp>

#include <optional>
#include <string>

#include <memsim/sim/spawn.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

SCENARIO("a completion wakes those who wait, in order, behind what is scheduled already",
         "[sim][completion]") {
  simulator sim;
  completion written{sim};
  std::string log;
  const auto waits = [&](char c) -> task<> {
    co_await written.wait();
    log += c;
  };
  for (const char c : {'a', 'b', 'c'}) spawn(sim, waits(c));
  sim.schedule_after(1us, [&] {
    written.set();
    CHECK(written.is_set());
    CHECK(written.waiting() == 0);
    log += '(';
  });
  sim.schedule_after(1us, [&] { log += ')'; });
  sim.run_until(sim_time{999ns});
  CHECK(written.waiting() == 3);
  CHECK(log.empty());
  sim.run();
  CHECK(log == "()abc");
  CHECK(sim.now() == sim_time{1us});
}

SCENARIO("who asks when it is set need not wait, until it is reset", "[sim][completion]") {
  simulator sim;
  completion c{sim};
  c.set();
  c.set();
  int passed = 0;
  const auto asks = [&]() -> task<> {
    co_await c.wait();
    ++passed;
  };
  spawn(sim, asks());
  sim.run();
  CHECK(passed == 1);
  c.reset();
  CHECK_FALSE(c.is_set());
  spawn(sim, asks());
  sim.run();
  CHECK(passed == 1);
  c.set();
  c.reset();
  sim.run();
  CHECK(passed == 2);  // it had been woken
}

SCENARIO("a task that is cancelled leaves the others waiting", "[sim][completion]") {
  simulator sim;
  completion c{sim};
  std::string log;
  const auto waits = [&](char name) -> task<> {
    co_await c.wait();
    log += name;
  };
  spawn(sim, waits('a'));
  auto victim = spawn(sim, waits('b'));
  spawn(sim, waits('c'));
  sim.run();
  victim.cancel();
  CHECK(c.waiting() == 2);
  c.set();
  sim.run();
  CHECK(log == "ac");
}

SCENARIO("who waits for a completion that is destroyed goes on with an error",
         "[sim][completion]") {
  simulator sim;
  std::optional<completion> c{sim};
  spawn(sim, [&]() -> task<> { co_await c->wait(); });
  sim.schedule_after(1us, [&] { c.reset(); });
  CHECK_THROWS_WITH(sim.run(), "a completion was destroyed while a task waited for it");
  CHECK(sim.tasks() == 0);
}
