// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Pages on the LRU lists, judged one by one and taken back.

#include <vector>

#include "alloc/allocator_core.hpp"

namespace memsim::detail {

/// The priority at which reclaim begins: a list is scanned by its size divided by 2^priority.
inline constexpr unsigned first_priority = 12;
/// Below this one reclaim has had trouble, and may do more.
inline constexpr unsigned troubled_priority = first_priority - 2;
/// Pages taken off a list at a time, and what a request reclaims for itself.
inline constexpr frame_count reclaim_batch = 32;

/// How much a reclaim is after, and what it may do.
struct reclaim_scan {
  reclaimer by{};
  frame_count wanted = reclaim_batch;  ///< pages after which it is enough
  zone_type highest{};                 ///< pages of higher zones are left alone
  bool may_write = true;
  bool may_swap = true;
  bool may_use_io = true;
  bool may_use_fs = true;
};

/// Reclaims in passes, from one priority to the next.
class lru_reclaim {
 public:
  lru_reclaim(allocator_core& core, context& ctx, const reclaim_scan& how)
      : core_{core}, ctx_{ctx}, how_{how} {}

  /// One pass over the LRU lists and the shrinkers.
  void pass(unsigned priority);

  void set_may_write(bool may) { how_.may_write = may; }
  void set_may_swap(bool may) { how_.may_swap = may; }
  /// Active pages become inactive whether or not few are.
  void force_ageing() { forced_ = true; }

  [[nodiscard]] frame_count wanted() const { return how_.wanted; }
  [[nodiscard]] frame_count scanned() const { return scanned_; }
  [[nodiscard]] frame_count reclaimed() const { return reclaimed_; }
  /// Whether an active list was left alone because enough is inactive.
  [[nodiscard]] bool spared_active() const { return spared_active_; }

 private:
  using page_counts = std::array<frame_count, 4>;  // by lru_kind, without unevictable

  enum class fate : unsigned char { keep, activate, gone };

  // lru_ageing.cpp
  [[nodiscard]] frame_count pages_on(lru_kind kind) const;
  [[nodiscard]] bool has_few_inactive(lru_kind active) const;
  [[nodiscard]] page_counts plan(unsigned priority) const;
  void age(lru_kind active, frame_count pages);

  // reclaim.cpp
  void shrink_list(lru_kind kind, frame_count pages);
  void shrink_inactive(lru_kind kind, frame_count pages);
  std::vector<frame_index> take_from_tail(lru_kind kind, frame_count most);
  void put_back(frame_index frame);
  fate judge(frame_index frame);
  fate judge_unused(frame_index frame, page_owner& owner);
  fate swap_out(frame_index frame, page_owner& owner);
  fate drop(frame_index frame);
  void write_back(const std::vector<frame_index>& pages);
  [[nodiscard]] bool may_age(lru_kind active) const;
  [[nodiscard]] frame_count pages_of(frame_index frame) const {
    return frame_count{1} << core_.frames_.mark_at(pfn{frame}).order();
  }

  allocator_core& core_;
  context& ctx_;
  reclaim_scan how_;
  bool forced_ = false;
  bool spared_active_ = false;
  frame_count scanned_ = 0;
  frame_count reclaimed_ = 0;
  std::vector<frame_index> dirty_;  // files' pages of a batch that nobody writes yet
};

}  // namespace memsim::detail
