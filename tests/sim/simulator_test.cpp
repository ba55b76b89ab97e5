// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/simulator.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

SCENARIO("callbacks are called when it is time, in order", "[sim][simulator]") {
  simulator sim;
  std::string log;
  const auto note = [&](char c) {
    return
        [&log, &sim, c] { log += fmt::format("{}@{} ", c, sim.now().time_since_epoch().count()); };
  };
  sim.schedule_after(9ns, note('d'));
  sim.schedule_at(sim_time{5ns}, note('b'));
  sim.schedule_at(sim_time{5ns}, note('c'));
  sim.schedule_at(sim_time{5ns}, note('a'), event_priority{-1});
  CHECK(sim.now() == sim_time{});
  CHECK(sim.events() == 4);
  sim.run();
  CHECK(log == "a@5 b@5 c@5 d@9 ");
  CHECK(sim.now() == sim_time{9ns});
  CHECK(sim.events() == 0);
}

SCENARIO("a callback may schedule, also for now", "[sim][simulator]") {
  simulator sim;
  std::vector<int> log;
  sim.schedule_after(1us, [&] {
    sim.schedule_after(0ns, [&] { log.push_back(3); });
    sim.schedule_at(sim.now(), [&] { log.push_back(2); }, event_priority{-1});
    log.push_back(1);
  });
  sim.run();
  CHECK(log == std::vector<int>{1, 2, 3});
  CHECK(sim.now() == sim_time{1us});
}

SCENARIO("steps are taken one by one", "[sim][simulator]") {
  simulator sim;
  int happened = 0;
  sim.schedule_after(1us, [&] { ++happened; });
  sim.schedule_after(1us, [&] { ++happened; });
  CHECK(sim.step());
  CHECK(happened == 1);
  CHECK(sim.step());
  CHECK_FALSE(sim.step());
  CHECK(happened == 2);
}

SCENARIO("running up to a time includes it, and leaves the clock there", "[sim][simulator]") {
  simulator sim;
  std::vector<int> log;
  for (int i = 1; i <= 4; ++i) {
    sim.schedule_at(sim_time{i * 1us}, [&log, i] { log.push_back(i); });
  }
  sim.run_until(sim_time{2us});
  CHECK(log == std::vector<int>{1, 2});
  sim.run_for(500ns);
  CHECK(sim.now() == sim_time{2'500ns});
  sim.schedule_after(0ns, [&log] { log.push_back(0); });
  sim.run_until(sim_time{3us});
  CHECK(log == std::vector<int>{1, 2, 0, 3});
  sim.run();
  CHECK(log.back() == 4);
  sim.run_until(sim_time{1h});
  CHECK(sim.now() == sim_time{1h});
}

SCENARIO("what is cancelled does not happen, what is rescheduled happens then",
         "[sim][simulator]") {
  simulator sim;
  std::vector<int> log;
  auto captured = std::make_shared<int>(0);
  const auto first = sim.schedule_after(1us, [&log, captured] { log.push_back(1); });
  const auto second = sim.schedule_after(2us, [&] { log.push_back(2); });
  sim.schedule_after(3us, [&] { log.push_back(3); });
  CHECK(captured.use_count() == 2);
  CHECK(sim.cancel(first));
  CHECK(captured.use_count() == 1);
  CHECK_FALSE(sim.cancel(first));
  CHECK(sim.is_scheduled(second));
  CHECK(sim.reschedule(second, sim_time{3us}));
  CHECK(sim.events_awaited() == 2);
  sim.run();
  CHECK(log == std::vector<int>{3, 2});
  CHECK_FALSE(sim.is_scheduled(second));
  CHECK_FALSE(sim.reschedule(second, sim_time{9us}));
}

SCENARIO("an exception of a callback comes out of run(), and the simulation goes on",
         "[sim][simulator]") {
  simulator sim;
  bool later = false;
  sim.schedule_after(1us, [] { throw std::runtime_error{"out of paper"}; });
  sim.schedule_after(2us, [&] { later = true; });
  CHECK_THROWS_WITH(sim.run(), "out of paper");
  CHECK(sim.now() == sim_time{1us});
  CHECK_FALSE(later);
  sim.run();
  CHECK(later);
}

SCENARIO("a simulator is running while an event happens", "[sim][simulator]") {
  simulator sim;
  simulator other;
  std::string log;
  const auto note = [&] { log += sim.is_running() ? 'y' : 'n'; };
  note();
  sim.schedule_after(1us, note);
  spawn(sim, [&]() -> task<> {
    note();
    co_await delay(2us);
    note();
    throw std::runtime_error{"out of paper"};
  });
  note();
  other.schedule_after(1us, note);
  CHECK(other.step());
  note();
  CHECK_THROWS_WITH(sim.run(), "out of paper");
  note();
  sim.run_for(1us);
  note();
  CHECK(log == "nnnnyyynn");
}

SCENARIO("misuse of a simulator is refused", "[sim][simulator]") {
  simulator sim;
  sim.run_until(sim_time{5us});
  CHECK_THROWS_WITH(sim.schedule_at(sim_time{4us}, [] {}),
                    "4000 ns is in the past: it is 5000 ns already");
  CHECK_THROWS_WITH(sim.schedule_after(-1ns, [] {}), "a wait of -1 ns is negative");
  CHECK_THROWS_WITH(sim.schedule_after(1ns, nullptr), "an event has no action");
  CHECK_THROWS_AS(sim.run_until(sim_time{4us}), usage_error);
  CHECK_THROWS_AS(sim.run_for(-1ns), usage_error);
  CHECK(sim.events() == 0);

  sim.schedule_after(1us, [&] { sim.run(); });
  CHECK_THROWS_WITH(sim.run(), "an event cannot run the simulator that it is part of");
  sim.schedule_after(1us, [&] { sim.step(); });
  CHECK_THROWS_AS(sim.run(), usage_error);
  CHECK_FALSE(sim.step());
}

SCENARIO("simulators share nothing", "[sim][simulator]") {
  simulator a;
  simulator b;
  int ran = 0;
  a.schedule_after(1us, [&] {
    b.schedule_after(7us, [&] { ++ran; });
    b.run();
  });
  a.run();
  CHECK(ran == 1);
  CHECK(a.now() == sim_time{1us});
  CHECK(b.now() == sim_time{7us});
}

SCENARIO("callbacks that were never called are destroyed in their order", "[sim][simulator]") {
  struct noted {
    std::vector<int>* log;
    int number;
    noted(std::vector<int>& to, int n) : log{&to}, number{n} {}
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;
    ~noted() { log->push_back(number); }
  };
  std::vector<int> log;
  {
    simulator sim;
    for (const int at : {3, 1, 2}) {
      sim.schedule_after(at * 1us, [n = std::make_unique<noted>(log, at)] {});
    }
  }
  CHECK(log == std::vector<int>{1, 2, 3});
}
