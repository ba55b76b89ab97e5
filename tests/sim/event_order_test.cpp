// SPDX-License-Identifier: Apache-2.0
// The event queue beside one that is right by construction: a sorted set of (time, priority,
// sequence number).
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/sim/event_queue.hpp>

#include "catch.hpp"

using namespace memsim;

namespace {

using number = std::uint64_t;

class reference_queue {
 public:
  void push(sim_time at, event_priority priority, number payload) {
    const key k{at, priority, ++sequence_};
    order_.emplace(k, payload);
    places_[payload] = k;
  }
  void erase(number payload) {
    order_.erase(places_.at(payload));
    places_.erase(payload);
  }
  void move(number payload, sim_time at) {
    const event_priority priority = std::get<1>(places_.at(payload));
    erase(payload);
    push(at, priority, payload);
  }
  [[nodiscard]] bool contains(number payload) const { return places_.contains(payload); }
  [[nodiscard]] bool empty() const { return order_.empty(); }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] std::tuple<sim_time, event_priority, number> first() const {
    const auto& [k, payload] = *order_.begin();
    return {std::get<0>(k), std::get<1>(k), payload};
  }

 private:
  using key = std::tuple<sim_time, event_priority, number>;

  std::map<key, number> order_;
  std::map<number, key> places_;
  number sequence_ = 0;
};

std::tuple<sim_time, event_priority, number> parts(const event_queue<number>::event& e) {
  return {e.time, e.priority, e.payload};
}

/// How a run is mixed.
struct mix {
  std::uint64_t seed;
  std::uint64_t pending;  // about so many events
  std::uint64_t spread;   // ns that a new event is off, at most
  std::uint64_t grain;    // ns that all times are multiples of
  unsigned outliers;      // one of so many is a million times as far off
};

class side_by_side {
 public:
  explicit side_by_side(const mix& m) : mix_{m}, random_{m.seed, "event_order_test"} {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    while (!expected_.empty()) pop();
    CHECK_FALSE(queue_.pop());
  }

 private:
  void step() {
    const auto what = random_.below(100);
    if (what < 10) {
      cancel();
    } else if (what < 20) {
      reschedule();
    } else if (what < 25) {
      peek();
    } else if (what < 30) {
      pop_until();
    } else if (what == 30 && random_.below(1000) == 0) {
      queue_ = event_queue<number>{queue_};
    } else if (expected_.size() < random_.below(2 * mix_.pending) + 1) {
      push();
    } else {
      pop();
    }
    REQUIRE(queue_.size() == expected_.size());
  }

  sim_time some_time() {
    auto off = random_.below(mix_.spread / mix_.grain + 1) * mix_.grain;
    if (random_.below(mix_.outliers) == 0) off *= 1'000'000;
    return queue_.floor() + sim_duration{static_cast<sim_clock::rep>(off)};
  }

  void push() {
    const auto at = some_time();
    const event_priority priority{random_.chance(0.8) ? 0
                                                      : static_cast<int>(random_.below(64)) - 32};
    const number payload = handles_.size();
    handles_.push_back(queue_.push(at, priority, payload));
    expected_.push(at, priority, payload);
  }

  void pop() {
    const auto next = queue_.pop();
    REQUIRE(next);
    REQUIRE(parts(*next) == expected_.first());
    expected_.erase(next->payload);
  }

  void pop_until() {
    const auto until = some_time();
    const auto next = queue_.pop_until(until);
    if (expected_.empty() || std::get<0>(expected_.first()) > until) {
      REQUIRE_FALSE(next);
      REQUIRE(queue_.floor() == until);
    } else {
      REQUIRE(next);
      REQUIRE(parts(*next) == expected_.first());
      expected_.erase(next->payload);
    }
  }

  void peek() {
    const auto next = queue_.peek();
    REQUIRE(next.has_value() == !expected_.empty());
    if (next) REQUIRE(parts(*next) == expected_.first());
  }

  // One of the events of late, come already or not.
  number some_event() {
    const auto recent = std::min<number>(handles_.size(), 4 * mix_.pending);
    return handles_.size() - 1 - random_.below(recent);
  }

  void cancel() {
    if (handles_.empty()) return;
    const number event = some_event();
    const auto payload = queue_.cancel(handles_[event]);
    REQUIRE(payload.has_value() == expected_.contains(event));
    if (payload) {
      REQUIRE(*payload == event);
      expected_.erase(event);
    }
  }

  void reschedule() {
    if (handles_.empty()) return;
    const number event = some_event();
    const auto at = some_time();
    REQUIRE(queue_.reschedule(handles_[event], at) == expected_.contains(event));
    if (expected_.contains(event)) expected_.move(event, at);
  }

  mix mix_;
  random_stream random_;
  event_queue<number> queue_;
  reference_queue expected_;
  std::vector<event_handle> handles_;
};

}  // namespace

SCENARIO("a million random events are in the order of a sorted set", "[sim][event_order]") {
  const auto m = GENERATE(mix{1, 10'000, 1'000'000, 1, 1'000'000},        // apart
                          mix{2, 10'000, 1'000'000, 100'000, 1'000'000},  // tied
                          mix{3, 3'000, 10, 1, 1'000'000},                // nearly all tied
                          mix{4, 1'000, 5'000, 1, 10},                    // near and very far
                          mix{5, 20, 1'000, 1, 100},                      // few
                          mix{6, 2, 1'000, 10, 2});                       // hardly any
  CAPTURE(m.seed);
  side_by_side{m}.run(250'000);
}
