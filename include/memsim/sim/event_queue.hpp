// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The events that are still to come.
///
///     event_queue<int> queue;
///     const event_handle timer = queue.push(sim_time{5us}, event_priority{}, 42);
///     if (!queue.reschedule(timer, sim_time{7us})) ...   // it has happened already
///     while (const auto e = queue.pop()) ...             // e->time, e->priority, e->payload
///
/// The order is exact (see event_order.hpp), whatever was cancelled, rescheduled or peeked at in
/// between. Time runs one way: nothing can be pushed before the last event that was popped, which
/// is what lets the queue be faster than a heap (see event_ladder.hpp).
///
/// A queue is a value, if its payloads are: a copy goes its own way from where the original stands,
/// and handles name the same events in both.

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/sim/event_ladder.hpp>
#include <memsim/sim/event_order.hpp>
#include <memsim/sim/time.hpp>

namespace memsim {

/// \tparam Payload  what an event carries: default-constructible and movable
template <class Payload>
class event_queue {
 public:
  /// What comes out.
  struct event {
    sim_time time{};
    event_priority priority{};
    std::uint32_t slot = 0;  ///< that of its handle
    Payload payload{};

    friend bool operator==(const event&, const event&) = default;
  };

  /// \throws usage_error if `at` is before floor()
  event_handle push(sim_time at, event_priority priority, Payload payload) {
    require_not_past(at);
    const detail::event_name name = take_vacancy().with_level(priority.level());
    const std::uint64_t id = ++pushed_ << detail::event_name::priority_bits | priority.level();
    slots_[name.slot()].id = id;
    slots_[name.slot()].payload = std::move(payload);
    insert({ticks(at), name});
    ++size_;
    return event_handle{name.slot(), id};
  }

  /// Takes the next event; nothing if there is none.
  std::optional<event> pop() {
    if (size_ == 0) return std::nullopt;
    return next_until(sim_time::max());
  }

  /// Takes the next event if it is at `until` or before. If it is not, floor() becomes `until`.
  /// \throws usage_error if `until` is before floor()
  std::optional<event> pop_until(sim_time until) {
    require_not_past(until);
    if (size_ != 0) {
      if (auto e = next_until(until)) return e;
    }
    floor_ = until;
    return std::nullopt;
  }

  /// The next event, left where it is. Usually cheap; at worst it looks at every event.
  [[nodiscard]] std::optional<event> peek() const {
    if (size_ == 0) return std::nullopt;
    if (!first_) {
      first_ = *ladder_.first([this](const entry& e) { return is_live(e); });
    }
    const std::uint32_t slot = first_->name.slot();
    return event{time_of(*first_), priority_of(first_->name.level()), slot, slots_[slot].payload};
  }

  /// Whether the event is still to come.
  [[nodiscard]] bool contains(event_handle h) const {
    return h.id() != 0 && h.slot() < slots_.size() && slots_[h.slot()].id == h.id();
  }

  /// Takes the event out.
  /// \return what it carried; nothing if the handle is stale, and then nothing has changed
  std::optional<Payload> cancel(event_handle h) {
    if (!contains(h)) return std::nullopt;
    outdate(h.slot());
    return vacate(name_of(h));
  }

  /// Gives the event another time. Among events of that time and its priority it is now the last;
  /// its handle stays good.
  /// \return false if the handle is stale; then nothing has changed
  /// \throws usage_error if `at` is before floor()
  [[nodiscard]] bool reschedule(event_handle h, sim_time at) {
    require_not_past(at);
    if (!contains(h)) return false;
    outdate(h.slot());
    insert({ticks(at), name_of(h)});
    return true;
  }

  /// Events to come.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// The time of the last event that was popped, or up to which there was none.
  [[nodiscard]] sim_time floor() const { return floor_; }

 private:
  using entry = detail::event_entry;

  // What a handle leads to. It is not moved when events are sorted.
  struct state {
    std::uint64_t id = 0;  // the handle's; 0 if there is no event
    Payload payload{};
  };

  static std::uint64_t ticks(sim_time t) {
    return static_cast<std::uint64_t>(t.time_since_epoch().count());
  }
  static sim_time time_of(const entry& e) {
    return sim_time{sim_duration{static_cast<sim_clock::rep>(e.time)}};
  }
  static event_priority priority_of(unsigned level) {
    return event_priority{static_cast<int>(level) + event_priority::first};
  }
  [[nodiscard]] detail::event_name name_of(event_handle h) const {
    constexpr std::uint64_t priority_mask = (1u << detail::event_name::priority_bits) - 1;
    return {static_cast<unsigned>(h.id() & priority_mask), versions_[h.slot()], h.slot()};
  }

  // A cancel or a reschedule does not look for the entry that the event has in the ladder: it gives
  // the slot another version, by which the entry is known for stale when its turn comes.
  [[nodiscard]] bool is_live(const entry& e) const {
    return stale_ == 0 || versions_[e.name.slot()] == e.name.version();
  }

  void insert(const entry& e) {
    if (first_ && e.before(*first_)) first_ = e;
    ladder_.push(e);
  }

  // With at least one event in the queue.
  std::optional<event> next_until(sim_time until) {
    for (;;) {
      entry e;
      if (ladder_.is_near()) {
        e = ladder_.next_near();
        if (e.time > ticks(until)) return std::nullopt;
        ladder_.pop_near();
      } else if (ladder_.in_line()) {
        e = ladder_.take_in_line();
      } else {
        if (!ladder_.refill(ticks(until))) return std::nullopt;
        fetch_slots();
        continue;
      }
      if (!is_live(e)) {
        --stale_;
        continue;
      }
      floor_ = time_of(e);
      first_.reset();
      return event{floor_, priority_of(e.name.level()), e.name.slot(), vacate(e.name)};
    }
  }

  // Slots lie in no order that the host could guess. They are read ahead of time, not prefetched:
  // processors drop a prefetch for which the TLB has no entry, and here it never has one.
  void fetch_slots() const {
    if (slots_.size() < worth_fetching) return;
    ladder_.visit_soon([this](const entry& e) {
      const volatile std::uint64_t& id = slots_[e.name.slot()].id;
      [[maybe_unused]] const std::uint64_t read = id;
    });
  }

  detail::event_name take_vacancy() {
    if (vacant_ != 0) return vacancies_[--vacant_];
    if (slots_.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw_usage("an event queue holds no more than 2^32 events");
    }
    slots_.emplace_back();
    vacancies_.resize(slots_.size());
    versions_.resize(slots_.size());
    return {0, 0, static_cast<std::uint32_t>(slots_.size() - 1)};
  }

  Payload vacate(detail::event_name name) {
    state& s = slots_[name.slot()];
    s.id = 0;
    vacancies_[vacant_++] = name;
    --size_;
    return std::move(s.payload);
  }

  // Makes the entry that a slot has in the ladder a stale one. Those are never more than the events
  // and a few, so that timers which are set and cancelled over and over need not much more room
  // than those that are set; nor is there ever one that has the version of a later event.
  void outdate(std::uint32_t slot) {
    if (first_ && first_->name.slot() == slot) first_.reset();
    versions_[slot] = detail::event_name::version_after(versions_[slot]);
    if (++stale_ <= size_ + stale_allowed && versions_[slot] != 0) return;
    ladder_.sweep([this](const entry& e) { return is_live(e); });
    stale_ = 0;
  }

  void require_not_past(sim_time t) const {
    if (t < floor_) [[unlikely]] {
      throw_usage("{} is in the past: it is {} already", t, floor_);
    }
  }

  static constexpr std::size_t stale_allowed = 256;
  // So many slots no longer fit the fast caches of any host.
  static constexpr std::size_t worth_fetching = std::size_t{1} << 15;

  detail::event_ladder ladder_;
  std::vector<state> slots_;
  std::vector<detail::event_name> vacancies_;  // slots without an event; has room for all
  std::size_t vacant_ = 0;
  std::vector<std::uint32_t> versions_;  // of each slot
  std::size_t size_ = 0;
  std::size_t stale_ = 0;               // entries of the ladder that are
  std::uint64_t pushed_ = 0;            // events so far
  mutable std::optional<entry> first_;  // where peek() has found it
  sim_time floor_{};
};

}  // namespace memsim
