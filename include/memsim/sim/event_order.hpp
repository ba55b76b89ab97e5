// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// In which order events happen: by time, then by priority, then first come, first served.
///
/// The order is total, so a simulation has one history. Priority is for what must be settled before
/// or after everything else that happens at the same nanosecond: a sample that is taken when all
/// else is done, say. Among equals it is the order of scheduling.

#include <compare>
#include <cstdint>
#include <string>

#include <memsim/core/format.hpp>
#include <memsim/sim/time.hpp>

namespace memsim {

/// A rank among events of the same time. The lower number goes first, as with `nice`.
class event_priority {
 public:
  static constexpr int first = -32;
  static constexpr int last = 31;

  constexpr event_priority() = default;  ///< 0, what nearly everything has
  /// \throws usage_error unless first <= value <= last
  constexpr explicit event_priority(int value) : value_{static_cast<std::int8_t>(value)} {
    if (value < first || value > last) detail_refuse(value);
  }

  [[nodiscard]] constexpr int value() const { return value_; }
  /// 0 for the first, 63 for the last.
  [[nodiscard]] constexpr unsigned level() const { return static_cast<unsigned>(value_ - first); }
  friend constexpr auto operator<=>(event_priority, event_priority) = default;

 private:
  [[noreturn]] static void detail_refuse(int value);

  std::int8_t value_ = 0;
};

[[nodiscard]] std::string to_text(event_priority);  ///< `-5`

/// Names one scheduled event of one queue, for good: once the event has happened or is cancelled,
/// its handle is stale and never names another one. A default handle has always been stale.
class event_handle {
 public:
  constexpr event_handle() = default;
  constexpr event_handle(std::uint32_t slot, std::uint64_t id) : id_{id}, slot_{slot} {}

  /// A small number that no other event has while this one is to come: an index for side tables.
  [[nodiscard]] constexpr std::uint32_t slot() const { return slot_; }
  /// Never used for another event; greater for one that was pushed later.
  [[nodiscard]] constexpr std::uint64_t id() const { return id_; }
  friend constexpr bool operator==(event_handle, event_handle) = default;

 private:
  std::uint64_t id_ = 0;
  std::uint32_t slot_ = 0;
};

}  // namespace memsim
