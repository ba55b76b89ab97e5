// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The TLBs of a machine's CPUs as the kernel uses them: translations of the direct map, which
/// every address space shares.
///
///     tlb_system tlbs{{.geometry = presets::skylake_sp_tlb()}, 8};
///     kernel_tlbs kernel{tlbs};
///     direct_map map{boot_layout(memory.memory()), memory, kernel};
///     kernel.access(cpu_id{0}, map, pfn{300'000});   // a walk
///     kernel.access(cpu_id{0}, map, pfn{300'001});   // a hit: the same gigabyte

#include <memsim/arch/direct_map.hpp>
#include <memsim/arch/tlb.hpp>
#include <memsim/arch/tlb_flusher.hpp>
#include <memsim/arch/tlb_system.hpp>
#include <memsim/core/work.hpp>

namespace memsim {

class kernel_tlbs final : public tlb_flusher {
 public:
  /// Where the direct map begins: frame f is mapped at page first_page + f. That of x86-64 with
  /// four levels of tables and without address randomisation.
  static constexpr vpn first_page = vpn::of_address(0xffff'8880'0000'0000);

  /// \param tlbs     must outlive this
  /// \param ceiling  pages; a range of more is flushed whole
  explicit kernel_tlbs(tlb_system& tlbs, frame_count ceiling = default_flush_ceiling)
      : tlbs_{&tlbs}, ceiling_{ceiling} {}

  void flush_all(context& ctx) override;
  void flush_range(context& ctx, pfn first, frame_count count) override;

  /// One access of a CPU to a frame. What it took is counted by the TLB.
  ///
  /// The map is asked only on a miss; so what a flush has not dropped is served however the map has
  /// changed, as hardware does.
  ///
  /// \throws usage_error if a walk finds the frame not mapped, or not present
  translation access(cpu_id cpu, const direct_map& map, pfn frame) {
    return tlbs_->cpu(cpu).translate(asid{}, first_page + frame.value(), [&](asid, vpn) {
      const auto found = map.at(frame);
      if (!found || !found->flags.has(mapping_flag::present)) refuse(cpu, frame, found.has_value());
      return page_mapping{found->size, mapping_scope::global};
    });
  }

 private:
  [[noreturn]] static void refuse(cpu_id cpu, pfn frame, bool in_map);

  tlb_system* tlbs_;
  frame_count ceiling_;
};

/// What a TLB's translations come to in the ledger.
[[nodiscard]] work translation_work(const tlb_counts& counts);

}  // namespace memsim
