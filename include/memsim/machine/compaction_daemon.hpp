// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Proactive compaction on a machine, in simulated time: kcompactd's other half.
///
///     compaction_daemon daemon{m};
///     spawn(m.sim(), workload(m));
///     m.sim().run_for(std::chrono::seconds{10});
///     fmt::print("{} rounds, score {}\n", daemon.rounds(), m.memory().fragmentation_score());

#include <cstdint>

#include <memsim/machine.hpp>
#include <memsim/sim/periodic.hpp>

namespace memsim {

struct compaction_daemon_config {
  sim_duration period = std::chrono::milliseconds{500};  ///< from one look to the next, more than 0
  /// Looks that are left out after a round that did not lower the score.
  unsigned rest = 64;
  unsigned cpu = 0;  ///< which does the work, and pays for it
};

/// Looks at the fragmentation score every period and, if it is above the high limit, compacts until
/// it is at most the low one (page_allocator::compact_proactively). How hard it tries is
/// tuning::compaction_proactiveness. Does not keep the simulator's run() going.
///
/// Source: Linux, as described: every 500 ms. How long it rests after a failure is a modelling
/// assumption, as long as a deferral can last.
class compaction_daemon {
 public:
  /// \param on  must stay where it is, and outlive the daemon
  /// \throws usage_error if the period is out of range, or there is no such CPU
  explicit compaction_daemon(machine& on, const compaction_daemon_config& how = {});

  /// No round begins from now on.
  void stop() { daemon_.stop(); }
  /// Looks that were due, those that were left out included.
  [[nodiscard]] std::uint64_t rounds() const { return daemon_.rounds(); }
  /// Rounds that did not lower the score.
  [[nodiscard]] std::uint64_t in_vain() const { return in_vain_; }

 private:
  task<> round();

  machine* on_;
  unsigned cpu_;
  unsigned rest_;
  unsigned resting_ = 0;
  std::uint64_t in_vain_ = 0;
  periodic daemon_;  // last, for its rounds use the others
};

}  // namespace memsim
