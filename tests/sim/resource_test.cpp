// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/resource.hpp>

#include <optional>
#include <string>
#include <vector>

#include <memsim/sim/spawn.hpp>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

struct workshop {
  simulator sim;
  resource lock{sim, "lock"};
  std::string log{};

  // Comes, waits for its turn, works.
  task<> worker(char name, sim_duration comes, sim_duration works) {
    co_await delay(comes);
    const auto held = co_await lock.acquire();
    log += fmt::format("{}{} ", name, sim.now().time_since_epoch() / 1us);
    co_await delay(works);
  }
  task_handle<> add(char name, sim_duration comes, sim_duration works) {
    return spawn(sim, worker(name, comes, works));
  }
};

}  // namespace

SCENARIO("a lock is held by one task at a time, first come first served", "[sim][resource]") {
  workshop w;
  w.add('a', 0us, 10us);
  w.add('b', 1us, 10us);
  w.add('c', 2us, 10us);
  w.add('d', 10us, 10us);  // asks just before it is handed over
  w.sim.run_until(sim_time{5us});
  CHECK(w.lock.held() == 1);
  CHECK(w.lock.waiting() == 2);
  w.sim.run();
  CHECK(w.log == "a0 b10 c20 d30 ");
  CHECK(w.lock.held() == 0);
  CHECK(w.lock.counts() == resource_counts{.acquisitions = 4,
                                           .contended = 3,
                                           .total_wait_ns = 47'000,
                                           .max_wait_ns = 20'000,
                                           .max_queue = 3});
}

SCENARIO("nobody gets in between a lock's holder and who waits for it", "[sim][resource]") {
  simulator sim;
  resource lock{sim, "lock"};
  std::string log;
  auto held = lock.try_acquire();
  CHECK(held.holds());
  spawn(sim, [&]() -> task<> {
    const auto turn = co_await lock.acquire();
    log += 'a';
  });
  sim.run();
  sim.schedule_after(1us, [&] {
    held.release();
    CHECK_FALSE(held.holds());
    CHECK_FALSE(lock.try_acquire().holds());
    CHECK(lock.held() == 1);
  });
  sim.run();
  CHECK(log == "a");
  CHECK(lock.try_acquire().holds());
  CHECK(lock.held() == 0);
}

SCENARIO("a resource has as many units as it is given", "[sim][resource]") {
  simulator sim;
  resource slots{sim, "slots", 3};
  std::vector<std::int64_t> begins;
  for (int i = 0; i < 7; ++i) {
    spawn(sim, [&]() -> task<> {
      const auto slot = co_await slots.acquire();
      begins.push_back(sim.now().time_since_epoch() / 1us);
      co_await delay(1us);
    });
  }
  sim.run();
  CHECK(begins == std::vector<std::int64_t>{0, 0, 0, 1, 1, 1, 2});
  CHECK(slots.counts().contended == 4);
  CHECK(slots.counts().max_queue == 4);
}

SCENARIO("cancelling a task gives back what it holds and leaves the queue intact",
         "[sim][resource]") {
  workshop w;
  auto a = w.add('a', 0us, 10us);
  auto b = w.add('b', 1us, 10us);
  w.add('c', 2us, 10us);
  w.sim.run_until(sim_time{5us});
  WHEN("the one that waits first is cancelled") {
    b.cancel();
    CHECK(w.lock.waiting() == 1);
    w.sim.run();
    CHECK(w.log == "a0 c10 ");
    CHECK(w.lock.counts().acquisitions == 2);
  }
  WHEN("the one that holds it is cancelled") {
    a.cancel();
    w.sim.run();
    CHECK(w.log == "a0 b5 c15 ");
  }
  WHEN("the one to which it has just been given is cancelled") {
    a.cancel();
    CHECK(w.lock.waiting() == 1);
    b.cancel();
    CHECK(w.lock.waiting() == 0);
    w.sim.run();
    CHECK(w.log == "a0 c5 ");
  }
  CHECK(w.lock.held() == 0);
}

SCENARIO("who is cancelled before it goes on is counted in the length of the queue alone",
         "[sim][resource]") {
  workshop w;
  auto a = w.add('a', 0us, 10us);
  auto b = w.add('b', 1us, 10us);
  auto c = w.add('c', 2us, 10us);
  w.sim.run_until(sim_time{5us});
  WHEN("they wait") {
    b.cancel();
    c.cancel();
    w.sim.run();
    CHECK(w.lock.counts() == resource_counts{.acquisitions = 1, .max_queue = 2});
  }
  WHEN("they have just been given it") {
    a.cancel();
    b.cancel();
    CHECK(w.lock.held() == 1);
    CHECK(w.lock.counts() == resource_counts{.acquisitions = 1, .max_queue = 2});
    w.sim.run();
    CHECK(w.log == "a0 c5 ");
    CHECK(w.lock.counts() == resource_counts{.acquisitions = 2,
                                             .contended = 1,
                                             .total_wait_ns = 3'000,
                                             .max_wait_ns = 3'000,
                                             .max_queue = 2});
  }
}

SCENARIO("a guard can be moved", "[sim][resource]") {
  simulator sim;
  resource lock{sim, "lock", 2};
  auto first = lock.try_acquire();
  auto second = lock.try_acquire();
  resource_guard moved{std::move(first)};
  CHECK_FALSE(first.holds());  // NOLINT(bugprone-use-after-move): says so
  CHECK(lock.held() == 2);
  second = std::move(moved);  // what it held is given back
  CHECK(second.holds());
  CHECK(lock.held() == 1);
  second = {};
  CHECK(lock.held() == 0);
}

SCENARIO("a resource may be destroyed before those who use it", "[sim][resource]") {
  simulator sim;
  std::optional<resource> lock{std::in_place, sim, "the zone's lock"};
  auto outside = lock->try_acquire();
  std::string log;
  const auto uses = [&](char name) -> task<> {
    try {
      const auto held = co_await lock->acquire();
      log += name;
      co_await delay(1h);
      log += held.holds() ? "!" : ".";
    } catch (const usage_error& e) {
      log += fmt::format("{}:{} ", name, e.what());
    }
  };
  spawn(sim, uses('a'));
  spawn(sim, uses('b'));
  sim.run();
  WHEN("they wait") {
    lock.reset();
    sim.run();
    CHECK(log ==
          "a:the zone's lock was destroyed while a task waited for it "
          "b:the zone's lock was destroyed while a task waited for it ");
  }
  WHEN("one has just been given it") {
    outside.release();
    lock.reset();
    sim.run();
    CHECK(log ==
          "a:the zone's lock was destroyed while a task waited for it "
          "b:the zone's lock was destroyed while a task waited for it ");
  }
  WHEN("one holds it") {
    outside.release();
    sim.run_for(1us);
    lock.reset();
    sim.run();
    CHECK(log == "ab:the zone's lock was destroyed while a task waited for it .");
  }
  CHECK_FALSE(outside.holds());
}

SCENARIO("a simulator that is dropped half-way leaves a resource without users",
         "[sim][resource]") {
  std::optional<simulator> sim{std::in_place};
  resource lock{*sim, "lock"};
  for (int i = 0; i < 3; ++i) {
    spawn(*sim, [&]() -> task<> {
      const auto held = co_await lock.acquire();
      co_await delay(1us);
    });
  }
  sim->run_for(1us);
  CHECK(lock.held() == 1);
  CHECK(lock.waiting() == 1);
  sim.reset();
  CHECK(lock.held() == 0);
  CHECK(lock.waiting() == 0);
}

SCENARIO("misuse of a resource is refused", "[sim][resource]") {
  simulator sim;
  CHECK_THROWS_WITH((resource{sim, "lock", 0}), "the capacity of lock is 0; it must be at least 1");
  simulator other;
  resource elsewhere{other, "lock"};
  spawn(sim, [&]() -> task<> { const auto held = co_await elsewhere.acquire(); });
  CHECK_THROWS_WITH(sim.run(),
                    "a task cannot wait for what belongs to another simulator than its own");
  CHECK(elsewhere.counts() == resource_counts{});
}

SCENARIO("the statistics of a resource explain themselves", "[sim][resource]") {
  simulator sim;
  resource lock{sim, "lock"};
  CHECK(lock.try_acquire().holds());
  const auto values = lock.statistics();
  REQUIRE(values.size() * sizeof(std::uint64_t) == sizeof(resource_counts));
  CHECK(fmt::format("{}", values[0]) == "resource_acquisitions 1 events");
  CHECK(values[3].unit == "ns");
}
