// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine.hpp>

#include <algorithm>

#include "machine/parts.hpp"

namespace memsim {
namespace {

tlb_config tlb_config_of(const machine_config& config) {
  return {.geometry = config.cpu.tlb, .nested = config.nested, .seed = config.seed};
}

direct_map_config map_config_of(const machine_config& config) {
  return {.largest = std::min(config.largest_mapping, config.cpu.largest_page),
          .merging = config.merging};
}

std::vector<context> contexts(unsigned cpus) {
  std::vector<context> all(cpus);
  for (unsigned i = 0; i < cpus; ++i) all[i].cpu = cpu_id{i};
  return all;
}

void append(std::vector<statistic_value>& all, std::vector<statistic_value> more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

page_allocator_config allocator_config(const machine_config& config) {
  return {.memory = config.memory,
          .profile = config.profile,
          .cpus = config.cpus,
          .movable_zone = config.movable_zone,
          .cma_areas = config.cma_areas,
          .settings = config.settings};
}

machine::parts::parts(const machine_config& how)
    : config{how},
      memory{allocator_config(how)},
      tlbs{tlb_config_of(how), how.cpus},
      kernel{tlbs},
      map{boot_layout(how.memory, map_config_of(how).largest), memory, kernel, map_config_of(how)},
      cpus{contexts(how.cpus)},
      meters(how.cpus, cost_meter{how.cpu.costs}) {
  make_cpu_times();
}

machine::parts::parts(const parts& other)
    : config{other.config},
      memory{other.memory},
      tlbs{other.tlbs},
      kernel{tlbs},
      map{other.map, memory, kernel},
      cpus{other.cpus},
      meters{other.meters} {
  sim.run_until(other.sim.now());
  make_cpu_times();
}

// An empty map takes the state's place at once; restore() has found it good.
machine::parts::parts(const machine_config& how, page_allocator&& from,
                      const direct_map_state& mapped)
    : config{how},
      memory{std::move(from)},
      tlbs{tlb_config_of(how), how.cpus},
      kernel{tlbs},
      map{direct_map::restore(mapped, memory, kernel, map_config_of(how)).value()},
      cpus{contexts(how.cpus)},
      meters(how.cpus, cost_meter{how.cpu.costs}) {
  make_cpu_times();
}

void machine::parts::make_cpu_times() {
  for (unsigned i = 0; i < config.cpus; ++i) cpu_times.emplace_back(sim, fmt::format("CPU {}", i));
}

work machine::parts::done(std::size_t cpu) const {
  work all = translation_work(tlbs.cpu(cpus[cpu].cpu).counts());
  all += cpus[cpu].done;
  return all;
}

std::expected<std::unique_ptr<machine::parts>, error> machine::parts::restore(
    const machine_config& how, const allocator_state& memory, const direct_map_state& map) {
  auto restored = page_allocator::restore(memory, how.profile, how.settings);
  if (!restored) return std::unexpected{restored.error()};
  {
    counting_flusher nobody{1};
    const auto good = direct_map::restore(map, *restored, nobody, map_config_of(how));
    if (!good) return std::unexpected{good.error()};
  }
  return std::unique_ptr<parts>{new parts{how, std::move(*restored), map}};
}

machine::machine(const machine_config& config) : parts_{std::make_unique<parts>(config)} {}
machine::machine(std::unique_ptr<parts> made) : parts_{std::move(made)} {}
machine::machine(const machine& other) : parts_{std::make_unique<parts>(*other.parts_)} {}
machine& machine::operator=(const machine& other) {
  if (this != &other) *this = machine{other};
  return *this;
}
machine::machine(machine&&) noexcept = default;
machine& machine::operator=(machine&&) noexcept = default;
machine::~machine() = default;

const machine_config& machine::config() const { return parts_->config; }

context& machine::cpu(unsigned number) {
  return const_cast<context&>(std::as_const(*this).cpu(number));
}
const context& machine::cpu(unsigned number) const {
  if (number >= parts_->cpus.size()) {
    throw_usage("CPU {}: the machine has CPUs 0 to {}", number, parts_->cpus.size() - 1);
  }
  return parts_->cpus[number];
}

page_allocator& machine::memory() { return parts_->memory; }
const page_allocator& machine::memory() const { return parts_->memory; }
direct_map& machine::map() { return parts_->map; }
const direct_map& machine::map() const { return parts_->map; }
tlb_system& machine::tlbs() { return parts_->tlbs; }
const tlb_system& machine::tlbs() const { return parts_->tlbs; }
const cost_model& machine::costs() const { return parts_->config.cpu.costs; }

translation machine::access(unsigned cpu, pfn frame) {
  const auto mapped = map().at(frame);
  if (!mapped || !mapped->flags.has(mapping_flag::present)) {
    throw_usage("access of CPU {} to frame {}: it is {} the direct map", cpu, frame,
                mapped ? "absent from" : "not in");
  }
  return parts_->kernel.access(cpu_id{cpu}, map(), frame);
}

simulator& machine::sim() { return parts_->sim; }
const simulator& machine::sim() const { return parts_->sim; }

resource& machine::cpu_time(unsigned number) {
  static_cast<void>(cpu(number));
  return parts_->cpu_times[number];
}

sim_duration machine::take_charge(unsigned number) {
  return parts_->meters[number].charge(done(number));
}

work machine::done(unsigned number) const {
  static_cast<void>(cpu(number));
  return parts_->done(number);
}

work machine::done() const {
  work all;
  for (std::size_t i = 0; i < parts_->cpus.size(); ++i) all += parts_->done(i);
  return all;
}

std::vector<statistic_value> machine::statistics() const {
  auto all = memory().statistics();
  append(all, values_of(map().counts(), direct_map_statistics));
  append(all, values_of(done()));
  const auto translations = tlbs().counts();
  append(all, values_of(translations.walks));
  append(all, values_of(translations.flushes));
  append(all, values_of(tlbs().shootdowns()));
  return all;
}

digest machine::state_digest() const {
  digest d;
  d.add(memory().state_digest().value()).add(map().state_digest().value());
  for (std::size_t i = 0; i < parts_->cpus.size(); ++i) {
    const auto ledger = parts_->done(i);
    for (const auto& s : work_statistics) d.add(ledger.*s.member);
    d.add(static_cast<std::uint64_t>(parts_->meters[i].total().count()));
  }
  return d.add(static_cast<std::uint64_t>(sim().now().time_since_epoch().count()));
}

}  // namespace memsim
