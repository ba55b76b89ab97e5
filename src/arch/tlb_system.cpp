// SPDX-License-Identifier: Apache-2.0
#include <memsim/arch/tlb_system.hpp>

#include <memsim/core/error.hpp>

namespace memsim {

shootdown_counts& shootdown_counts::operator+=(const shootdown_counts& other) {
  for (const auto& s : shootdown_statistics) this->*s.member += other.*s.member;
  return *this;
}

tlb_system::tlb_system(const tlb_config& config, unsigned cpus) : shootdowns_(cpus) {
  if (cpus < 1) throw_usage("a tlb_system of {} CPUs: it has at least 1", cpus);
  tlbs_.reserve(cpus);
  for (unsigned i = 0; i < cpus; ++i) {
    tlb_config own = config;
    own.stream += fmt::format(".cpu{}", i);
    tlbs_.emplace_back(own);
  }
}

std::size_t tlb_system::index_of(cpu_id cpu) const {
  if (cpu.value() >= tlbs_.size()) {
    throw_usage("CPU {}: this machine has CPUs 0 to {}", cpu, tlbs_.size() - 1);
  }
  return cpu.value();
}

void tlb_system::shoot_down(context& ctx, const tlb_flush& what) {
  ++shootdowns_[index_of(ctx.cpu)].shootdowns;
  if (tlbs_.size() > 1) ++ctx.done.flush_rounds;
  for (std::size_t target = 0; target < tlbs_.size(); ++target) flush_on(ctx, what, target);
}

void tlb_system::shoot_down(context& ctx, const tlb_flush& what, std::span<const cpu_id> targets) {
  auto& own = shootdowns_[index_of(ctx.cpu)];
  std::vector<bool> named(tlbs_.size());
  for (const cpu_id target : targets) {
    if (named[index_of(target)]) throw_usage("a shootdown names CPU {} twice", target);
    named[target.value()] = true;
  }
  ++own.shootdowns;
  if (targets.size() > (named[ctx.cpu.value()] ? 1 : 0)) ++ctx.done.flush_rounds;
  for (const cpu_id target : targets) flush_on(ctx, what, target.value());
}

void tlb_system::flush_on(context& ctx, const tlb_flush& what, std::size_t target) {
  tlbs_[target].flush(what);
  const std::uint64_t full = what.pages == 0 ? 1 : 0;
  if (target == ctx.cpu.value()) {
    ctx.done.tlb_page_flushes += what.pages;
    ctx.done.tlb_full_flushes += full;
    return;
  }
  ++shootdowns_[ctx.cpu.value()].ipis_sent;
  ++shootdowns_[target].ipis_received;
  ++ctx.done.ipis;
  ctx.done.remote_page_flushes += what.pages;
  ctx.done.remote_full_flushes += full;
}

tlb_counts tlb_system::counts() const {
  tlb_counts sum;
  for (const auto& t : tlbs_) sum += t.counts();
  return sum;
}

shootdown_counts tlb_system::shootdowns() const {
  shootdown_counts sum;
  for (const auto& s : shootdowns_) sum += s;
  return sum;
}

digest tlb_system::state_digest() const {
  digest sum;
  for (const auto& t : tlbs_) sum.add(t.state_digest().value());
  return sum;
}

}  // namespace memsim
