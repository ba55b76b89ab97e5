// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Limits of one user of a pool, such as a mount of hugetlbfs: at most so many pages, and so many
/// promised from the beginning.
///
/// Source: docs/linux-rules/hugetlb.md.

#include <cstdint>
#include <optional>

namespace memsim {

struct subpool_limits {
  std::optional<std::uint64_t> most{};   ///< size=, in pages
  std::optional<std::uint64_t> least{};  ///< min_size=, in pages

  friend bool operator==(const subpool_limits&, const subpool_limits&) = default;
};

/// It counts; what it says the pool has to do is for its caller to do.
class subpool {
 public:
  /// The pool has promised it `limits.least` pages.
  /// \throws usage_error if `least` is above `most`
  explicit subpool(const subpool_limits& limits);

  /// Takes pages.
  /// \return how many of them the pool has to have unpromised, or promise; none: that is more than
  ///         it may have, and nothing has changed
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t pages);
  /// Gives pages back.
  /// \throws usage_error if fewer are used, where that is counted
  /// \return how many promises of the pool are not needed any more
  std::uint64_t give(std::uint64_t pages);

  /// A page that it was promised cannot be had any more: its least is less by one.
  void lose_promise();
  /// Nothing of it is used, as far as it knows: without `most` it counts only what its own promises
  /// cover.
  [[nodiscard]] bool is_unused() const;
  [[nodiscard]] const subpool_limits& limits() const { return limits_; }
  /// Pages taken; counted only with limits().most.
  [[nodiscard]] std::uint64_t used() const { return used_; }
  /// Pages of limits().least that are not taken.
  [[nodiscard]] std::uint64_t promised() const { return promised_; }

 private:
  subpool_limits limits_;
  std::uint64_t used_ = 0;
  std::uint64_t promised_;
};

}  // namespace memsim
