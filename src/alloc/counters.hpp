// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The lagging counters of a zone (A13).

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

/// Adds a change to a CPU's pending difference and, if that then exceeds the threshold, all of it
/// to the global counter. True if the global counter changed.
inline bool change_lagging(std::int64_t& global, std::int32_t& pending, std::uint32_t threshold,
                           std::int64_t change) {
  const std::int64_t sum = pending + change;
  const auto limit = static_cast<std::int64_t>(threshold);
  if (sum > limit || sum < -limit) {
    global += sum;
    pending = 0;
    return true;
  }
  pending = static_cast<std::int32_t>(sum);
  return false;
}

/// The same change so many times over, in closed form.
/// \return whether the global counter changed
inline bool change_lagging(std::int64_t& global, std::int32_t& pending, std::uint32_t threshold,
                           std::int64_t change, std::uint64_t times) {
  if (times == 0) return false;
  // The first may find anything pending; after it that is within the threshold.
  const bool at_first = change_lagging(global, pending, threshold, change);
  --times;
  const std::int64_t step = change < 0 ? -change : change;
  const std::int64_t limit = threshold;
  const auto steps_beyond_limit = [&](std::int64_t from) {
    return static_cast<std::uint64_t>((limit - from) / step + 1);
  };
  const std::uint64_t until_crossed = steps_beyond_limit(change < 0 ? -pending : pending);
  if (times < until_crossed) {
    pending += static_cast<std::int32_t>(change * static_cast<std::int64_t>(times));
    return at_first;
  }
  const std::uint64_t rest = (times - until_crossed) % steps_beyond_limit(0);
  global += pending + change * static_cast<std::int64_t>(times - rest);
  pending = static_cast<std::int32_t>(change * static_cast<std::int64_t>(rest));
  return true;
}

inline void allocator_core::change_free(actor& a, std::int64_t pages) {
  if (change_lagging(a.z.free_pages, a.pending.free, a.z.counter_threshold, pages)) {
    a.z.margins.forget();
  }
}

inline void allocator_core::change_free(actor& a, std::int64_t pages, std::uint64_t times) {
  if (change_lagging(a.z.free_pages, a.pending.free, a.z.counter_threshold, pages, times)) {
    a.z.margins.forget();
  }
}

inline void allocator_core::change_cma(actor& a, std::int64_t pages) {
  if (change_lagging(a.z.free_cma, a.pending.cma, a.z.counter_threshold, pages)) {
    a.z.margins.forget();
  }
}

/// Free pages of a block on a list of `type` came or went. Isolated ones do not count (contig A1).
inline void allocator_core::count_block(actor& a, std::int64_t pages, migratetype type) {
  if (type == migratetype::isolate) return;
  change_free(a, pages);
  if (!is_mergeable(type)) count_special(a, pages, type);
}

/// What count_block() does besides for a type that is not mergeable.
inline void allocator_core::count_special(actor& a, std::int64_t pages, migratetype type) {
  if (type == migratetype::cma) change_cma(a, pages);
  if (type == migratetype::highatomic && profile_.highatomic == highatomic_deduction::free_pages) {
    a.z.free_highatomic += static_cast<std::uint64_t>(pages);
    a.z.margins.forget();
  }
}

/// A global counter as tests read it: the differences of several CPUs may leave it below zero.
[[nodiscard]] inline std::int64_t read_counter(std::int64_t global) {
  return global < 0 ? 0 : global;
}

}  // namespace memsim::detail
