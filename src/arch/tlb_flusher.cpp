// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_flusher.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

counting_flusher::counting_flusher(unsigned cpus, frame_count ceiling)
    : cpus_{cpus}, ceiling_{ceiling} {
  if (cpus == 0) throw_usage("a machine of 0 CPUs has no TLB to flush: at least 1 is needed");
}

void counting_flusher::flush_all(context& ctx) {
  interrupt_others(ctx);
  ++ctx.done.tlb_full_flushes;
  ctx.done.remote_full_flushes += cpus_ - 1;
}

void counting_flusher::flush_range(context& ctx, pfn, frame_count count) {
  if (count > ceiling_) return flush_all(ctx);
  interrupt_others(ctx);
  ctx.done.tlb_page_flushes += count;
  ctx.done.remote_page_flushes += count * (cpus_ - 1);
}

void counting_flusher::interrupt_others(context& ctx) const {
  if (cpus_ > 1) ++ctx.done.flush_rounds;
  ctx.done.ipis += cpus_ - 1;
}

}  // namespace memsim
