// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// khugepaged on a machine, in simulated time.
///
///     khugepaged scanner{vm};
///     khugepaged_daemon daemon{m, scanner};
///     m.sim().run_for(std::chrono::minutes{10});
///     fmt::print("{} huge pages\n", scanner.counts().pages_collapsed);

#include <cstdint>

#include <memsim/machine.hpp>
#include <memsim/sim/periodic.hpp>
#include <memsim/vm/khugepaged.hpp>

namespace memsim {

struct khugepaged_daemon_config {
  sim_duration scan_sleep = std::chrono::seconds{10};  ///< from one run to the next, more than 0
  /// How long it waits in a run when there is no huge page; the second time, the run ends.
  sim_duration alloc_sleep = std::chrono::seconds{60};
  unsigned cpu = 0;  ///< which does the work, and pays for it
};

/// Scans khugepaged_config::pages_to_scan every so often. Does not keep the simulator's run()
/// going, but while it waits for a huge page.
class khugepaged_daemon {
 public:
  /// \param on       must stay where it is, and outlive the daemon
  /// \param scanner  likewise
  /// \throws usage_error if a time is out of range, or there is no such CPU
  khugepaged_daemon(machine& on, khugepaged& scanner, const khugepaged_daemon_config& how = {});

  /// No run begins from now on.
  void stop() { daemon_.stop(); }
  /// Runs that have begun.
  [[nodiscard]] std::uint64_t rounds() const { return daemon_.rounds(); }

 private:
  task<> round();

  machine* on_;
  khugepaged* scanner_;
  khugepaged_daemon_config how_;
  periodic daemon_;  // last, for its rounds use the others
};

}  // namespace memsim
