// SPDX-License-Identifier: Apache-2.0

/// \file
/// The event queue beside std::priority_queue, with a hundred to a million events pending.
///
/// ns_per_hold is the CPU time of taking an event and scheduling another, the harness included.
/// Queues are made once and stay as the runs before left them: repetitions see a steady state.
/// scripts/bench --events runs all this and judges the ratios.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "cpu_time.hpp"
#include "hold_model.hpp"

namespace memsim::bench {
namespace {

/// An iteration is a hold.
template <class Queue>
void hold(benchmark::State& state, hold_model<Queue>& model) {
  constexpr std::uint64_t batch = 10'000;
  const double start = cpu_nanoseconds();
  while (state.KeepRunningBatch(batch)) model.run(batch);
  benchmark::DoNotOptimize(model.check());
  state.counters["ns_per_hold"] =
      (cpu_nanoseconds() - start) / static_cast<double>(state.iterations());
}

/// Registers a benchmark whose queue is made when it first runs, and kept.
template <class Queue>
void add(const std::string& name, std::size_t pending, increments kind) {
  const auto made = std::make_shared<std::optional<hold_model<Queue>>>();
  benchmark::RegisterBenchmark(name.c_str(), [made, pending, kind](benchmark::State& state) {
    if (!*made) made->emplace(pending, kind);
    hold(state, **made);
  });
}

template <class Queue>
void add_all(const std::string& queue) {
  for (std::size_t kind = 0; kind < increment_names.size(); ++kind) {
    for (const auto& [pending, text] :
         {std::pair{100, "1e2"}, {10'000, "1e4"}, {1'000'000, "1e6"}}) {
      add<Queue>(fmt::format("{}/hold/{}/{}", queue, increment_names[kind], text),
                 static_cast<std::size_t>(pending), static_cast<increments>(kind));
    }
  }
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  memsim::bench::add_all<memsim::bench::memsim_queue>("memsim");
  memsim::bench::add_all<memsim::bench::std_priority_queue>("std_priority_queue");

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
