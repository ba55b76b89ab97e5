// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine's daemon that gives the direct map its large pages back.
///
///     merge_daemon daemon{m, {.period = 100ms, .budget = 64}};
///     m.sim().run_for(60s);
///     fmt::print("{} tables collapsed in {} rounds\n", daemon.collapsed(), daemon.rounds());

#include <cstdint>

#include <memsim/arch/merge_policy.hpp>
#include <memsim/machine.hpp>
#include <memsim/sim/periodic.hpp>
#include <memsim/sim/task.hpp>

namespace memsim {

/// Modelling assumption: no kernel has such a daemon. Its pace is that of khugepaged as it comes:
/// 4096 pages every ten seconds.
struct merge_daemon_config {
  sim_duration period = std::chrono::seconds{10};  ///< from one round to the next, more than 0
  std::uint64_t budget = 8;                        ///< 2 MiB ranges that a round looks at
  page_size largest = page_size::g1;               ///< of the pages that are made: 2M or 1G
  unsigned cpu = 0;                                ///< which does the work, and pays for it
};

/// Wakes every period, waits for its turn at the CPU, looks at the next ranges, and keeps the CPU
/// for as long as that took. A round that is due while one goes on is left out. Does not keep the
/// simulator's run() going.
class merge_daemon {
 public:
  /// \param on  must stay where it is, and outlive the daemon
  /// \throws usage_error if the period or the page size is out of range, or there is no such CPU
  explicit merge_daemon(machine& on, const merge_daemon_config& how = {});

  /// No round begins from now on.
  void stop() { daemon_.stop(); }
  /// Rounds that have begun.
  [[nodiscard]] std::uint64_t rounds() const { return daemon_.rounds(); }
  /// Rounds that were left out because the one before took so long.
  [[nodiscard]] std::uint64_t skipped() const { return daemon_.skipped(); }
  /// Tables that are one entry now.
  [[nodiscard]] std::uint64_t collapsed() const { return collapsed_; }

 private:
  task<> round();

  machine* on_;
  unsigned cpu_;
  std::uint64_t budget_;
  merge_scanner scanner_;
  std::uint64_t collapsed_ = 0;
  periodic daemon_;  // last, for its rounds use the others
};

}  // namespace memsim
