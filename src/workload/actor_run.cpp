// SPDX-License-Identifier: Apache-2.0
#include <memsim/workload/actor_run.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <utility>

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

frame_count unit_of(const actor& a) {
  return a.memory == actor_memory::hugetlb ? pageblock_frames : 1;
}

// What is drawn is rounded up to whole pages of its kind, of which there is one at least.
frame_count drawn_size(const actor& a, random_stream& random) {
  const auto unit = unit_of(a);
  return std::max<frame_count>(1, (a.size.draw(random) + unit - 1) / unit) * unit;
}

sim_duration drawn_time(const distribution& of, random_stream& random) {
  // A hundred years: two of them are less than simulated time has.
  constexpr std::uint64_t longest = std::uint64_t{100} * 365 * 86'400 * 1'000'000'000;
  return sim_duration{static_cast<sim_duration::rep>(std::min(of.draw(random), longest))};
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

std::expected<std::vector<trace_event>, error> read_trace(const trace_load& load) {
  std::error_code code;
  if (const bool is_file = std::filesystem::is_regular_file(load.trace, code); !is_file) {
    return fail(errc::io, "{}: cannot be read: {}", load.trace.string(),
                code ? code.message() : "it is no regular file");
  }
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
  process(actor_run& in, std::size_t which, std::uint32_t user, unsigned cpu, frame_count size)
      : in_{in}, which_{which}, cpu_{cpu}, size_{size} {
    const auto& a = in.s_->actors[which];
    space_ = &in.vm_.add_process(
        {.user = user, .memlock_limit = a.memlock_limit, .ipc_lock = a.ipc_lock});
    space_->when_ended([this, space = space_](context& by) {
      if (space->was_killed()) note_end(errc::killed);
      for (auto* const file : std::exchange(files_, {})) file->close(by);
    });
    ++counts().processes;
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() { leave(); }

  void leave() {
    if (auto* const space = std::exchange(space_, nullptr)) {
      is_over_ = true;
      in_.vm_.exit(ctx(), *space);
    }
  }

  [[nodiscard]] const actor& kind() const { return in_.s_->actors[which_]; }
  [[nodiscard]] std::size_t number() const { return which_; }
  [[nodiscard]] actor_counts& counts() { return in_.counts_[which_]; }
  [[nodiscard]] context& ctx() { return in_.on_->cpu(cpu_); }
  [[nodiscard]] unsigned cpu() const { return cpu_; }
  [[nodiscard]] address_space& space() { return *space_; }
  /// Killed, or ended by a signal.
  [[nodiscard]] bool is_over() const { return is_over_; }
  /// Pages of each of its mappings that it uses: the part of them, rounded up to whole pages of
  /// their kind.
  [[nodiscard]] frame_count used() const {
    const auto unit = unit_of(kind());
    const auto pages = static_cast<double>(size_ / unit) * kind().used;
    return std::min(size_ / unit, static_cast<frame_count>(std::ceil(pages))) * unit;
  }

  /// Its next mapping.
  [[nodiscard]] std::expected<vpn, error> map() {
    const auto& a = kind();
    switch (a.memory) {
      case actor_memory::anonymous: return space_->mmap(ctx(), size_);
      case actor_memory::hugetlb:
        return in_.huge_.map_anonymous(ctx(), *space_, size_, {.no_reserve = a.no_reserve});
      case actor_memory::secret: break;
    }
    const auto file = in_.secrets_.create(*space_);
    if (!file) return std::unexpected{file.error()};
    if (auto sized = (*file)->resize(size_); !sized) {
      (*file)->close(ctx());
      return std::unexpected{sized.error()};
    }
    auto at = space_->mmap(
        ctx(), size_, {.no_reserve = a.no_reserve, .source = *file, .with = sharing::shared_pages});
    if (at) {
      files_.push_back(*file);
    } else {
      (*file)->close(ctx());
    }
    return at;
  }
  void note_refusal(const error& why) {
    if (is_over_) return;  // it was killed for it
    in_.note_failure(which_);
    ++(why.code() == errc::again ? counts().over_limit_at_mmap : counts().no_memory_at_mmap);
  }
  /// It ends before its time, once.
  void note_end(errc why) {
    if (std::exchange(is_over_, true)) return;
    in_.note_failure(which_);
    switch (why) {
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
  frame_count size_;
  bool is_over_ = false;
  address_space* space_;
  std::vector<secretmem_file*> files_;
};

actor_run::actor_run(machine& on, const scenario& s, const policy_choice& policy,
                     const std::vector<trace_event>& trace)
    : on_{&on},
      s_{&s},
      vm_{on.memory()},
      secrets_{vm_, on.map(), design_of(on, policy)},
      huge_{vm_, hugetlb_rules(on.config().profile)},
      reclaim_{on},
      begin_{on.sim().now()},
      counts_(s.actors.size()),
      first_failures_(s.actors.size()),
      fault_times_(s.actors.size()) {
  const auto take_charges = [&] {
    sim_duration sum{};
    for (unsigned cpu = 0; cpu < on.config().cpus; ++cpu) sum += on.take_charge(cpu);
    return sum;
  };
  // What ageing left, and what is set up here, was done before the time that is looked at.
  static_cast<void>(take_charges());
  auto& ctx = on.cpu(0);
  if (policy.set_aside > 0) secrets_.set_aside(ctx, policy.set_aside);
  if (policy.huge_pages > 0) huge_.resize(ctx, policy.huge_pages);
  if (policy.overcommit_huge_pages > 0) {
    static_cast<void>(huge_.set_overcommit(policy.overcommit_huge_pages));
  }
  set_up_ = take_charges();
  if (policy.merge_period)
    merging_.emplace(on, merge_daemon_config{.period = *policy.merge_period});
  spawn_background(trace);
  spawn_actors();
}

actor_run::~actor_run() { finish(); }

void actor_run::finish() {
  for (auto& t : tasks_) {
    if (!t.done()) t.cancel();
  }
  tasks_.clear();
  recipe_.reset();
}

void actor_run::note_failure(std::size_t actor) {
  auto& first = first_failures_[actor];
  if (!first) first = on_->sim().now() - begin_;
}

void actor_run::spawn_background(const std::vector<trace_event>& trace) {
  if (!s_->background) return;
  if (const auto* load = std::get_if<trace_load>(&*s_->background)) {
    if (trace.empty()) throw_usage("the scenario has a trace in the background: it is not given");
    replayer_.emplace(on_->memory(), replay_options{.seed = on_->config().seed});
    tasks_.push_back(spawn(on_->sim(), replay(*load, trace)));
  } else {
    const auto& recipe = std::get<recipe_background>(*s_->background);
    recipe_.emplace(*on_, recipe.plan);
    tasks_.push_back(spawn(on_->sim(), carry_out(recipe)));
  }
}

// Who would come when the time is over does not. Users that no actor names are dealt out in turn.
void actor_run::spawn_actors() {
  std::set<std::uint32_t> named;
  for (const auto& a : s_->actors) {
    if (a.user) named.insert(*a.user);
  }
  auto next_user = first_user;
  const auto own_user = [&] {
    while (named.contains(next_user)) ++next_user;
    return next_user++;
  };
  const auto end = begin_ + s_->duration;
  std::uint64_t number = 0;
  for (std::size_t which = 0; which < s_->actors.size(); ++which) {
    const auto& a = s_->actors[which];
    random_stream arrivals{on_->config().seed, "actor." + a.name + ".arrivals"};
    auto arrival = begin_ + a.arrival;
    for (std::uint64_t i = 0; i < a.processes && arrival < end; ++i) {
      const auto user = a.user ? *a.user : own_user();
      tasks_.push_back(spawn(on_->sim(), live(which, user, arrival, number++)));
      arrival += drawn_time(a.interval, arrivals);
    }
  }
}

// From its arrival to its end. To leave takes the CPU, too.
task<> actor_run::live(std::size_t which, std::uint32_t user, sim_time arrival,
                       std::uint64_t number) {
  const auto& a = s_->actors[which];
  co_await delay_until(arrival);
  random_stream random{on_->config().seed, fmt::format("actor.{}.{}", a.name, number)};
  const auto size = drawn_size(a, random);
  const auto leaves = a.lifetime ? arrival + drawn_time(*a.lifetime, random) : sim_time::max();
  process p{*this, which, user, static_cast<unsigned>(number % on_->config().cpus), size};
  co_await use(p, random, leaves);
  const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
  p.leave();
  co_await on_->charge(p.cpu());
}

// Maps and uses, until it leaves or is over.
task<> actor_run::use(process& p, random_stream& random, sim_time leaves) {
  const auto& a = p.kind();
  const auto now = [&] { return on_->sim().now(); };
  do {
    std::expected<vpn, error> at;
    {
      const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
      if (p.is_over()) co_return;
      at = p.map();
      co_await on_->charge(p.cpu());
    }
    if (at) {
      ++p.counts().mappings;
      p.mapped.push_back(*at);
      co_await use_all(p, leaves);
    } else {
      p.note_refusal(at.error());
      if (!a.greedy || now() + a.retry >= leaves) break;
      co_await delay(a.retry);
    }
    if (p.is_over()) co_return;
  } while (a.greedy && now() < leaves);
  if (!p.mapped.empty() && !p.is_over()) co_await use_on(p, random, leaves);
}

// Every page of what it mapped last, once.
task<> actor_run::use_all(process& p, sim_time leaves) {
  const auto first = p.mapped.back();
  const auto used = p.used();
  const auto unit = unit_of(p.kind());
  for (frame_count i = 0; i < used && on_->sim().now() < leaves;) {
    bool is_tried_again = false;
    {
      const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
      if (p.is_over()) co_return;
      const auto done = p.space().write(p.ctx(), first + i, 1);
      const auto took = on_->take_charge(p.cpu());
      co_await delay(took);
      if (done) {
        p.counts().pages += unit;
        fault_times_[p.number()].push_back(static_cast<std::uint64_t>(took.count()));
        i += unit;
        continue;
      }
      is_tried_again = p.kind().memory == actor_memory::secret &&
                       done.error().code() == errc::no_memory && !p.is_over();
      if (!is_tried_again) p.note_end(done.error().code());
    }
    if (!is_tried_again) co_return;
    const bool goes_on = co_await retry_fault(p);
    if (!goes_on) co_return;
  }
}

// What the kernel does about VM_FAULT_OOM. Whether the fault is to be made again.
task<bool> actor_run::retry_fault(process& p) {
  constexpr sim_duration wait = std::chrono::milliseconds{1};
  if (secrets_.config().oom == fault_oom::retries) {
    ++p.counts().retried_faults;
    note_failure(p.number());
    co_await delay(wait);
    co_return !p.is_over();
  }
  const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
  if (p.is_over()) co_return false;
  if (!on_->memory().kill_for_fault(p.ctx())) {
    p.note_end(errc::no_memory);
    co_return false;
  }
  co_await on_->charge(p.cpu());
  if (!p.is_over()) ++p.counts().retried_faults;
  co_return !p.is_over();
}

// Uses what it has until it leaves.
task<> actor_run::use_on(process& p, random_stream& random, sim_time leaves) {
  const auto& a = p.kind();
  const auto now = [&] { return on_->sim().now(); };
  const auto used = p.used();
  const auto begin = now();
  const double between = 1e9 / a.accesses_per_second;  // ns
  // Who makes none, or the first one when all is over.
  if (used == 0 || !(between < 1e18)) {
    if (leaves > begin) co_await delay_until(leaves);
    co_return;
  }
  const auto pages = p.mapped.size() * used;
  frame_count last = 0;
  double due = 0;  // ns since it began
  while (true) {
    // Who was kept waiting does not make up for it.
    due = std::max(due + between, static_cast<double>((now() - begin).count()));
    const auto next = std::max(now(), begin + sim_duration{static_cast<sim_duration::rep>(due)});
    if (next >= leaves) break;
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
    const auto how = random.chance(a.writes) ? memory_access::write : memory_access::read;
    const auto turn = co_await on_->cpu_time(p.cpu()).acquire();
    if (p.is_over()) co_return;
    const auto done = p.space().access(p.ctx(), page, how);
    co_await on_->charge(p.cpu());
    if (!done) {
      p.note_end(done.error().code());
      co_return;
    }
    ++p.counts().accesses;
  }
  if (leaves > now()) co_await delay_until(leaves);
}

task<> actor_run::replay(const trace_load& load, const std::vector<trace_event>& events) {
  const auto cpus = on_->config().cpus;
  const auto length = events.back().time - events.front().time;
  auto begin = on_->sim().now();
  auto shift = std::chrono::nanoseconds{0};
  do {
    for (auto event : events) {
      const auto since = event.time - events.front().time;
      const sim_duration scaled{
          static_cast<sim_duration::rep>(static_cast<double>(since.count()) / load.speed)};
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
  } while (load.repeats && length.count() > 0);
}

// One turn after another, each followed by the time that what it allocated is to take.
task<> actor_run::carry_out(const recipe_background& load) {
  while (true) {
    const auto pages = recipe_->turn();
    for (unsigned cpu = 0; cpu < on_->config().cpus; ++cpu) {
      static_cast<void>(on_->take_charge(cpu));
    }
    if (!pages) {
      background_error_ = pages.error();
      co_return;
    }
    const auto took = static_cast<double>(std::max<frame_count>(1, *pages)) / load.pages_per_second;
    co_await delay(sim_duration{static_cast<sim_duration::rep>(took * 1e9)} + sim_duration{1});
  }
}

}  // namespace memsim
