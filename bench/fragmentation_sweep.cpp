// SPDX-License-Identifier: Apache-2.0

/// \file
/// How a machine is aged, and how its memory looks then: over memory size, recipe, occupancy,
/// unmovable share and profile. The time is that of ageing; the metrics are counters.
///
///     fragmentation_sweep --benchmark_filter=build_farm/GiB:16/ --benchmark_out=farm.json
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
enum argument : std::size_t { gibibytes, occupancy, unmovable_share, profile };

double percent(const benchmark::State& state, argument which) {
  return static_cast<double>(state.range(which)) / 100;
}

machine_config config_of(const benchmark::State& state) {
  return {
      .memory = memory_map::x86_64(bytes{static_cast<std::uint64_t>(state.range(gibibytes)) << 30}),
      .cpus = 4,
      .profile = profiles.at(static_cast<std::size_t>(state.range(profile)))};
}

void run(benchmark::State& state, const std::string& recipe) {
  const auto config = config_of(state);
  const ageing_plan plan{.recipe = recipe,
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
  state.SetLabel(std::string{config.profile.name});
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  using namespace memsim;
  for (const auto& r : recipes()) {
    const std::string name{r.name};
    benchmark::RegisterBenchmark(
        fmt::format("age/{}", name).c_str(),
        [name](benchmark::State& state) { memsim::bench::run(state, name); })
        ->ArgNames({"GiB", "occupancy", "unmovable", "profile"})
        ->ArgsProduct({{1, 16}, {50, 60, 70, 80, 90}, {5, 10, 20}, {0, 1}})
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
