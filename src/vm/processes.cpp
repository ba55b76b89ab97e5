// SPDX-License-Identifier: Apache-2.0
// Processes that are made, and those that an OOM killer ends.
#include <memsim/vm/virtual_memory.hpp>

namespace memsim {

memory_group& virtual_memory::add_group(const memory_group_config& how) {
  return charges_.add_group(how, memory_->frames().end().value());
}

address_space& virtual_memory::add_process(const process_config& how) {
  constexpr int never = oom_candidate::never;
  if (how.score_adjustment < never || how.score_adjustment > -never) {
    throw_usage("score_adjustment {}: allowed are {} to {}", how.score_adjustment, never, -never);
  }
  if (how.group != nullptr && !charges_.has(how.group)) {
    throw_usage("the memory group of a process is one of the same machine");
  }
  auto& process = make_process(how);
  enlist(process);
  return process;
}

address_space& virtual_memory::make_process(const process_config& how) {
  processes_.push_back(std::make_unique<address_space>(*this, how));
  processes_.back()->number_ = ++processes_made_;
  return *processes_.back();
}

// A process is whole: OOM killers may choose it.
void virtual_memory::enlist(address_space& process) {
  process.may_be_chosen_ = true;
  memory_->add_oom_candidate(process);
}

std::unexpected<error> address_space::was_killed_error() {
  return fail(errc::killed, "the process was killed when memory was short");
}

// Who was killed already has nothing more to give.
oom_usage address_space::usage() const {
  if (killed_) return {};
  frame_count resident = 0;
  for (const auto& area : areas_) {
    const_cast<address_space*>(this)->for_entries(area.first, area.end,
                                                  [&](page_entry& entry, page_size size, vpn) {
                                                    if (entry.is_page())
                                                      resident += frames_of(size);
                                                  });
  }
  return {.resident = resident, .page_tables = table_.tables()};
}

void address_space::killed(context& ctx) {
  if (std::exchange(killed_, true)) return;
  if (how_.group != nullptr) how_.group->count(&memory_group_counts::oom_kills);
  if (doing_ == activity::nothing) return end(ctx);
  // It is in the middle of what needs the memory.
  ctx.is_victim = true;
  if (doing_ != activity::faulting) return;
  // A fault knows its area and its table, but it looks at entries anew.
  for (const auto& area : areas_) unmap(ctx, area.first, area.end);
}

// All that it has is gone.
void address_space::end(context& ctx) {
  const auto before = std::exchange(doing_, activity::changing);
  munmap_all(ctx);
  doing_ = before;
  if (const auto ended = std::exchange(ended_, {})) ended(ctx);
  if (std::exchange(uses_huge_zero_, false)) --vm_->huge_zero_users_;
}

}  // namespace memsim
