// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The actors of a scenario on one machine, under one policy.
///
///     actor_run run{m, s, s.policies[0]};      // m: a machine that machine_for() made
///     m.sim().run_until(sim_time{s.duration});
///     fmt::print("{} of SIGBUS\n", run.counts(0).bus_errors);
///     run.finish();                            // everybody leaves

#include <array>
#include <cstdint>
#include <expected>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <memsim/core/error.hpp>
#include <memsim/core/random.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/machine.hpp>
#include <memsim/machine/merge_daemon.hpp>
#include <memsim/machine/reclaim_daemon.hpp>
#include <memsim/policy/hugetlb.hpp>
#include <memsim/policy/secretmem.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>
#include <memsim/vm/virtual_memory.hpp>
#include <memsim/workload/recipe.hpp>
#include <memsim/workload/replay.hpp>
#include <memsim/workload/scenario.hpp>
#include <memsim/workload/trace_event.hpp>

namespace memsim {

/// What became of an actor's processes.
struct actor_counts {
  std::uint64_t processes = 0;
  std::uint64_t mappings = 0;
  std::uint64_t no_memory_at_mmap = 0;
  std::uint64_t over_limit_at_mmap = 0;
  std::uint64_t bus_errors = 0;
  std::uint64_t out_of_memory = 0;
  std::uint64_t killed = 0;
  std::uint64_t retried_faults = 0;
  std::uint64_t pages = 0;
  std::uint64_t accesses = 0;

  friend bool operator==(const actor_counts&, const actor_counts&) = default;
};

inline constexpr std::array actor_statistics{
    statistic<actor_counts>{"processes", "processes", "that came", &actor_counts::processes},
    statistic<actor_counts>{"mappings", "calls", "mmap() that succeeded", &actor_counts::mappings},
    statistic<actor_counts>{"no_memory_at_mmap", "calls",
                            "mmap(), or what makes the file, refused with ENOMEM",
                            &actor_counts::no_memory_at_mmap},
    statistic<actor_counts>{"over_limit_at_mmap", "calls", "mmap() refused with EAGAIN",
                            &actor_counts::over_limit_at_mmap},
    statistic<actor_counts>{"bus_errors", "processes", "ended by SIGBUS",
                            &actor_counts::bus_errors},
    statistic<actor_counts>{"out_of_memory", "processes",
                            "ended because a fault of theirs found no memory (VM_FAULT_OOM)",
                            &actor_counts::out_of_memory},
    statistic<actor_counts>{"killed", "processes", "chosen by the OOM killer",
                            &actor_counts::killed},
    statistic<actor_counts>{"retried_faults", "faults",
                            "that found no memory (VM_FAULT_OOM) and were made again",
                            &actor_counts::retried_faults},
    statistic<actor_counts>{"pages", "pages", "of 4 KiB, used for the first time",
                            &actor_counts::pages},
    statistic<actor_counts>{"accesses", "accesses", "to pages that were there",
                            &actor_counts::accesses},
};

/// The machine that a policy of a scenario runs on: with its CMA area and its merge policy.
/// \return errc::inconsistent if there is no room for the area
[[nodiscard]] std::expected<machine_config, error> machine_for(const scenario& s,
                                                               const policy_choice& policy);

/// The events of a recorded machine, in the order of their times.
/// \return errc::io, errc::malformed
[[nodiscard]] std::expected<std::vector<trace_event>, error> read_trace(const trace_load& load);

/// Processes take CPUs in turn; each does one thing at a time, for as long as its work takes. Who
/// is killed loses everything at once, also the files that he has open.
///
/// Modelling assumptions: the signal SIGBUS ends the process, and so does a fault of a large page,
/// or of anonymous memory, that finds no memory and nobody to kill. Where VM_FAULT_OOM kills nobody
/// the fault is made again after a millisecond. The background's requests are made at their times
/// and take no CPU time.
class actor_run {
 public:
  /// Sets up the policy, and has everything begin at the machine's time.
  /// \param on          made for this policy; stays where it is, and outlives this
  /// \param s           stays as it is meanwhile
  /// \param trace       of the scenario's background load, if that is one: what read_trace()
  /// returns;
  ///                    stays as it is meanwhile
  actor_run(machine& on, const scenario& s, const policy_choice& policy,
            const std::vector<trace_event>& trace = {});
  actor_run(const actor_run&) = delete;
  actor_run& operator=(const actor_run&) = delete;
  ~actor_run();

  /// Everybody leaves.
  void finish();

  [[nodiscard]] const actor_counts& counts(std::size_t actor) const { return counts_.at(actor); }
  /// When a process of the actor was first refused, or ended by a fault or the OOM killer; since
  /// the beginning.
  [[nodiscard]] const std::optional<sim_duration>& first_failure(std::size_t actor) const {
    return first_failures_.at(actor);
  }
  /// How much work each first use of a page took, in ns, in the order of time.
  [[nodiscard]] const std::vector<std::uint64_t>& fault_times(std::size_t actor) const {
    return fault_times_.at(actor);
  }
  /// What it took to set the policy up.
  [[nodiscard]] sim_duration set_up() const { return set_up_; }
  [[nodiscard]] std::uint64_t merged_by_daemon() const {
    return merging_ ? merging_->collapsed() : 0;
  }
  [[nodiscard]] const secretmem& secrets() const { return secrets_; }
  [[nodiscard]] const hugetlb& huge_pages() const { return huge_; }
  [[nodiscard]] const virtual_memory& vm() const { return vm_; }
  /// Why the background load ended early, if it did.
  [[nodiscard]] const std::optional<error>& background_error() const { return background_error_; }

 private:
  class process;

  task<> live(std::size_t which, std::uint32_t user, sim_time arrival, std::uint64_t number);
  task<> use(process& p, random_stream& random, sim_time leaves);
  task<> use_all(process& p, sim_time leaves);
  task<> use_on(process& p, random_stream& random, sim_time leaves);
  task<bool> retry_fault(process& p);
  task<> replay(const trace_load& load, const std::vector<trace_event>& events);
  task<> carry_out(const recipe_background& load);
  void spawn_background(const std::vector<trace_event>& trace);
  void spawn_actors();
  void note_failure(std::size_t actor);

  machine* on_;
  const scenario* s_;
  virtual_memory vm_;
  secretmem secrets_;
  hugetlb huge_;
  reclaim_daemon reclaim_;
  std::optional<merge_daemon> merging_;
  std::optional<trace_replayer> replayer_;
  std::optional<recipe_load> recipe_;
  std::optional<error> background_error_;
  sim_time begin_;
  std::vector<actor_counts> counts_;
  std::vector<std::optional<sim_duration>> first_failures_;
  std::vector<std::vector<std::uint64_t>> fault_times_;
  sim_duration set_up_{};
  std::vector<task_handle<>> tasks_;
};

}  // namespace memsim
