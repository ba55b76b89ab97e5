// SPDX-License-Identifier: Apache-2.0
#include <memsim/sim/event_queue.hpp>

#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace memsim;
using namespace std::chrono_literals;

namespace {

constexpr event_priority normal{};

template <class Payload>
std::vector<Payload> drained(event_queue<Payload>& queue) {
  std::vector<Payload> payloads;
  while (auto e = queue.pop()) payloads.push_back(std::move(e->payload));
  return payloads;
}

}  // namespace

SCENARIO("events come out by time, then priority, then first come first served",
         "[sim][event_queue]") {
  event_queue<std::string> queue;
  queue.push(sim_time{9us}, normal, "late");
  queue.push(sim_time{5us}, normal, "first of two");
  queue.push(sim_time{5us}, event_priority{1}, "after them");
  queue.push(sim_time{5us}, normal, "second of two");
  queue.push(sim_time{5us}, event_priority{-1}, "before them");
  queue.push(sim_time{}, event_priority{31}, "at the beginning");
  CHECK(queue.size() == 6);
  CHECK(drained(queue) == std::vector<std::string>{"at the beginning", "before them",
                                                   "first of two", "second of two", "after them",
                                                   "late"});
  CHECK(queue.empty());
  CHECK_FALSE(queue.pop());
}

SCENARIO("an event says when it is and what it has", "[sim][event_queue]") {
  event_queue<int> queue;
  const auto handle = queue.push(sim_time{5us}, event_priority{-3}, 42);
  const auto e = queue.pop();
  REQUIRE(e);
  CHECK(e->time == sim_time{5us});
  CHECK(e->priority == event_priority{-3});
  CHECK(e->slot == handle.slot());
  CHECK(e->payload == 42);
  CHECK(queue.floor() == sim_time{5us});
}

SCENARIO("many events of one time stay in line", "[sim][event_queue]") {
  GIVEN("a thousand events of one nanosecond, in three priorities") {
    event_queue<int> queue;
    std::vector<int> expected;
    for (int priority = -1; priority <= 1; ++priority) {
      for (int i = 0; i < 1000; ++i) {
        if (i % 3 == priority + 1) expected.push_back(i);
      }
    }
    for (int i = 0; i < 1000; ++i) queue.push(sim_time{7ns}, event_priority{i % 3 - 1}, i);
    THEN("they come by priority and then in order") { CHECK(drained(queue) == expected); }
    WHEN("the first adds one at the same time that is more urgent than all") {
      REQUIRE(queue.pop()->payload == 0);
      queue.push(sim_time{7ns}, event_priority{-2}, -1);
      THEN("that one is next") {
        expected[0] = -1;
        CHECK(drained(queue) == expected);
      }
    }
    WHEN("the first adds one at the same time and of the same priority") {
      REQUIRE(queue.pop()->payload == 0);
      queue.push(sim_time{7ns}, event_priority{-1}, 1000);
      THEN("that one is the last of its priority") {
        expected.erase(expected.begin());
        expected.insert(expected.begin() + 333, 1000);
        CHECK(drained(queue) == expected);
      }
    }
  }
}

SCENARIO("nothing can be put into the past", "[sim][event_queue]") {
  GIVEN("a queue whose last event was at 5 us") {
    event_queue<int> queue;
    queue.push(sim_time{5us}, normal, 1);
    const auto timer = queue.push(sim_time{9us}, normal, 2);
    REQUIRE(queue.pop());
    THEN("an earlier event is refused, and nothing has changed") {
      CHECK_THROWS_AS(queue.push(sim_time{4'999ns}, normal, 3), usage_error);
      CHECK_THROWS_WITH(queue.reschedule(timer, sim_time{1us}),
                        "1000 ns is in the past: it is 5000 ns already");
      CHECK_THROWS_AS(queue.pop_until(sim_time{4us}), usage_error);
      CHECK(queue.size() == 1);
      CHECK(queue.pop()->time == sim_time{9us});
    }
    THEN("one at that very time is not") {
      queue.push(sim_time{5us}, normal, 3);
      CHECK(queue.pop()->payload == 3);
    }
  }
  event_queue<int> fresh;
  CHECK_THROWS_WITH(fresh.push(sim_time{-1ns}, normal, 0),
                    "-1 ns is in the past: it is 0 ns already");
}

SCENARIO("a cancelled event does not come, and its handle is stale", "[sim][event_queue]") {
  event_queue<std::string> queue;
  const auto first = queue.push(sim_time{1us}, normal, "first");
  const auto second = queue.push(sim_time{2us}, normal, "second");
  CHECK(queue.contains(first));
  CHECK(queue.cancel(first) == "first");
  CHECK_FALSE(queue.contains(first));
  CHECK_FALSE(queue.cancel(first));
  CHECK_FALSE(queue.reschedule(first, sim_time{3us}));
  CHECK(queue.size() == 1);
  CHECK(drained(queue) == std::vector<std::string>{"second"});
  CHECK_FALSE(queue.contains(second));
  CHECK_FALSE(queue.cancel(second));
  CHECK_FALSE(queue.contains(event_handle{}));
}

SCENARIO("a stale handle does not name the event that took its slot", "[sim][event_queue]") {
  event_queue<int> queue;
  const auto old = queue.push(sim_time{1us}, normal, 1);
  REQUIRE(queue.pop());
  const auto next = queue.push(sim_time{2us}, normal, 2);
  REQUIRE(next.slot() == old.slot());
  CHECK_FALSE(queue.cancel(old));
  CHECK(queue.contains(next));
}

SCENARIO("a rescheduled event keeps its handle and goes behind its new equals",
         "[sim][event_queue]") {
  event_queue<int> queue;
  const auto timer = queue.push(sim_time{1us}, normal, 1);
  queue.push(sim_time{3us}, normal, 2);
  queue.push(sim_time{3us}, event_priority{1}, 3);
  REQUIRE(queue.reschedule(timer, sim_time{3us}));
  CHECK(queue.size() == 3);
  CHECK(queue.contains(timer));
  WHEN("time comes") {
    THEN("it is there once") { CHECK(drained(queue) == std::vector<int>{2, 1, 3}); }
  }
  WHEN("it is put back to where it was, and to now") {
    REQUIRE(queue.reschedule(timer, sim_time{1us}));
    REQUIRE(queue.reschedule(timer, sim_time{}));
    CHECK(drained(queue) == std::vector<int>{1, 2, 3});
  }
  WHEN("it is cancelled") {
    CHECK(queue.cancel(timer) == 1);
    CHECK(drained(queue) == std::vector<int>{2, 3});
  }
}

SCENARIO("the name of an event holds its parts apart", "[sim][event_queue]") {
  using memsim::detail::event_name;
  constexpr std::uint32_t last_version = (1u << event_name::version_bits) - 1;
  const event_name name{63, last_version, 0xffff'fffe};
  CHECK(name.level() == 63);
  CHECK(name.version() == last_version);
  CHECK(name.slot() == 0xffff'fffe);
  CHECK(name.with_level(0) == event_name{0, last_version, 0xffff'fffe});
  CHECK(event_name::version_after(3) == 4);
  CHECK(event_name::version_after(last_version) == 0);
}

SCENARIO("timers that are set and cancelled over and over leave nothing behind",
         "[sim][event_queue]") {
  GIVEN("events near, in line, in buckets and far off") {
    event_queue<int> queue;
    std::vector<int> expected;
    for (int i = 0; i < 1'000; ++i) {
      queue.push(sim_time{i / 100 * 1us}, normal, i);
      if (i >= 150) expected.push_back(i);
    }
    for (int i = 0; i < 150; ++i) REQUIRE(queue.pop());
    queue.push(sim_time{1h}, normal, 1'000);
    expected.push_back(1'000);
    WHEN("a hundred thousand timers come to nothing") {
      for (int i = 0; i < 100'000; ++i) {
        const auto timer = queue.push(sim_time{1us + i % 2'000 * 10ns}, normal, -1);
        REQUIRE(timer.slot() <= 1'001);
        REQUIRE(queue.cancel(timer));
      }
      THEN("the events are as they were") { CHECK(drained(queue) == expected); }
    }
  }
}

SCENARIO("looking at the next event moves nothing", "[sim][event_queue]") {
  event_queue<int> queue;
  CHECK_FALSE(queue.peek());
  const auto far = queue.push(sim_time{1h}, normal, 1);
  CHECK(queue.peek()->payload == 1);
  queue.push(sim_time{1us}, normal, 2);
  CHECK(queue.peek()->payload == 2);
  queue.push(sim_time{1us}, event_priority{-1}, 3);
  CHECK(queue.peek()->payload == 3);
  CHECK(queue.peek()->time == sim_time{1us});
  CHECK(queue.pop()->payload == 3);
  CHECK(queue.pop()->payload == 2);
  CHECK(queue.peek()->payload == 1);
  CHECK(queue.cancel(far) == 1);
  CHECK_FALSE(queue.peek());
}

SCENARIO("popping up to a time leaves what is later, and time at that", "[sim][event_queue]") {
  event_queue<int> queue;
  for (int i = 1; i <= 200; ++i) queue.push(sim_time{i * 1us}, normal, i);
  for (int i = 1; i <= 100; ++i) REQUIRE(queue.pop_until(sim_time{100us})->payload == i);
  CHECK_FALSE(queue.pop_until(sim_time{100'999ns}));
  CHECK(queue.floor() == sim_time{100'999ns});
  CHECK_THROWS_AS(queue.push(sim_time{100'998ns}, normal, 0), usage_error);
  queue.push(sim_time{100'999ns}, normal, 0);
  CHECK(queue.pop()->payload == 0);
  CHECK(queue.pop()->payload == 101);
}

SCENARIO("a line that is not due yet may be overtaken", "[sim][event_queue]") {
  GIVEN("a hundred events at 1000 ns, and one at 10 us") {
    event_queue<int> queue;
    queue.push(sim_time{1ns}, normal, -1);
    for (int i = 0; i < 100; ++i) queue.push(sim_time{1000ns}, normal, i);
    queue.push(sim_time{10us}, normal, 100);
    REQUIRE(queue.pop());
    WHEN("time is let go on to 999 ns, and an event comes before them") {
      CHECK_FALSE(queue.pop_until(sim_time{999ns}));
      queue.push(sim_time{999ns}, normal, -2);
      THEN("it is the next") {
        CHECK(queue.pop()->payload == -2);
        CHECK(queue.pop()->payload == 0);
      }
    }
  }
}

SCENARIO("the end of time can be scheduled", "[sim][event_queue]") {
  event_queue<int> queue;
  for (int i = 0; i < 100; ++i) queue.push(sim_time::max(), normal, i);
  for (int i = 0; i < 100; ++i) queue.push(sim_time{i * 1ns}, normal, i);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) REQUIRE(queue.pop()->payload == i);
  }
  queue.push(sim_time::max(), normal, 7);
  CHECK(queue.pop()->payload == 7);
}

SCENARIO("a copy of a queue goes its own way", "[sim][event_queue]") {
  event_queue<int> queue;
  event_handle timer;
  for (int i = 0; i < 500; ++i) timer = queue.push(sim_time{i % 50 * 1us}, normal, i);
  for (int i = 0; i < 100; ++i) REQUIRE(queue.pop());
  event_queue<int> fork = queue;
  CHECK(fork.cancel(timer) == 499);
  CHECK(queue.contains(timer));
  auto left = drained(queue);
  auto fork_left = drained(fork);
  REQUIRE(left.size() == 400);
  CHECK(left.back() == 499);
  left.pop_back();
  CHECK(fork_left == left);
}

SCENARIO("a payload may be something that only moves", "[sim][event_queue]") {
  event_queue<std::unique_ptr<int>> queue;
  queue.push(sim_time{2us}, normal, std::make_unique<int>(2));
  const auto timer = queue.push(sim_time{1us}, normal, std::make_unique<int>(1));
  const auto payload = queue.cancel(timer);
  REQUIRE(payload);
  CHECK(**payload == 1);
  CHECK(*queue.pop()->payload == 2);
}
