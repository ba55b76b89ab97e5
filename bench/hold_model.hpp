// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The hold model: take the next event, schedule another one some time after it, over and over.
///
/// It is how event queues have been compared since Jones (CACM 29:4, 1986): the number of events
/// stays what it is, and how far off the new one is says how hard it is to sort. Those increments
/// are drawn beforehand, so that the harness costs a load and an addition.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <string_view>
#include <vector>

#include <memsim/core/random.hpp>
#include <memsim/sim/event_queue.hpp>

namespace memsim::bench {

/// How far off a new event is, in ns, about a millisecond on average.
enum class increments : std::uint8_t {
  exponential,  ///< as of independent arrivals
  uniform,      ///< 0 to 2 ms
  bimodal,      ///< nine of ten within 0.1 ms, one within 20 ms
  tied,         ///< a whole number of milliseconds, 1 to 8: only 8 times are ever in the queue
};

inline constexpr std::array increment_names{std::string_view{"exp"}, std::string_view{"uniform"},
                                            std::string_view{"bimodal"}, std::string_view{"tied"}};

inline std::uint32_t draw(increments kind, random_stream& random) {
  constexpr std::uint32_t mean = 1'000'000;
  switch (kind) {
    case increments::exponential:
      return static_cast<std::uint32_t>(mean * -std::log(1 - random.unit()));
    case increments::uniform: return static_cast<std::uint32_t>(random.below(2 * mean));
    case increments::bimodal:
      return static_cast<std::uint32_t>(random.below(random.chance(0.9) ? mean / 10 : 20 * mean));
    case increments::tied: return static_cast<std::uint32_t>(mean * (1 + random.below(8)));
  }
  return 0;
}

/// memsim's queue.
class memsim_queue {
 public:
  void push(std::uint64_t time, std::uint64_t payload) {
    queue_.push(sim_time{sim_duration{static_cast<std::int64_t>(time)}}, event_priority{}, payload);
  }
  /// \return the time; the payload goes to `payload`
  std::uint64_t pop(std::uint64_t& payload) {
    const auto e = queue_.pop();
    payload = e->payload;
    return static_cast<std::uint64_t>(e->time.time_since_epoch().count());
  }

 private:
  event_queue<std::uint64_t> queue_;
};

/// What one writes without it: the same order and payload in three words. It can neither cancel nor
/// reschedule.
class std_priority_queue {
 public:
  void push(std::uint64_t time, std::uint64_t payload) {
    queue_.push({time, rank(event_priority{}), payload});
  }
  std::uint64_t pop(std::uint64_t& payload) {
    const item next = queue_.top();
    queue_.pop();
    payload = next.payload;
    return next.time;
  }

 private:
  struct item {
    std::uint64_t time;
    std::uint64_t rank;
    std::uint64_t payload;

    bool operator>(const item& other) const {
      return time != other.time ? time > other.time : rank > other.rank;
    }
  };

  // Priority and sequence number in a word that compares as both.
  std::uint64_t rank(event_priority priority) {
    return std::uint64_t{priority.level()} << 58 | ++sequence_;
  }

  std::priority_queue<item, std::vector<item>, std::greater<>> queue_;
  std::uint64_t sequence_ = 0;
};

template <class Queue>
class hold_model {
 public:
  hold_model(std::size_t pending, increments kind) {
    random_stream random{1, "hold_model"};
    for (auto& ahead : ahead_) ahead = draw(kind, random);
    for (std::size_t i = 0; i < pending; ++i) queue_.push(ahead_[i % draws], i);
    run(4 * pending);  // forgets how it was filled
  }

  [[gnu::noinline]] void run(std::uint64_t holds) {
    std::uint64_t payload = 0;
    for (; holds != 0; --holds) {
      const std::uint64_t now = queue_.pop(payload);
      check_ += now ^ payload;
      queue_.push(now + ahead_[done_++ % draws], payload);
    }
  }

  /// The same for every queue that is in order.
  [[nodiscard]] std::uint64_t check() const { return check_; }

 private:
  static constexpr std::size_t draws = 1 << 18;

  Queue queue_;
  std::vector<std::uint32_t> ahead_ = std::vector<std::uint32_t>(draws);
  std::uint64_t done_ = 0;
  std::uint64_t check_ = 0;
};

}  // namespace memsim::bench
