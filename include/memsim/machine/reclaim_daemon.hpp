// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A machine's reclaim and compaction daemons, kswapd and kcompactd, in simulated time.
///
///     reclaim_daemon daemon{m};
///     spawn(m.sim(), workload(m));       // its requests wake the daemon
///     m.sim().run();
///     fmt::print("{} pages in {} runs\n", daemon.reclaimed(), daemon.runs());

#include <cstdint>
#include <optional>

#include <memsim/machine.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

namespace memsim {

struct reclaim_daemon_config {
  unsigned cpu = 0;  ///< which does the work, and pays for it
  /// How long kswapd waits after a run that got nothing, so that what is being written is written.
  /// Modelling assumption: the kernel's wait for congested devices, in full.
  sim_duration throttle = std::chrono::milliseconds{100};
};

/// Each daemon begins when a request wakes it, at that time, waits for its turn at the CPU, and
/// keeps it for as long as its work takes. kswapd makes run after run until a zone meets its high
/// mark, or there is no hope; then it lets compaction look again where it found nothing, and wakes
/// kcompactd. Both sleep when there is nothing to do, and do not keep the simulator's run() going
/// then.
class reclaim_daemon final : public daemon_waker {
 public:
  /// \param on  must stay where it is, and outlive the daemon
  /// \throws usage_error if there is no such CPU or the wait is negative
  explicit reclaim_daemon(machine& on, const reclaim_daemon_config& how = {});
  reclaim_daemon(const reclaim_daemon&) = delete;
  reclaim_daemon& operator=(const reclaim_daemon&) = delete;
  /// What goes on ends where it waits.
  ~reclaim_daemon() override;

  /// Runs of kswapd.
  [[nodiscard]] std::uint64_t runs() const { return runs_; }
  /// Pages that they got.
  [[nodiscard]] frame_count reclaimed() const { return reclaimed_; }
  /// Rounds of kcompactd.
  [[nodiscard]] std::uint64_t compactions() const { return compactions_; }

  void wake_kswapd() override;
  void wake_kcompactd() override;

 private:
  task<> reclaim();
  task<> compact();

  machine* on_;
  reclaim_daemon_config how_;
  std::optional<task_handle<>> kswapd_;
  std::optional<task_handle<>> kcompactd_;
  std::uint64_t runs_ = 0;
  frame_count reclaimed_ = 0;
  std::uint64_t compactions_ = 0;
};

}  // namespace memsim
