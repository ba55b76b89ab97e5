// SPDX-License-Identifier: Apache-2.0

/// \file
/// How a machine is aged, and how its memory looks then: over memory size, recipe, occupancy,
/// unmovable share and profile. The time is that of ageing; the metrics are counters.
///
///     fragmentation_sweep --benchmark_filter=GiB:16/recipe:0/ --benchmark_out=farm.json
///
/// Recipes are numbered as recipes() has them, in alphabetical order, and profiles from the oldest;
/// the label of a result has both names.
///
/// `memsim sweep` writes all metrics, in several processes, and goes on where it was killed; this
/// is for those whose tools read what Google Benchmark writes.

#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memsim/machine.hpp>
#include <memsim/metrics/time_series.hpp>
#include <memsim/workload/recipe.hpp>

namespace memsim::bench {
namespace {

const std::vector<kernel_profile> profiles{linux_6_1, linux_6_12};

/// Where ArgsProduct() puts what.
enum argument : std::size_t { gibibytes, recipe_number, occupancy, unmovable_share, profile };

double percent(const benchmark::State& state, argument which) {
  return static_cast<double>(state.range(which)) / 100;
}

machine_config config_of(const benchmark::State& state) {
  return {
      .memory = memory_map::x86_64(bytes{static_cast<std::uint64_t>(state.range(gibibytes)) << 30}),
      .cpus = 4,
      .profile = profiles.at(static_cast<std::size_t>(state.range(profile)))};
}

void age_machine(benchmark::State& state) {
  const auto config = config_of(state);
  const auto& recipe = recipes()[static_cast<std::size_t>(state.range(recipe_number))];
  const ageing_plan plan{.recipe = std::string{recipe.name},
                         .occupancy = percent(state, occupancy),
                         .unmovable_share = percent(state, unmovable_share)};
  for (auto _ : state) {
    machine m{config};
    if (const auto aged = age(m, plan); !aged) {
      return state.SkipWithError(aged.error().message().c_str());
    }
    state.PauseTiming();
    const auto values = values_of(default_metrics(), m.memory());
    for (std::size_t i = 0; i < values.size(); ++i) {
      state.counters[std::string{default_metrics()[i].name}] = values[i];
    }
    state.ResumeTiming();
  }
  state.SetLabel(fmt::format("{} {}", recipe.name, config.profile.name));
}

const auto last_recipe = static_cast<std::int64_t>(recipes().size()) - 1;

BENCHMARK(age_machine)
    ->Name("age")
    ->ArgNames({"GiB", "recipe", "occupancy", "unmovable", "profile"})
    ->ArgsProduct({{1, 16},
                   benchmark::CreateDenseRange(0, last_recipe, 1),
                   {50, 60, 70, 80, 90},
                   {5, 10, 20},
                   {0, 1}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace memsim::bench

BENCHMARK_MAIN();
