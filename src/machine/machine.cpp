// SPDX-License-Identifier: Apache-2.0
#include <memsim/machine.hpp>

#include <algorithm>

#include "machine/consistency.hpp"
#include "machine/parts.hpp"

namespace memsim {
namespace {

// What its parts do not look at.
machine_config checked(const machine_config& config) {
  validate(config.largest_mapping, "largest_mapping");
  validate(config.cpu.largest_page, "cpu.largest_page");
  return config;
}

tlb_config tlb_config_of(const machine_config& config) {
  return {.geometry = config.cpu.tlb, .nested = config.nested, .seed = config.seed};
}

// Named as in /proc/meminfo, where there is such a line.
std::vector<statistic_value> direct_map_sizes(const direct_map& map) {
  const auto kib = [](std::uint64_t mappings, page_size size) {
    return mappings * frames_of(size) * (page_bytes / 1024);
  };
  const auto mapped = map.mapped();
  return {{"DirectMap4k", "kB", "memory mapped by 4 KiB pages", kib(mapped.k4, page_size::k4)},
          {"DirectMap2M", "kB", "memory mapped by 2 MiB pages", kib(mapped.m2, page_size::m2)},
          {"DirectMap1G", "kB", "memory mapped by 1 GiB pages", kib(mapped.g1, page_size::g1)},
          {"direct_map_page_tables", "pages", "frames that splits have taken for page tables",
           map.page_tables()}};
}

direct_map_config map_config_of(const machine_config& config) {
  return {.largest = std::min(config.largest_mapping, config.cpu.largest_page),
          .merging = config.merging};
}

resource_counts sum_of(const std::deque<resource>& resources) {
  resource_counts sum;
  for (const auto& r : resources) {
    const auto& c = r.counts();
    sum.acquisitions += c.acquisitions;
    sum.contended += c.contended;
    sum.total_wait_ns += c.total_wait_ns;
    sum.max_wait_ns = std::max(sum.max_wait_ns, c.max_wait_ns);
    sum.max_queue = std::max(sum.max_queue, c.max_queue);
  }
  return sum;
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
    : config{checked(how)},
      memory{allocator_config(how)},
      tlbs{tlb_config_of(how), how.cpus},
      kernel{tlbs, how.flush_ceiling},
      map{boot_layout(how.memory, map_config_of(how).largest), memory, kernel, map_config_of(how)},
      cpus{contexts(how.cpus)},
      meters(how.cpus, cost_meter{how.cpu.costs}) {
  make_resources();
}

machine::parts::parts(const parts& other)
    : config{other.config},
      memory{other.memory},
      tlbs{other.tlbs},
      kernel{tlbs, other.config.flush_ceiling},
      map{other.map, memory, kernel},
      cpus{other.cpus},
      meters{other.meters} {
  sim.run_until(other.sim.now());
  make_resources();
}

// An empty map takes the state's place at once; restore() has found it good.
machine::parts::parts(const machine_config& how, page_allocator&& from,
                      const direct_map_state& mapped)
    : config{checked(how)},
      memory{std::move(from)},
      tlbs{tlb_config_of(how), how.cpus},
      kernel{tlbs, how.flush_ceiling},
      map{direct_map::restore(mapped, memory, kernel, map_config_of(how)).value()},
      cpus{contexts(how.cpus)},
      meters(how.cpus, cost_meter{how.cpu.costs}) {
  make_resources();
}

void machine::parts::make_resources() {
  for (unsigned i = 0; i < config.cpus; ++i) cpu_times.emplace_back(sim, fmt::format("CPU {}", i));
  for (std::size_t i = 0; i < memory.cma_areas().size(); ++i) {
    cma_mutexes.emplace_back(sim, fmt::format("CMA area {}", i));
    if (config.profile.cma_mutex_per_area == rule::off) break;
  }
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
    if (auto one = detail::check_consistency(how, *restored, *good); !one) {
      return std::unexpected{one.error()};
    }
  }
  return std::unique_ptr<parts>{new parts{how, std::move(*restored), map}};
}

machine::machine(const machine_config& config) : parts_{std::make_unique<parts>(config)} {}
machine::machine(std::unique_ptr<parts> made) : parts_{std::move(made)} {}
machine::machine(const machine& other) : parts_{std::make_unique<parts>(*other.parts_)} {}
machine& machine::operator=(const machine& other) {
  if (sim().is_running()) throw_usage("a machine cannot be replaced by what happens on it");
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
  return parts_->kernel.access(cpu_id{cpu}, map(), frame);
}

simulator& machine::sim() { return parts_->sim; }
const simulator& machine::sim() const { return parts_->sim; }

resource& machine::cpu_time(unsigned number) {
  static_cast<void>(cpu(number));
  return parts_->cpu_times[number];
}

resource& machine::cma_mutex(std::size_t area) {
  if (area >= memory().cma_areas().size()) {
    throw_usage("CMA area {}: there are {}", area, memory().cma_areas().size());
  }
  return parts_->cma_mutexes[std::min(area, parts_->cma_mutexes.size() - 1)];
}

task<std::expected<pfn, error>> machine::cma_alloc(unsigned number, std::size_t area,
                                                   frame_count count, order align) {
  const auto alone = co_await cma_mutex(area).acquire();
  const auto turn = co_await cpu_time(number).acquire();
  auto claimed = memory().cma_alloc(cpu(number), area, count, align);
  co_await charge(number);
  co_return claimed;
}

sim_duration machine::take_charge(unsigned number) {
  const auto all = done(number);
  return parts_->meters[number].charge(all);
}

void machine::require_turn(unsigned cpu) const {
  static_cast<void>(this->cpu(cpu));
  if (parts_->cpu_times[cpu].held() != 0) return;
  throw_usage("CPU {} is charged, but no task has it: acquire its cpu_time() first", cpu);
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
  append(all, direct_map_sizes(map()));
  append(all, values_of(map().counts(), direct_map_statistics));
  append(all, values_of(done()));
  const auto translations = tlbs().counts();
  for (std::size_t level = 0; level < config().cpu.tlb.levels.size(); ++level) {
    append(all, values_of(translations.levels[level], tlb_level_statistics,
                          fmt::format("tlb_l{}_", level + 1)));
  }
  append(all, values_of(translations.walks));
  append(all, values_of(translations.flushes));
  append(all, values_of(tlbs().shootdowns()));
  append(all, values_of(sum_of(parts_->cpu_times), resource_statistics, "cpu_"));
  return all;
}

digest machine::state_digest() const {
  digest d;
  d.add(memory().state_digest().value()).add(map().state_digest().value());
  d.add(tlbs().state_digest().value());
  for (std::size_t i = 0; i < parts_->cpus.size(); ++i) {
    const auto ledger = parts_->done(i);
    for (const auto& s : work_statistics) d.add(ledger.*s.member);
    d.add(static_cast<std::uint64_t>(parts_->meters[i].total().count()));
  }
  return d.add(static_cast<std::uint64_t>(sim().now().time_since_epoch().count()));
}

}  // namespace memsim
