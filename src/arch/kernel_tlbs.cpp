// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/kernel_tlbs.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

void kernel_tlbs::flush_all(context& ctx) { tlbs_->shoot_down(ctx, tlb_flush::everything()); }

void kernel_tlbs::flush_range(context& ctx, pfn first, frame_count count) {
  const range_flush_rule kernel{.ceiling = ceiling_, .beyond = full_flush::everything};
  tlbs_->shoot_down(ctx, tlb_flush::range(asid{}, first_page + first.value(), count, kernel));
}

void kernel_tlbs::refuse(cpu_id cpu, pfn frame, bool in_map) {
  throw_usage("access of CPU {} to frame {}: it is {} the direct map", cpu, frame,
              in_map ? "absent from" : "not in");
}

work translation_work(const tlb_counts& counts) {
  work done;
  for (std::size_t level = 1; level < counts.levels.size(); ++level) {
    done.tlb_lower_hits += counts.levels[level].hits();
  }
  const auto& walks = counts.walks;
  done.page_walks = walks.walks();
  done.walk_pte_references = walks.pte_references;
  done.walk_pde_references = walks.pde_references;
  done.walk_upper_references =
      walks.pdpte_references + walks.pml4e_references + walks.pml5e_references;
  done.walk_host_references = walks.host_references;
  return done;
}

}  // namespace memsim
