// SPDX-License-Identifier: Apache-2.0
#include "alloc/checks.hpp"

namespace memsim::detail {

void check_cpu(const allocator_core& core, cpu_id cpu) {
  if (cpu.value() >= core.cpus_) {
    throw_usage("CPU {}: the machine has CPUs 0 to {}", cpu, core.cpus_ - 1);
  }
}

void check_order(order size) {
  if (size > max_page_order) {
    throw_usage("order {} is above {}, the largest the page allocator serves", size,
                max_page_order);
  }
}

void check_mobility(gfp flags) {
  if (flags.has_all(gfp_flag::movable | gfp_flag::reclaimable)) {
    throw_usage("flags {} ask for two mobilities: movable or reclaimable, not both", flags);
  }
}

std::string describe(const allocator_core& core, pfn frame) {
  const auto* const region = core.memory_.find(frame);
  if (region == nullptr) return "not memory";
  if (region->kind == region_kind::undescribed) return "memory without a descriptor";
  const auto mark = core.frames_.mark_at(frame);
  switch (mark.use()) {
    case frame_use::free: return fmt::format("a free block of order {}", mark.order());
    case frame_use::per_cpu:
      return fmt::format("a block of order {} that is free on a per-CPU list", mark.order());
    case frame_use::allocated: return fmt::format("an allocated block of order {}", mark.order());
    case frame_use::none: break;
  }
  return "not the first frame of a block";
}

bool is_allocated(const allocator_core& core, pfn block, order size) {
  return block < core.frames_.end() && block.value() % size.frames() == 0 &&
         core.frames_.is_allocated(static_cast<frame_index>(block.value()), size.value());
}

}  // namespace memsim::detail
