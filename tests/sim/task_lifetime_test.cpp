// SPDX-License-Identifier: Apache-2.0
// Whose a coroutine is, from when it is made until it is destroyed.
#include <memory>
#include <optional>
#include <stdexcept>

#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

/// Parameters live as long as the coroutine: the count of the owners tells when it is gone.
using witness = std::shared_ptr<int>;

task<> waits(witness /*here*/, sim_duration wait) { co_await delay(wait); }

task<> fails(witness /*here*/) {
  co_await delay(1us);
  throw std::runtime_error{"no luck"};
}

}  // namespace

SCENARIO("a task that is awaited ends with who awaits it, whatever named it", "[sim][task]") {
  const witness alive = std::make_shared<int>();
  std::optional<simulator> sim{std::in_place};
  auto named = waits(alive, 1ms);
  auto failing = fails(alive);
  auto other = waits(alive, 1h);
  REQUIRE(alive.use_count() == 4);
  WHEN("that returns") {
    spawn(*sim, [&]() -> task<> { co_await std::move(named); });
    sim->run();
    CHECK(sim->tasks() == 0);
    CHECK(alive.use_count() == 3);
  }
  WHEN("that goes on") {
    spawn(*sim, [&]() -> task<> {
      co_await std::move(named);
      CHECK(alive.use_count() == 3);
      co_await std::move(other);
      CHECK(alive.use_count() == 2);
    });
    sim->run();
    CHECK(sim->now() == sim_time{1h + 1ms});
  }
  WHEN("that is cancelled while it waits") {
    auto awaiting = spawn(*sim, [&]() -> task<> { co_await std::move(named); });
    sim->run_for(1us);
    CHECK(awaiting.cancel());
    CHECK(alive.use_count() == 3);
    CHECK(sim->events() == 0);
    sim->run();
  }
  WHEN("that is cancelled deeper down") {
    auto awaiting = spawn(*sim, [&]() -> task<> {
      co_await [](task<>& inner) -> task<> { co_await std::move(inner); }(named);
    });
    sim->run_for(1us);
    CHECK(awaiting.cancel());
    CHECK(alive.use_count() == 3);
    CHECK(sim->events() == 0);
  }
  WHEN("that fails with it") {
    spawn(*sim, [&]() -> task<> { co_await std::move(failing); });
    CHECK_THROWS_WITH(sim->run(), "no luck");
    CHECK(alive.use_count() == 3);
  }
  WHEN("that sees it fail, and awaits another") {
    spawn(*sim, [&]() -> task<> {
      try {
        co_await std::move(failing);
      } catch (const std::runtime_error&) {
        CHECK(alive.use_count() == 3);
      }
      co_await std::move(other);
    });
    sim->run();
    CHECK(alive.use_count() == 2);
  }
  WHEN("that goes with the simulator") {
    spawn(*sim, [&]() -> task<> { co_await std::move(other); });
    sim->run_for(1us);
    sim.reset();
    CHECK(alive.use_count() == 3);
  }
}

SCENARIO("a task that was used or moved from is refused", "[sim][task]") {
  // NOLINTBEGIN(bugprone-use-after-move): what is refused
  constexpr auto refusal =
      "a task can be awaited or spawned only once, and not after it was moved from";
  simulator sim;
  const witness alive = std::make_shared<int>();
  auto one = waits(alive, 1us);
  auto two = waits(alive, 2us);
  const auto awaits = [&](task<>& t) -> task<> { co_await std::move(t); };
  WHEN("it was spawned") {
    spawn(sim, std::move(one));
    CHECK_THROWS_WITH(spawn(sim, std::move(one)), refusal);
  }
  WHEN("it was awaited") {
    spawn(sim, awaits(one));
    sim.run();
    spawn(sim, awaits(one));
    CHECK_THROWS_WITH(sim.run(), refusal);
    CHECK_THROWS_WITH(spawn(sim, std::move(one)), refusal);
  }
  WHEN("it was awaited, and then moved") {
    spawn(sim, awaits(one));
    sim.run();
    task<> moved = std::move(one);
    CHECK_THROWS_WITH(spawn(sim, std::move(moved)), refusal);
    two = std::move(moved);
    CHECK_THROWS_WITH(spawn(sim, std::move(two)), refusal);
    CHECK(alive.use_count() == 1);
  }
  WHEN("it was given to another variable, which had a task") {
    two = std::move(one);
    CHECK(alive.use_count() == 2);  // what was there is gone
    CHECK_THROWS_WITH(spawn(sim, std::move(one)), refusal);
    spawn(sim, std::move(two));
    sim.run();
    CHECK(sim.now() == sim_time{1us});
  }
  // NOLINTEND(bugprone-use-after-move)
}

SCENARIO("a variable whose task was used takes another", "[sim][task]") {
  simulator sim;
  const witness alive = std::make_shared<int>();
  spawn(sim, [&]() -> task<> {
    auto t = waits(alive, 1us);
    for (int i = 0; i < 3; ++i) {
      co_await std::move(t);
      t = waits(alive, 1us);
    }
  });
  sim.run();
  CHECK(sim.now() == sim_time{3us});
  CHECK(alive.use_count() == 1);
}
