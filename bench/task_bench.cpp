// SPDX-License-Identifier: Apache-2.0

/// \file
/// What a simulated step costs the host, from a bare callback to a lock that goes from task to
/// task.
///
/// ns_per_step is CPU time: of a callback, of a task's life, of a delay, of a lock given from one
/// task to the next (which is a wake-up and a delay). A thousand are under way at a time, where
/// there is more than one.

#include <array>
#include <chrono>
#include <cstdint>

#include <benchmark/benchmark.h>

#include <memsim/sim/resource.hpp>
#include <memsim/sim/simulator.hpp>
#include <memsim/sim/spawn.hpp>
#include <memsim/sim/task.hpp>

#include "cpu_time.hpp"

namespace memsim::bench {
namespace {

using namespace std::chrono_literals;

constexpr int at_a_time = 1'000;

/// Runs round(), of so many steps, as often as the benchmark wants.
template <class Round>
void measure(benchmark::State& state, int steps, Round round) {
  const double start = cpu_nanoseconds();
  std::uint64_t rounds = 0;
  for (auto _ : state) {
    round();
    ++rounds;
  }
  state.counters["ns_per_step"] =
      (cpu_nanoseconds() - start) / (static_cast<double>(rounds) * steps);
}

void callback(benchmark::State& state) {
  simulator sim;
  std::uint64_t called = 0;
  measure(state, at_a_time, [&] {
    for (int i = 0; i < at_a_time; ++i) sim.schedule_after(i * 1us, [&called] { ++called; });
    sim.run();
  });
  benchmark::DoNotOptimize(called);
}

task<> nothing() { co_return; }

void spawned(benchmark::State& state) {
  simulator sim;
  measure(state, at_a_time, [&] {
    for (int i = 0; i < at_a_time; ++i) spawn(sim, nothing());
    sim.run();
  });
}

task<> sleeper() {
  for (;;) co_await delay(1us);
}

template <int Tasks>
void delayed(benchmark::State& state) {
  simulator sim;
  for (int i = 0; i < Tasks; ++i) spawn(sim, sleeper());
  measure(state, at_a_time, [&] { sim.run_for(1us * at_a_time / Tasks); });
}

task<> user(resource& lock) {
  for (;;) {
    const auto held = co_await lock.acquire();
    co_await delay(1us);
  }
}

void handed_over(benchmark::State& state) {
  simulator sim;
  resource lock{sim, "lock"};
  for (int i = 0; i < 10; ++i) spawn(sim, user(lock));
  measure(state, at_a_time, [&] { sim.run_for(1us * at_a_time); });
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  using namespace memsim::bench;
  benchmark::RegisterBenchmark("memsim/callback", callback);
  benchmark::RegisterBenchmark("memsim/task/spawn", spawned);
  benchmark::RegisterBenchmark("memsim/task/delay/1", delayed<1>);
  benchmark::RegisterBenchmark("memsim/task/delay/1e3", delayed<1'000>);
  benchmark::RegisterBenchmark("memsim/task/hand_over", handed_over);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
