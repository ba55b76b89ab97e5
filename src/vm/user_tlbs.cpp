// SPDX-License-Identifier: Apache-2.0
#include <memsim/vm/user_tlbs.hpp>

#include <algorithm>
#include <limits>

#include <memsim/core/error.hpp>

namespace memsim {

user_tlbs::user_tlbs(tlb_system& tlbs, const user_tlbs_config& how)
    : tlbs_{&tlbs}, how_{how}, migrator_{.cpu = how.migration_cpu}, cpus_(tlbs.cpus()), spaces_(1) {
  if (how.migration_cpu.value() >= tlbs.cpus()) {
    throw_usage("migration_cpu {}: this machine has CPUs 0 to {}", how.migration_cpu,
                tlbs.cpus() - 1);
  }
  for (auto& cpu : cpus_) cpu.tags.resize(how.tags);
  // A guest's TLB keeps pieces of the host's size. Modelling assumption: each has to be flushed by
  // itself, while real CPUs find all pieces of a guest's page.
  if (const auto& nested = tlbs.cpu(cpu_id{0}).config().nested) largest_entry_ = nested->host_page;
}

asid user_tlbs::add_space() {
  if (!unused_.empty()) {
    const auto space = unused_.back();
    unused_.pop_back();
    spaces_[space.value()].in_use = true;
    return space;
  }
  const auto number = spaces_.size();
  if (number > std::numeric_limits<std::uint16_t>::max()) {
    throw_usage("{} address spaces at once: there are numbers for {}", number, number - 1);
  }
  spaces_.push_back({.in_use = true});
  return asid{static_cast<std::uint16_t>(number)};
}

std::size_t user_tlbs::index_of(asid space) const {
  const std::size_t number = space.value();
  if (number >= spaces_.size() || !spaces_[number].in_use) {
    throw_usage("address space {} has nothing in TLBs", space);
  }
  return number;
}

void user_tlbs::remove_space(asid space) {
  for (const auto cpu : of(space).cpus) {
    tlbs_->cpu(cpu).flush(tlb_flush::address_space(space));
    if (auto* const kept = find_tag(of(cpu), space)) *kept = {};
    if (of(cpu).running == space) of(cpu).running = {};
  }
  of(space) = {};
  unused_.push_back(space);
}

user_tlbs::tag* user_tlbs::find_tag(cpu_state& cpu, asid space) {
  const auto found = std::ranges::find(cpu.tags, space, &tag::space);
  return found == cpu.tags.end() ? nullptr : &*found;
}

void user_tlbs::load(context& ctx, asid space) {
  auto& own = tlbs_->cpu(ctx.cpu);
  auto& cpu = of(ctx.cpu);
  if (cpu.running == space) return;
  if (cpu.running != asid{}) ++counts_.switches;
  if (how_.tags == 0) {
    switch_without_tags(ctx, cpu);
  } else if (auto* const kept = find_tag(cpu, space); kept == nullptr) {
    auto* fresh = find_tag(cpu, asid{});
    if (fresh == nullptr) {
      fresh = &cpu.tags[cpu.next];
      cpu.next = (cpu.next + 1) % cpu.tags.size();
      give_up(ctx, *fresh);
    }
    *fresh = {.space = space};
  } else if (std::exchange(kept->is_stale, false)) {
    own.flush(tlb_flush::address_space(space));
    ++ctx.done.tlb_full_flushes;
    ++counts_.flushes_on_return;
  }
  cpu.running = space;
  auto& where = of(space).cpus;
  if (std::ranges::find(where, ctx.cpu) == where.end()) where.push_back(ctx.cpu);
}

void user_tlbs::switch_without_tags(context& ctx, cpu_state& cpu) {
  if (cpu.running == asid{}) return;
  tlbs_->cpu(ctx.cpu).flush(tlb_flush::all_but_global());
  ++ctx.done.tlb_full_flushes;
  std::erase(of(cpu.running).cpus, ctx.cpu);
}

void user_tlbs::give_up(context& ctx, tag& old) {
  tlbs_->cpu(ctx.cpu).flush(tlb_flush::address_space(old.space));
  ++ctx.done.tlb_full_flushes;
  std::erase(of(old.space).cpus, ctx.cpu);
}

// 36 bits of a user's page, 2 of a size, the rest for the CPU.
std::uint64_t user_tlbs::key_of(cpu_id cpu, vpn page, page_size size) {
  constexpr unsigned page_bits = 36;
  static_assert(page_table::end.value() == std::uint64_t{1} << page_bits);
  return (std::uint64_t{cpu.value()} << page_bits | page.base(size).value()) << 2 |
         static_cast<std::uint64_t>(size);
}

served_page user_tlbs::translate(cpu_id cpu, asid space, vpn page, page_table& table,
                                 memory_access how) {
  cached_entry walked;
  const auto found = tlbs_->cpu(cpu).translate(space, page, [&](asid, vpn) {
    const auto at = table.walk(page);
    if (at.entry == nullptr || !at.entry->is_present()) {
      throw_usage("page {} of address space {} is translated but not mapped", page, space);
    }
    at.entry->set(page_entry::accessed);
    if (how == memory_access::write) at.entry->set(page_entry::dirty);
    walked = {.entry = *at.entry, .size = at.size};
    return page_mapping{at.size};
  });
  auto& cached = of(space).cached[key_of(cpu, page, found.size)];
  if (found.hit_level == 0) cached = walked;
  return {.found = found, .entry = cached.entry, .size = cached.size};
}

void user_tlbs::drop(cpu_id cpu, asid space, vpn page) {
  tlbs_->cpu(cpu).flush(tlb_flush::page(space, page));
}

void user_tlbs::flush(context& ctx, asid space, const stale_range& stale) {
  if (stale.empty()) return;
  flush(ctx, space,
        tlb_flush::range(space, stale.first, stale.pages(),
                         {.ceiling = how_.flush_ceiling,
                          .stride = std::min(stale.stride, largest_entry_),
                          .beyond = full_flush::address_space}));
}

void user_tlbs::flush_all(context& ctx, asid space) {
  flush(ctx, space, tlb_flush::address_space(space));
}

void user_tlbs::flush(context& ctx, asid space, const tlb_flush& what) {
  std::vector<cpu_id> targets;
  for (const auto cpu : of(space).cpus) {
    // The CPU that acts can as well flush at once.
    const bool waits =
        how_.absent == absent_flush::on_return && of(cpu).running != space && cpu != ctx.cpu;
    if (waits) {
      find_tag(of(cpu), space)->is_stale = true;
    } else {
      targets.push_back(cpu);
    }
  }
  if (targets.empty()) return;
  ++counts_.flushes;
  tlbs_->shoot_down(ctx, what, targets);
}

}  // namespace memsim
