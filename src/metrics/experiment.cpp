// SPDX-License-Identifier: Apache-2.0
#include <memsim/metrics/experiment.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <numeric>
#include <optional>

#include <memsim/arch/access_stream.hpp>
#include <memsim/metrics/fragmentation.hpp>
#include <memsim/metrics/scenario_run.hpp>

namespace memsim {
namespace {

struct sample_source {
  const machine& m;
  const actor_run& run;
  std::size_t actors;
};

struct sample_column {
  std::string_view name;
  std::string_view unit;
  std::string_view description;
  double (*value)(const sample_source&);
};

double count(auto number) { return static_cast<double>(number); }

actor_counts sum_of(const sample_source& s) {
  actor_counts sum;
  for (std::size_t i = 0; i < s.actors; ++i) {
    for (const auto& statistic : actor_statistics) {
      sum.*statistic.member += s.run.counts(i).*statistic.member;
    }
  }
  return sum;
}

constexpr std::array columns{
    sample_column{"direct_map_4k", "mappings", "of 4 KiB in the direct map",
                  [](const sample_source& s) { return count(s.m.map().mapped().k4); }},
    sample_column{"direct_map_2m", "mappings", "of 2 MiB in the direct map",
                  [](const sample_source& s) { return count(s.m.map().mapped().m2); }},
    sample_column{"direct_map_1g", "mappings", "of 1 GiB in the direct map",
                  [](const sample_source& s) { return count(s.m.map().mapped().g1); }},
    sample_column{"secret_pages", "pages", "of secret memory in use",
                  [](const sample_source& s) { return count(s.run.secrets().counts().pages); }},
    sample_column{"stranded_pages", "pages",
                  "set aside for secret memory or huge pages, and not in use",
                  [](const sample_source& s) {
                    return count(s.run.secrets().stranded_pages() +
                                 s.run.huge_pages().counts().free * pageblock_frames);
                  }},
    sample_column{"reserved_pages", "pages", "promised, and not in use",
                  [](const sample_source& s) {
                    return count(s.run.secrets().pool().reserved +
                                 s.run.huge_pages().counts().reserved * pageblock_frames);
                  }},
    sample_column{"free", "pages", "free in all zones",
                  [](const sample_source& s) {
                    std::int64_t pages = 0;
                    for (const auto& z : s.m.memory().zones()) pages += z.exact_free_pages();
                    return count(pages);
                  }},
    sample_column{"refused_at_mmap", "calls", "mmap() refused so far, for whatever reason",
                  [](const sample_source& s) {
                    const auto sum = sum_of(s);
                    return count(sum.no_memory_at_mmap + sum.over_limit_at_mmap);
                  }},
    sample_column{"failed_at_fault", "processes", "ended so far by SIGBUS or for want of memory",
                  [](const sample_source& s) {
                    const auto sum = sum_of(s);
                    return count(sum.bus_errors + sum.out_of_memory + sum.killed);
                  }},
};

std::vector<double> sample(const sample_source& s) {
  std::vector<double> values;
  for (const auto& c : columns) values.push_back(c.value(s));
  return values;
}

map_result map_of(const machine& m) {
  return {.mapped = m.map().mapped(), .page_tables = m.map().page_tables()};
}

bool is_plain(const policy_choice& policy) { return policy.secretmem_area == 0 && !policy.merging; }

std::expected<machine, error> aged_for(const scenario& s, const policy_choice& policy) {
  auto config = machine_for(s, policy);
  if (!config) return std::unexpected{config.error()};
  auto with = s;
  with.machine = std::move(*config);
  return make_aged_machine(with);
}

sim_duration price_of_all(const machine& m) {
  sim_duration sum{};
  for (unsigned cpu = 0; cpu < m.config().cpus; ++cpu) {
    sum += std::chrono::duration_cast<sim_duration>(m.costs().price_of(m.done(cpu)));
  }
  return sum;
}

std::vector<statistic_value> statistics_of(const actor_run& run) {
  auto values = run.secrets().statistics();
  for (auto& value : run.huge_pages().statistics()) {
    value.name = "hugetlb_" + value.name;
    values.push_back(std::move(value));
  }
  values.push_back({"merged_by_daemon", "collapses",
                    "tables that the daemon of the policy made large mappings of",
                    run.merged_by_daemon()});
  return values;
}

policy_result run_policy(machine& m, const scenario& s, const policy_choice& policy,
                         const std::vector<trace_event>& trace,
                         const std::function<void(double)>& progress) {
  policy_result result{.name = policy.name, .design = policy.secretmem.name};
  result.kernel_at_start = kernel_access_cost(m);
  const auto work_before = price_of_all(m);
  actor_run run{m, s, policy, trace};
  result.set_up = run.set_up();
  result.at_start = map_of(m);
  const sample_source now{m, run, s.actors.size()};
  result.samples = time_series{experiment_columns()};
  const auto begin = m.sim().now();
  result.samples.add({}, sample(now));
  for (auto at = s.sample_interval; at < s.duration; at += s.sample_interval) {
    m.sim().run_until(begin + at);
    result.samples.add(at, sample(now));
    if (progress) progress(count(at.count()) / count(s.duration.count()));
  }
  m.sim().run_until(begin + s.duration);
  result.samples.add(s.duration, sample(now));
  result.at_end = map_of(m);
  result.kernel_at_end = kernel_access_cost(m);
  result.picture = take_picture(m.memory());
  result.statistics = m.statistics();
  for (auto& value : statistics_of(run)) result.statistics.push_back(std::move(value));
  std::vector<std::uint64_t> first_uses;
  for (std::size_t i = 0; i < s.actors.size(); ++i) {
    const auto& times = run.fault_times(i);
    first_uses.insert(first_uses.end(), times.begin(), times.end());
    result.actors.push_back(
        {s.actors[i].name, run.counts(i), run.first_failure(i), summary_of(times)});
  }
  result.first_use = summary_of(std::move(first_uses));
  if (run.background_error()) result.background_error = run.background_error()->message();
  run.finish();
  result.work = price_of_all(m) - work_before - result.set_up;
  result.after_all = map_of(m);
  result.kernel_after_all = kernel_access_cost(m);
  result.state = m.state_digest();
  return result;
}

}  // namespace

std::vector<series_column> experiment_columns() {
  std::vector<series_column> series;
  for (const auto& c : columns) {
    series.push_back({std::string{c.name}, std::string{c.unit}, std::string{c.description}});
  }
  return series;
}

latency_summary summary_of(std::vector<std::uint64_t> durations) {
  std::ranges::sort(durations);
  const auto at = [&](double part) -> std::uint64_t {
    if (durations.empty()) return 0;
    const auto rank = static_cast<std::size_t>(std::ceil(part * count(durations.size())));
    return durations[std::max<std::size_t>(rank, 1) - 1];
  };
  return {.count = durations.size(),
          .p50 = at(0.5),
          .p90 = at(0.9),
          .p99 = at(0.99),
          .p999 = at(0.999),
          .most = at(1),
          .sum = std::accumulate(durations.begin(), durations.end(), std::uint64_t{0})};
}

translation_cost kernel_access_cost(const machine& m) {
  constexpr std::uint64_t warm_up = 20'000;
  constexpr std::uint64_t accesses = 100'000;
  machine copy = m;
  copy.map().set_merging(nullptr);
  access_stream stream{m.config().memory, {.seed = m.config().seed}};
  context apart;
  // The mapping that an absent page is in becomes present as a whole: it is not split for that.
  const auto make_present = [&](pfn frame) {
    const auto how = copy.map().at(frame);
    if (!how || how->flags.has(mapping_flag::present)) return;
    const auto frames = frames_of(how->size);
    static_cast<void>(
        copy.map().change(apart, pfn{frame.value() / frames * frames}, frames, make_default));
  };
  const auto access = [&](std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
      const auto frame = stream.next();
      make_present(frame);
      copy.access(0, frame);
    }
  };
  access(warm_up);
  const auto before = copy.done(0);
  access(accesses);
  auto done = copy.done(0);
  const auto price = copy.costs().price_of(done) - copy.costs().price_of(before);  // in ps
  return {.ns_per_access = count(price.count()) / 1000 / count(accesses),
          .walks_per_access = count(done.page_walks - before.page_walks) / count(accesses)};
}

namespace {

std::expected<std::vector<trace_event>, error> trace_of(const scenario& s) {
  const auto* load = s.background ? std::get_if<trace_load>(&*s.background) : nullptr;
  if (load == nullptr) return {};
  auto events = read_trace(*load);
  if (!events) return events;
  const auto length = events->back().time - events->front().time;
  const auto passed = count(s.duration.count()) * load->speed;
  if (load->repeats && length.count() > 0 &&
      passed / count(length.count()) * count(events->size()) > most_steps) {
    return fail(errc::inconsistent,
                "{}: {} events in {} s, repeated at {} times their speed: allowed are {} events",
                load->trace.string(), events->size(), count(length.count()) / 1e9, load->speed,
                most_steps);
  }
  return events;
}

std::string background_of(const scenario& s) {
  if (!s.background) return "";
  if (const auto* load = std::get_if<trace_load>(&*s.background)) {
    return fmt::format("{}, {} times as fast{}", load->trace.string(), load->speed,
                       load->repeats ? ", repeated" : "");
  }
  const auto& load = std::get<recipe_background>(*s.background);
  return fmt::format("{}, {} pages a second, {} of memory", load.plan.recipe, load.pages_per_second,
                     load.plan.occupancy);
}

std::string ageing_of(const scenario& s) {
  if (!s.ageing) return "";
  auto text = s.ageing->recipe;
  for (const auto& n : ageing_numbers) {
    text += fmt::format(", {} {}", n.name, (*s.ageing).*n.member);
  }
  for (const auto& [name, value] : s.ageing->parameters)
    text += fmt::format(", {} {}", name, value);
  return text;
}

error about_policy(const policy_choice& policy, const std::string& why) {
  return {errc::inconsistent, fmt::format("policy \"{}\": {}", policy.name, why)};
}

}  // namespace

std::expected<void, error> check_experiment(const scenario& s) {
  const auto trace = trace_of(s);
  if (!trace) return std::unexpected{trace.error()};
  for (const auto& policy : s.policies) {
    const auto config = machine_for(s, policy);
    if (!config) return std::unexpected{config.error()};
    try {
      machine m{*config};
      static_cast<void>(kernel_access_cost(m));
      trace_replayer replayer{m.memory(), {.seed = config->seed}};
      for (auto event : *trace) {
        event.cpu = cpu_id{event.cpu.value() % config->cpus};
        if (auto fed = replayer.feed(event); !fed) return std::unexpected{fed.error()};
      }
    } catch (const usage_error& e) {
      return std::unexpected{about_policy(policy, e.what())};
    } catch (const std::bad_alloc&) {
      return std::unexpected{about_policy(policy, "this host has not the memory for its machine")};
    }
  }
  return {};
}

std::expected<experiment_results, error> run_experiment(const scenario& s,
                                                        const experiment_progress& progress) try {
  if (s.actors.empty() || s.policies.empty()) {
    throw_usage("{} policies and {} actors: a scenario to be run has both", s.policies.size(),
                s.actors.size());
  }
  const auto trace = trace_of(s);
  if (!trace) return std::unexpected{trace.error()};
  experiment_results results{.question = s.question,
                             .scenario = s.text,
                             .settings = s.settings,
                             .cpu = s.machine.cpu.name,
                             .cpus = s.machine.cpus,
                             .profile = std::string{s.machine.profile.name},
                             .recipe = ageing_of(s),
                             .background = background_of(s),
                             .seed = s.machine.seed,
                             .duration = s.duration};
  std::optional<machine> plain;
  for (std::size_t i = 0; i < s.policies.size(); ++i) {
    const auto& policy = s.policies[i];
    std::optional<machine> own;
    if (is_plain(policy) && plain) {
      own.emplace(*plain);
    } else {
      auto aged = aged_for(s, policy);
      if (!aged) return std::unexpected{aged.error()};
      own.emplace(std::move(*aged));
      if (is_plain(policy)) plain.emplace(*own);
    }
    results.memory = measure(own->memory()).machine.frames.memory;
    results.policies.push_back(run_policy(*own, s, policy, *trace, [&](double part) {
      if (progress) progress((count(i) + part) / count(s.policies.size()));
    }));
  }
  return results;
} catch (const usage_error& e) {
  // What the scenario says came from a file: what is wrong with it is no bug of the caller.
  if (s.actors.empty() || s.policies.empty()) throw;
  return fail(errc::inconsistent, "{}", e.what());
}

}  // namespace memsim
