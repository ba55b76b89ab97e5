// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/actor_run.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace memsim {
namespace {

// Users of actors that have none of their own begin here.
constexpr std::uint32_t first_user = 1000;

secretmem_config design_of(const machine& on, const policy_choice& policy) {
  auto how = policy.secretmem;
  // The policy's area is the last (machine_for()).
  if (policy.secretmem_area > 0) how.cma_area = on.memory().cma_areas().size() - 1;
  return how;
}

hugetlb_config huge_rules(const machine& on) {
  return on.config().profile.name == linux_6_12.name ? hugetlb_6_12 : hugetlb_6_1;
}

frame_count used_of(const actor& a) {
  const frame_count unit = a.memory == actor_memory::hugetlb ? pageblock_frames : 1;
  return static_cast<frame_count>(static_cast<double>(a.size / unit) * a.used) * unit;
}

}  // namespace

std::string_view name_of(actor_memory memory) {
  switch (memory) {
    case actor_memory::anonymous: return "anonymous";
    case actor_memory::secret: return "secret";
    case actor_memory::hugetlb: return "hugetlb";
  }
  std::unreachable();
}

std::string to_text(actor_memory memory) { return std::string{name_of(memory)}; }

std::string_view name_of(page_choice choice) {
  switch (choice) {
    case page_choice::sequential: return "sequential";
    case page_choice::uniform: return "uniform";
    case page_choice::hot: return "hot";
  }
  std::unreachable();
}

std::string to_text(page_choice choice) { return std::string{name_of(choice)}; }

std::expected<machine_config, error> machine_for(const scenario& s, const policy_choice& policy) {
  auto config = s.machine;
  if (policy.merging) config.merging = *policy.merging;
  if (policy.secretmem_area == 0) return config;
  const cma_request wanted{.size = bytes{policy.secretmem_area * page_bytes}};
  try {
    const auto area = place_cma_area(config.memory, wanted, config.cma_areas);
    if (!area) return fail(errc::inconsistent, "policy \"{}\": {}", policy.name, area.error());
    config.cma_areas.push_back(*area);
  } catch (const usage_error& e) {
    return fail(errc::inconsistent, "policy \"{}\": secretmem_area: {}", policy.name, e.what());
  }
  return config;
}

std::expected<std::vector<trace_event>, error> load_background(const background_load& load) {
  std::ifstream input{load.trace};
  if (!input) return fail(errc::io, "{}: cannot be read", load.trace.string());
  ftrace_reader reader{input, load.trace.string()};
  std::vector<trace_event> events;
  while (true) {
    const auto event = reader.next();
    if (!event) return std::unexpected{event.error()};
    if (!*event) break;
    events.push_back(**event);
  }
  if (events.empty()) return fail(errc::malformed, "{}: no event", load.trace.string());
  return events;
}

/// A process, which leaves when this ends, however that comes.
class actor_run::process {
 public:
  process(actor_run& in, std::size_t which, std::uint32_t user, unsigned cpu)
      : in_{in}, which_{which}, cpu_{cpu} {
    const auto& a = in.s_->actors[which];
    space_ = &in.vm_.add_process(
        {.user = user, .memlock_limit = a.memlock_limit, .ipc_lock = a.ipc_lock});
    ++counts().processes;
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    in_.vm_.exit(ctx(), *space_);
    for (auto* const file : files_) file->close(ctx());
  }

  [[nodiscard]] const actor& kind() const { return in_.s_->actors[which_]; }
  [[nodiscard]] actor_counts& counts() { return in_.counts_[which_]; }
  [[nodiscard]] context& ctx() { return in_.on_->cpu(cpu_); }
  [[nodiscard]] unsigned cpu() const { return cpu_; }
  [[nodiscard]] address_space& space() { return *space_; }
  [[nodiscard]] bool was_killed() const { return space_->was_killed(); }

  /// Its next mapping.
  [[nodiscard]] std::expected<vpn, error> map() {
    const auto& a = kind();
    switch (a.memory) {
      case actor_memory::anonymous: return space_->mmap(ctx(), a.size);
      case actor_memory::hugetlb: return in_.huge_.map_anonymous(ctx(), *space_, a.size);
      case actor_memory::secret: break;
    }
    const auto file = in_.secrets_.create(*space_);
    if (!file) return std::unexpected{file.error()};
    if (auto sized = (*file)->resize(a.size); !sized) return std::unexpected{sized.error()};
    auto at = space_->mmap(ctx(), a.size, {.source = *file, .with = sharing::shared_pages});
    if (at) {
      files_.push_back(*file);
    } else {
      (*file)->close(ctx());
    }
    return at;
  }
  void note_refusal(const error& why) {
    ++(why.code() == errc::again ? counts().over_limit_at_mmap : counts().no_memory_at_mmap);
  }
  void note_end(const error& why) {
    switch (why.code()) {
      case errc::bus_error: ++counts().bus_errors; break;
      case errc::killed: ++counts().killed; break;
      default: ++counts().out_of_memory; break;
    }
  }

  /// First pages of what it has mapped.
  std::vector<vpn> mapped{};

 private:
  actor_run& in_;
  std::size_t which_;
  unsigned cpu_;
  address_space* space_;
  std::vector<secretmem_file*> files_;
};

actor_run::actor_run(machine& on, const scenario& s, const policy_choice& policy,
                     const std::vector<trace_event>& background)
    : on_{&on},
      s_{&s},
      vm_{on.memory()},
      secrets_{vm_, on.map(), design_of(on, policy)},
      huge_{vm_, huge_rules(on)},
      reclaim_{on},
      counts_(s.actors.size()) {
  auto& ctx = on.cpu(0);
  if (policy.set_aside > 0) secrets_.set_aside(ctx, policy.set_aside);
  if (policy.huge_pages > 0) huge_.resize(ctx, policy.huge_pages);
  if (policy.overcommit_huge_pages > 0) {
    static_cast<void>(huge_.set_overcommit(policy.overcommit_huge_pages));
  }
  // What this took was done before the time that is looked at.
  for (unsigned cpu = 0; cpu < on.config().cpus; ++cpu) static_cast<void>(on.take_charge(cpu));
  if (policy.merge_period)
    merging_.emplace(on, merge_daemon_config{.period = *policy.merge_period});
  if (s.background && !background.empty()) {
    replayer_.emplace(on.memory(), replay_options{.seed = on.config().seed});
    tasks_.push_back(spawn(on.sim(), load(background, s.background->speed, s.background->repeats)));
  }
  spawn_actors();
}

actor_run::~actor_run() { finish(); }

void actor_run::finish() {
  for (auto& t : tasks_) {
    if (!t.done()) t.cancel();
  }
  tasks_.clear();
}

void actor_run::spawn_actors() {
  std::uint64_t number = 0;
  std::uint32_t user = first_user;
  for (std::size_t which = 0; which < s_->actors.size(); ++which) {
    const auto& a = s_->actors[which];
    random_stream arrivals{on_->config().seed, "actor." + a.name + ".arrivals"};
    auto arrival = on_->sim().now() + a.arrival;
    for (std::uint64_t i = 0; i < a.processes; ++i) {
      tasks_.push_back(spawn(on_->sim(), live(which, a.user.value_or(user++), arrival, number++)));
      auto wait = static_cast<double>(a.interval.count());
      if (a.random_arrivals) wait *= -std::log1p(-arrivals.unit());
      arrival += sim_duration{static_cast<sim_duration::rep>(wait)};
    }
  }
}

// From its arrival to its end.
task<> actor_run::live(std::size_t which, std::uint32_t user, sim_time arrival,
                       std::uint64_t number) {
  const auto& a = s_->actors[which];
  co_await delay_until(arrival);
  const auto leaves = a.lifetime ? arrival + *a.lifetime : sim_time::max();
  process p{*this, which, user, static_cast<unsigned>(number % on_->config().cpus)};
  random_stream random{on_->config().seed, fmt::format("actor.{}.{}", a.name, number)};
  while (true) {
    std::expected<vpn, error> at;
    {
      const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
      at = p.map();
      co_await on_->charge(p.cpu());
    }
    if (!at) {
      p.note_refusal(at.error());
      if (!a.greedy) break;
      if (on_->sim().now() + a.retry >= leaves) break;
      co_await delay(a.retry);
      if (p.was_killed()) {
        ++p.counts().killed;
        co_return;
      }
      continue;
    }
    ++p.counts().mappings;
    p.mapped.push_back(*at);
    if (co_await use_all(p) == end_of_use::gone) co_return;
    if (!a.greedy || on_->sim().now() >= leaves) break;
  }
  co_await use_on(p, random, leaves);
}

// Every page of what it mapped last, once.
task<actor_run::end_of_use> actor_run::use_all(process& p) {
  const auto first = p.mapped.back();
  const frame_count step = p.kind().memory == actor_memory::hugetlb ? pageblock_frames : 1;
  for (frame_count i = 0; i < used_of(p.kind()); i += step) {
    const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
    const auto done = p.space().write(p.ctx(), first + i, 1);
    const auto took = on_->take_charge(p.cpu());
    co_await delay(took);
    if (!done) {
      p.note_end(done.error());
      co_return end_of_use::gone;
    }
    ++p.counts().pages;
    fault_times_.push_back(static_cast<std::uint64_t>(took.count()));
  }
  co_return end_of_use::done;
}

// Uses what it has until it leaves.
task<> actor_run::use_on(process& p, random_stream& random, sim_time leaves) {
  const auto& a = p.kind();
  const auto now = [&] { return on_->sim().now(); };
  if (p.mapped.empty() || a.accesses_per_second == 0 || used_of(a) == 0) {
    if (!p.mapped.empty() && leaves > now()) co_await delay_until(leaves);
    if (p.was_killed()) ++p.counts().killed;
    co_return;
  }
  const sim_duration between{static_cast<sim_duration::rep>(1e9 / a.accesses_per_second)};
  const auto used = used_of(a);
  const auto pages = p.mapped.size() * used;
  frame_count last = 0;
  for (auto next = now() + between; next < leaves; next = std::max(now(), next + between)) {
    co_await delay_until(next);
    switch (a.accesses) {
      case page_choice::sequential: last = (last + 1) % pages; break;
      case page_choice::uniform: last = random.below(pages); break;
      case page_choice::hot:
        last = random.below(10) < 9 ? random.below(std::max<frame_count>(1, pages / 10))
                                    : random.below(pages);
        break;
    }
    const auto page = p.mapped[last / used] + last % used;
    const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
    const auto done = p.space().access(
        p.ctx(), page, random.chance(a.writes) ? memory_access::write : memory_access::read);
    co_await on_->charge(p.cpu());
    if (!done) {
      p.note_end(done.error());
      co_return;
    }
    ++p.counts().accesses;
  }
}

task<> actor_run::load(const std::vector<trace_event>& events, double speed, bool repeats) {
  const auto cpus = on_->config().cpus;
  const auto length = events.back().time - events.front().time;
  auto begin = on_->sim().now();
  auto shift = std::chrono::nanoseconds{0};
  do {
    for (auto event : events) {
      const auto since = event.time - events.front().time;
      const sim_duration scaled{
          static_cast<sim_duration::rep>(static_cast<double>(since.count()) / speed)};
      if (begin + scaled > on_->sim().now()) co_await delay_until(begin + scaled);
      event.cpu = cpu_id{event.cpu.value() % cpus};
      event.time += shift;
      if (auto done = replayer_->feed(event); !done) {
        background_error_ = done.error();
        co_return;
      }
    }
    shift += length;
    begin = on_->sim().now() + sim_duration{1};
  } while (repeats);
}

}  // namespace memsim
