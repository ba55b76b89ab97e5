// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The TLBs of a machine's CPUs, and shootdowns: flushes that one CPU makes others do.

#include <cstdint>
#include <span>
#include <vector>

#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_flush.hpp>
#include <memsim/core/context.hpp>
#include <memsim/core/digest.hpp>
#include <memsim/core/statistics.hpp>
#include <memsim/core/types.hpp>

namespace memsim {

/// The part of one CPU in shootdowns.
struct shootdown_counts {
  std::uint64_t shootdowns = 0;
  std::uint64_t ipis_sent = 0;
  std::uint64_t ipis_received = 0;

  shootdown_counts& operator+=(const shootdown_counts& other);
  friend bool operator==(const shootdown_counts&, const shootdown_counts&) = default;
};

inline constexpr std::array shootdown_statistics{
    statistic<shootdown_counts>{"shootdowns", "shootdowns", "flushes that this CPU began",
                                &shootdown_counts::shootdowns},
    statistic<shootdown_counts>{"ipis_sent", "interrupts", "interrupts this CPU sent to others",
                                &shootdown_counts::ipis_sent},
    statistic<shootdown_counts>{"ipis_received", "interrupts",
                                "interrupts that made this CPU flush",
                                &shootdown_counts::ipis_received},
};

[[nodiscard]] inline std::vector<statistic_value> values_of(const shootdown_counts& counts) {
  return values_of(counts, shootdown_statistics);
}

/// One TLB a CPU, all of the same make.
///
///     tlb_system tlbs{{.geometry = presets::skylake_sp_tlb()}, 8};
///     context ctx{.cpu = cpu_id{2}};
///     tlbs.cpu(ctx.cpu).translate(...);
///     tlbs.shoot_down(ctx, tlb_flush::everything());    // 7 interrupts, 1 + 7 full flushes
///
/// A value: copying it forks all of them.
class tlb_system {
 public:
  /// \param config  of each TLB; the name of its random stream is extended by the CPU's number
  /// \param cpus    at least 1
  /// \throws        usage_error if there are none, or the configuration is not valid
  tlb_system(const tlb_config& config, unsigned cpus);

  [[nodiscard]] unsigned cpus() const { return static_cast<unsigned>(tlbs_.size()); }
  /// \throws usage_error if there is no such CPU
  [[nodiscard]] tlb& cpu(cpu_id cpu) { return tlbs_[index_of(cpu)]; }
  [[nodiscard]] const tlb& cpu(cpu_id cpu) const { return tlbs_[index_of(cpu)]; }

  /// Flushes on every CPU. Each but the one that acts is sent an interrupt.
  ///
  /// \param ctx     who acts; interrupts and flushes are added to its ledger, other CPUs' as remote
  /// \throws        usage_error if it acts on a CPU that is not there
  void shoot_down(context& ctx, const tlb_flush& what);
  /// Likewise on the CPUs named alone: those on which the address space has run, as a rule.
  ///
  /// \param targets  each once; the acting CPU, if it is to flush, among them
  /// \throws         usage_error if one is not there or is named twice; then nothing is flushed
  void shoot_down(context& ctx, const tlb_flush& what, std::span<const cpu_id> targets);

  /// Summed over all CPUs.
  [[nodiscard]] tlb_counts counts() const;
  [[nodiscard]] shootdown_counts shootdowns() const;
  /// Of one CPU.
  [[nodiscard]] const shootdown_counts& shootdowns(cpu_id cpu) const {
    return shootdowns_[index_of(cpu)];
  }

  [[nodiscard]] digest state_digest() const;

 private:
  [[nodiscard]] std::size_t index_of(cpu_id cpu) const;
  void flush_on(context& ctx, const tlb_flush& what, std::size_t target);

  std::vector<tlb> tlbs_;
  std::vector<shootdown_counts> shootdowns_;
};

}  // namespace memsim
