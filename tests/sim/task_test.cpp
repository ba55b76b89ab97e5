// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/task.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <memsim/sim/completion.hpp>
#include <memsim/sim/spawn.hpp>

#include "catch.hpp"
#include "sim/destruction_log.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

task<int> answer(sim_duration after) {
  co_await delay(after);
  co_return 42;
}

task<> fails_after(sim_duration after) {
  co_await delay(after);
  throw std::runtime_error{"no luck"};
}

// Waits at the bottom of three coroutines, each with a local.
task<> nested(std::vector<int>& log, int depth) {  // NOLINT(misc-no-recursion)
  const destruction_log local{log, depth};
  if (depth == 0) {
    co_await delay(1h);
  } else {
    co_await nested(log, depth - 1);
  }
}

}  // namespace

SCENARIO("a delay takes simulated time", "[sim][task]") {
  simulator sim;
  std::vector<std::int64_t> times;
  const auto timed = spawn(sim, [&]() -> task<> {
    times.push_back(sim.now().time_since_epoch().count());
    co_await delay(5us);
    times.push_back(sim.now().time_since_epoch().count());
    co_await delay_until(sim_time{7us});
    times.push_back(sim.now().time_since_epoch().count());
  });
  CHECK(times.empty());
  CHECK(sim.tasks() == 1);
  sim.run();
  CHECK(times == std::vector<std::int64_t>{0, 5'000, 7'000});
  CHECK(timed.done());
  CHECK(sim.tasks() == 0);
}

SCENARIO("tasks that are ready at the same time go on in the order in which they became so",
         "[sim][task]") {
  simulator sim;
  std::string log;
  const auto writer = [&](char c, event_priority priority) -> task<> {
    co_await delay(1us, priority);
    log += c;
    co_await delay(0ns);
    log += c;
  };
  for (const char c : {'a', 'b', 'c'}) spawn(sim, writer(c, event_priority{}));
  spawn(sim, writer('!', event_priority{-1}));
  sim.run();
  CHECK(log == "!abc!abc");
}

SCENARIO("a spawned task begins with its priority, and keeps none of it", "[sim][task]") {
  simulator sim;
  std::string log;
  const auto writer = [&](char c) -> task<> {
    log += c;
    co_await delay(0ns);
    log += c;
  };
  spawn(sim, writer('b'));
  spawn(sim, writer('a'), event_priority{-1});
  spawn(sim, [&] { return writer('!'); }, event_priority{-2});
  sim.run();
  CHECK(log == "!ab!ab");
}

SCENARIO("a task awaits another and gets its result", "[sim][task]") {
  simulator sim;
  const auto outer = spawn(sim, []() -> task<std::string> {
    const int first = co_await answer(3us);
    auto second = answer(4us);
    co_return fmt::format("{} {}", first, co_await std::move(second));
  });
  sim.run();
  CHECK(outer.result() == "42 42");
  CHECK(sim.now() == sim_time{7us});
}

SCENARIO("a result may be something that only moves", "[sim][task]") {
  simulator sim;
  const auto outer = spawn(sim, []() -> task<std::unique_ptr<int>> {
    const auto inner = [](int n) -> task<std::unique_ptr<int>> {
      co_await delay(1us);
      co_return std::make_unique<int>(n);
    };
    auto p = co_await inner(7);
    ++*p;
    co_return p;
  });
  sim.run();
  CHECK(*outer.result() == 8);
}

SCENARIO("a thousand tasks in a chain end one after the other", "[sim][task]") {
  struct chain {
    static task<int> link(int n) {
      if (n == 0) {
        co_await delay(1us);
        co_return 0;
      }
      co_return 1 + co_await link(n - 1);
    }
  };
  simulator sim;
  const auto top = spawn(sim, chain::link(1'000));
  sim.run();
  CHECK(top.result() == 1'000);
}

SCENARIO("an exception comes out where the task is awaited", "[sim][task]") {
  simulator sim;
  std::string caught;
  spawn(sim, [&]() -> task<> {
    try {
      co_await fails_after(1us);
    } catch (const std::runtime_error& e) {
      caught = e.what();
    }
    co_await delay(1us);
  });
  sim.run();
  CHECK(caught == "no luck");
  CHECK(sim.now() == sim_time{2us});
}

SCENARIO("an exception that nobody awaits comes out of run()", "[sim][task]") {
  simulator sim;
  const auto failing = spawn(sim, fails_after(1us));
  const auto other = spawn(sim, answer(2us));
  CHECK_THROWS_WITH(sim.run(), "no luck");
  CHECK(failing.done());
  CHECK(failing.failed());
  CHECK_THROWS_WITH(failing.result(), "no luck");
  sim.run();
  CHECK(other.result() == 42);
}

SCENARIO("an exception before the first wait comes out as well", "[sim][task]") {
  simulator sim;
  spawn(sim, []() -> task<> {
    throw std::runtime_error{"at once"};
    co_return;
  });
  CHECK_THROWS_WITH(sim.run(), "at once");
}

SCENARIO("joining a spawned task waits for its end", "[sim][task]") {
  simulator sim;
  std::string log;
  auto work = spawn(sim, answer(5us));
  const auto joiner = [&](char c) -> task<> {
    log += fmt::format("{}{} ", c, co_await work.join());
  };
  spawn(sim, joiner('a'));
  spawn(sim, joiner('b'));
  sim.run();
  CHECK(log == "a42 b42 ");
  CHECK(sim.now() == sim_time{5us});
  spawn(sim, joiner('c'));
  sim.run();
  CHECK(log == "a42 b42 c42 ");
}

SCENARIO("joining needs no handle that lives", "[sim][task]") {
  simulator sim;
  const auto outer =
      spawn(sim, [&]() -> task<int> { co_return co_await spawn(sim, answer(5us)).join(); });
  sim.run();
  CHECK(outer.result() == 42);
}

SCENARIO("who joins a task sees its result where it is, and copies it only from a handle that goes",
         "[sim][task]") {
  using only_moves = std::unique_ptr<int>;
  simulator sim;
  const auto work = spawn(sim, []() -> task<only_moves> {
    co_await delay(5us);
    co_return std::make_unique<int>(42);
  });
  std::string log;
  const auto joiner = [&]() -> task<> {
    const only_moves& result = co_await work.join();
    log += fmt::format("{} {} ", *result, &result == &work.result());
  };
  spawn(sim, joiner);
  spawn(sim, joiner);
  sim.run();
  spawn(sim, joiner);  // after the end
  sim.run();
  CHECK(log == "42 true 42 true 42 true ");

  spawn(sim, [&]() -> task<> {
    const int& result = co_await spawn(sim, answer(1us)).join();
    co_await delay(1us);
    log = std::to_string(result);
  });
  sim.run();
  CHECK(log == "42");
}

SCENARIO("an exception that somebody awaits does not come out of run()", "[sim][task]") {
  simulator sim;
  std::string caught;
  const auto failing = spawn(sim, fails_after(1us));
  spawn(sim, [&]() -> task<> {
    try {
      co_await failing.join();
    } catch (const std::runtime_error& e) {
      caught = e.what();
    }
  });
  CHECK_NOTHROW(sim.run());
  CHECK(caught == "no luck");
}

SCENARIO("a cancelled task is destroyed where it waits, its children first", "[sim][task]") {
  simulator sim;
  std::vector<int> log;
  auto victim = spawn(sim, nested(log, 3));
  sim.run_for(1us);
  CHECK(sim.events() == 1);
  CHECK(victim.cancel());
  CHECK(log == std::vector<int>{0, 1, 2, 3});
  CHECK(sim.events() == 0);
  CHECK(victim.done());
  CHECK(victim.cancelled());
  CHECK_FALSE(victim.cancel());
  CHECK_THROWS_AS(victim.result(), task_cancelled);
  sim.run();
  CHECK(sim.now() == sim_time{1us});
}

SCENARIO("a task can be cancelled before it begins", "[sim][task]") {
  simulator sim;
  std::vector<int> log;
  auto victim = spawn(sim, nested(log, 0));
  CHECK(victim.cancel());
  CHECK(log.empty());
  CHECK(sim.events() == 0);
}

SCENARIO("who waits for a task that is cancelled is told so", "[sim][task]") {
  simulator sim;
  auto victim = spawn(sim, answer(1h));
  const auto waits = spawn(sim, [&]() -> task<> { co_await victim.join(); });
  sim.schedule_after(1us, [&] { victim.cancel(); });
  CHECK_THROWS_AS(sim.run(), task_cancelled);
  CHECK(waits.failed());
  CHECK(sim.now() == sim_time{1us});
}

SCENARIO("who waits for a task can be cancelled, and the others go on", "[sim][task]") {
  simulator sim;
  std::string log;
  const auto work = spawn(sim, answer(2us));
  const auto joiner = [&](char c) -> task<> {
    co_await work.join();
    log += c;
  };
  spawn(sim, joiner('a'));
  auto victim = spawn(sim, joiner('b'));
  spawn(sim, joiner('c'));
  WHEN("it is cancelled while it waits") {
    sim.run_for(1us);
    victim.cancel();
    sim.run();
    CHECK(log == "ac");
  }
  WHEN("it is cancelled when it has been woken") {
    sim.run_for(2us - 1ns);
    CHECK(sim.step());  // the end of the work
    REQUIRE(work.done());
    victim.cancel();
    sim.run();
    CHECK(log == "ac");
  }
}

SCENARIO("a task that cancels itself goes on until it waits", "[sim][task]") {
  simulator sim;
  std::vector<int> log;
  std::optional<task_handle<>> self;
  self = spawn(sim, [&]() -> task<> {
    const destruction_log local{log, 3};
    CHECK(self->cancel());
    CHECK_FALSE(self->done());
    log.push_back(1);
    co_await delay(1us);
    log.push_back(2);
  });
  sim.run();
  CHECK(log == std::vector<int>{1, 3});
  CHECK(self->cancelled());
  CHECK(sim.now() == sim_time{});
}

SCENARIO("a task may cancel another that waits for it", "[sim][task]") {
  simulator sim;
  auto first = spawn(sim, answer(1us));
  auto second = spawn(sim, [&]() -> task<int> { co_return co_await first.join(); });
  sim.schedule_after(500ns, [&] { second.cancel(); });
  sim.run();
  CHECK(first.result() == 42);
  CHECK(second.cancelled());
}

SCENARIO("a simulator that is dropped half-way destroys its tasks, the latest first",
         "[sim][task]") {
  std::vector<int> log;
  std::optional<task_handle<>> kept;
  {
    simulator sim;
    completion never{sim};
    const auto waits = [&](int n) -> task<> {
      const destruction_log local{log, n};
      co_await never.wait();
    };
    for (int i = 0; i < 3; ++i) kept = spawn(sim, waits(i));
    spawn(sim, nested(log, 0));
    sim.run_for(1us);
    CHECK(sim.tasks() == 4);
    spawn(sim, nested(log, 0));  // does not even begin
    // The completion goes first, and has told them; they do not get to hear it.
  }
  CHECK(log == std::vector<int>{0, 2, 1, 0});
  CHECK(kept->cancelled());
  CHECK_FALSE(kept->cancel());
}

SCENARIO("a destructor may cancel, schedule and spawn when the simulator goes", "[sim][task]") {
  struct busy {
    simulator* sim;
    task_handle<int>* other;
    busy(simulator& s, task_handle<int>& o) : sim{&s}, other{&o} {}
    busy(const busy&) = delete;
    busy& operator=(const busy&) = delete;
    ~busy() {
      other->cancel();
      sim->schedule_after(1us, [] {});
      spawn(*sim, answer(1us));
    }
  };
  std::optional<task_handle<int>> victim;
  {
    simulator sim;
    victim = spawn(sim, answer(1h));
    spawn(sim, [&]() -> task<> {
      const busy local{sim, *victim};
      co_await delay(1h);
    });
    sim.run_for(1us);
  }
  CHECK(victim->cancelled());
}

SCENARIO("misuse of a task is refused", "[sim][task]") {
  simulator sim;
  GIVEN("a task that asks for what it cannot get") {
    const auto early = spawn(sim, answer(1us));
    CHECK_THROWS_WITH(early.result(), "a task has no result before it has ended");
    spawn(sim, []() -> task<> { co_await delay(-1ns); });
    CHECK_THROWS_WITH(sim.run(), "a wait of -1 ns is negative");
    sim.run_until(sim_time{2us});
    spawn(sim, []() -> task<> { co_await delay_until(sim_time{1us}); });
    CHECK_THROWS_WITH(sim.run(), "1000 ns is in the past: it is 2000 ns already");
    std::optional<task_handle<>> self;
    self = spawn(sim, [&]() -> task<> { co_await self->join(); });
    CHECK_THROWS_WITH(sim.run(), "a task cannot wait for its own end");
  }
  GIVEN("two simulators") {
    simulator other;
    completion elsewhere{other};
    spawn(sim, [&]() -> task<> { co_await elsewhere.wait(); });
    CHECK_THROWS_WITH(sim.run(),
                      "a task cannot wait for what belongs to another simulator than its own");
  }
}

SCENARIO("a task that is never used is destroyed", "[sim][task]") {
  std::vector<int> log;
  {
    const auto unused = nested(log, 2);
    auto replaced = nested(log, 1);
    replaced = nested(log, 0);
  }
  CHECK(log.empty());  // none of them had begun
}
