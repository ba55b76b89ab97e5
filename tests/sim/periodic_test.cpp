// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/periodic.hpp>

#include <optional>
#include <stdexcept>
#include <vector>

#include <memsim/sim/resource.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

/// Notes when rounds begin, in us.
struct diary {
  simulator sim;
  std::vector<std::int64_t> begins{};

  void note() { begins.push_back(sim.now().time_since_epoch() / 1us); }
};

}  // namespace

SCENARIO("a daemon does its round once a period, from the first period on", "[sim][periodic]") {
  diary d;
  d.sim.run_until(sim_time{3us});
  periodic daemon{d.sim, 10us, [&] { d.note(); }};
  d.sim.run_until(sim_time{33us});
  CHECK(d.begins == std::vector<std::int64_t>{13, 23, 33});
  CHECK(daemon.rounds() == 3);
  CHECK(daemon.skipped() == 0);
}

SCENARIO("a sleeping daemon does not keep the simulation going", "[sim][periodic]") {
  diary d;
  periodic daemon{d.sim, 10us, [&] { d.note(); }};
  d.sim.run();
  CHECK(d.begins.empty());
  CHECK(d.sim.now() == sim_time{});
  d.sim.schedule_after(25us, [] {});
  d.sim.run();
  CHECK(d.begins == std::vector<std::int64_t>{10, 20});
  CHECK(d.sim.now() == sim_time{25us});
  CHECK(d.sim.events() == 1);
  CHECK(d.sim.events_awaited() == 0);
}

SCENARIO("a round that has begun is finished before the simulation ends", "[sim][periodic]") {
  diary d;
  resource lock{d.sim, "lock"};
  std::vector<std::int64_t> got;
  periodic daemon{d.sim, 10us, [&]() -> task<> {
                    const auto held = co_await lock.acquire();
                    co_await delay(7us);
                  }};
  spawn(d.sim, [&]() -> task<> {
    co_await delay(12us);
    const auto held = co_await lock.acquire();
    got.push_back(d.sim.now().time_since_epoch() / 1us);
  });
  d.sim.run();
  CHECK(got == std::vector<std::int64_t>{17});
}

SCENARIO("rounds that take long neither drift nor overlap", "[sim][periodic]") {
  diary d;
  sim_duration takes = 4us;
  periodic daemon{d.sim, 10us, [&]() -> task<> {
                    d.note();
                    co_await delay(takes);
                  }};
  d.sim.run_until(sim_time{30us});
  CHECK(d.begins == std::vector<std::int64_t>{10, 20, 30});
  takes = 25us;
  d.sim.run_until(sim_time{100us});
  CHECK(d.begins == std::vector<std::int64_t>{10, 20, 30, 40, 70, 100});
  CHECK(daemon.skipped() == 4);
}

SCENARIO("a round that ends when the next is due is followed by it", "[sim][periodic]") {
  diary d;
  periodic daemon{d.sim, 10us, [&]() -> task<> {
                    d.note();
                    co_await delay(10us);
                  }};
  d.sim.run_until(sim_time{35us});
  CHECK(d.begins == std::vector<std::int64_t>{10, 20, 30});
  CHECK(daemon.skipped() == 0);
}

SCENARIO("a daemon can be stopped", "[sim][periodic]") {
  diary d;
  WHEN("from outside") {
    periodic daemon{d.sim, 10us, [&] { d.note(); }};
    d.sim.run_until(sim_time{10us});
    CHECK_FALSE(daemon.stopped());
    daemon.stop();
    CHECK(daemon.stopped());
    CHECK(d.sim.events() == 0);
    d.sim.run_until(sim_time{100us});
    CHECK(d.begins == std::vector<std::int64_t>{10});
  }
  WHEN("by its round") {
    std::optional<periodic> daemon;
    daemon.emplace(d.sim, 10us, [&] {
      d.note();
      daemon->stop();
    });
    d.sim.run_until(sim_time{100us});
    CHECK(d.begins == std::vector<std::int64_t>{10});
  }
  WHEN("in the middle of a round, which comes to its end") {
    bool ended = false;
    periodic daemon{d.sim, 10us, [&]() -> task<> {
                      co_await delay(5us);
                      ended = true;
                    }};
    d.sim.run_until(sim_time{12us});
    daemon.stop();
    d.sim.run_until(sim_time{100us});
    CHECK(ended);
    CHECK(daemon.rounds() == 1);
  }
}

SCENARIO("a daemon that is destroyed takes its round along", "[sim][periodic]") {
  diary d;
  bool ended = false;
  {
    periodic daemon{d.sim, 10us, [&]() -> task<> {
                      co_await delay(5us);
                      ended = true;
                    }};
    d.sim.run_until(sim_time{12us});
    CHECK(d.sim.tasks() == 1);
  }
  CHECK(d.sim.tasks() == 0);
  CHECK(d.sim.events() == 0);
  d.sim.run_until(sim_time{100us});
  CHECK_FALSE(ended);
}

SCENARIO("a round that fails comes out of run(), and the next is due as ever", "[sim][periodic]") {
  diary d;
  WHEN("it is a function") {
    periodic daemon{d.sim, 10us, [&] {
                      d.note();
                      throw std::runtime_error{"no paper"};
                    }};
    CHECK_THROWS_WITH(d.sim.run_until(sim_time{100us}), "no paper");
    CHECK_THROWS_WITH(d.sim.run_until(sim_time{100us}), "no paper");
  }
  WHEN("it is a task") {
    periodic daemon{d.sim, 10us, [&]() -> task<> {
                      d.note();
                      co_await delay(1us);
                      throw std::runtime_error{"no paper"};
                    }};
    CHECK_THROWS_WITH(d.sim.run_until(sim_time{100us}), "no paper");
    CHECK_THROWS_WITH(d.sim.run_until(sim_time{100us}), "no paper");
  }
  CHECK(d.begins == std::vector<std::int64_t>{10, 20});
}

SCENARIO("a daemon keeps its priority", "[sim][periodic]") {
  diary d;
  std::vector<int> log;
  periodic last{d.sim, 10us, [&] { log.push_back(2); }, event_priority{1}};
  periodic daemon{d.sim, 10us, [&] { log.push_back(1); }};
  d.sim.run_until(sim_time{20us});
  CHECK(log == std::vector<int>{1, 2, 1, 2});
}

SCENARIO("a round that is a task begins with the daemon's priority", "[sim][periodic]") {
  diary d;
  std::vector<int> log;
  const auto round = [&](int number) {
    return [&log, number]() -> task<> {
      log.push_back(number);
      co_return;
    };
  };
  for (const int at : {10, 20}) d.sim.schedule_at(sim_time{at * 1us}, [&] { log.push_back(2); });
  periodic last{d.sim, 10us, round(3), event_priority{1}};
  periodic first{d.sim, 10us, round(1), event_priority{-10}};
  d.sim.run_until(sim_time{20us});
  CHECK(log == std::vector<int>{1, 2, 3, 1, 2, 3});
}

SCENARIO("a daemon ends with time", "[sim][periodic]") {
  diary d;
  d.sim.run_until(sim_time::max() - 15us);
  periodic daemon{d.sim, 10us, [&] { d.note(); }};
  d.sim.run_until(sim_time::max());
  CHECK(daemon.rounds() == 1);
}

SCENARIO("a daemon without a period is refused", "[sim][periodic]") {
  simulator sim;
  CHECK_THROWS_WITH((periodic{sim, 0ns, [] {}}), "a period of 0 ns; it must be at least 1 ns");
}
