// SPDX-License-Identifier: Apache-2.0

/// \file
/// The page allocator beside a textbook buddy, on machines of 1 GiB to 1 TiB.
///
// clang-format off
/// | counter              | says                                                                    |
/// |----------------------|-------------------------------------------------------------------------|
/// | ns_per_pair          | CPU time of a free and an allocation, the harness included              |
/// | bytes_per_frame      | metadata per frame of the machine as it stands, lists included          |
/// | resident_mib_per_gib | RAM that the allocator took, once filled and churned, per simulated GiB |
/// | open_ms              | time to make the machine, untouched                                     |
/// | open_resident_mib    | RAM that the untouched machine took                                     |
/// | failed_per_million   | pairs whose request found no block                                      |
// clang-format on
///
/// Machines are made once and stay as the runs before left them: repetitions see a steady state.
/// scripts/bench runs all this and judges the ratios.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include <malloc.h>
#include <unistd.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "allocators.hpp"
#include "cpu_time.hpp"
#include "harness.hpp"

namespace memsim::bench {
namespace {

using namespace memsim::literals;

constexpr double mebibyte = 1 << 20;

/// Bytes of this process that are in RAM.
std::uint64_t resident_bytes() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// RAM taken since `before`; the library may have given some back meanwhile.
double mebibytes_since(std::uint64_t before) {
  const std::uint64_t now = resident_bytes();
  return now > before ? static_cast<double>(now - before) / mebibyte : 0;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// What an untouched machine costs.
struct opening {
  double ms = 0;
  double resident_mib = 0;
};

/// The median of a few, because the first one pays for the host's page tables.
template <allocator Allocator>
opening measure_opening(bytes memory) {
  std::array<double, 5> ms{};
  double resident_mib = 0;
  for (double& one : ms) {
    const std::uint64_t before = resident_bytes();
    const auto start = std::chrono::steady_clock::now();
    const Allocator machine{memory};
    one = milliseconds_since(start);
    resident_mib = std::max(resident_mib, mebibytes_since(before));
  }
  std::sort(ms.begin(), ms.end());
  return {.ms = ms[ms.size() / 2], .resident_mib = resident_mib};
}

/// A machine at work, with what was measured on the way there. It is where it is: the workload
/// refers to its neighbours.
template <allocator Allocator, class Workload>
struct bench_machine {
  explicit bench_machine(bytes size) : memory_size{size} {}
  bench_machine(const bench_machine&) = delete;
  bench_machine& operator=(const bench_machine&) = delete;

  void note_resident() { resident_mib = mebibytes_since(resident_before); }

  void report(benchmark::State& state, double ns_per_pair) const {
    state.counters["ns_per_pair"] = ns_per_pair;
    state.counters["bytes_per_frame"] = memory.bytes_per_frame();
    state.counters["resident_mib_per_gib"] =
        resident_mib / (static_cast<double>(memory_size.value()) / (1 << 30));
    state.counters["open_ms"] = untouched.ms;
    state.counters["open_resident_mib"] = untouched.resident_mib;
  }

  bytes memory_size;
  opening untouched = measure_opening<Allocator>(memory_size);
  slot_array slots{Workload::slots_for(memory_size)};
  std::uint64_t resident_before = resident_bytes();  // the slots are in it
  Allocator memory{memory_size};
  Workload workload{memory, slots.all()};
  double resident_mib = 0;
};

/// An iteration is a pair.
template <allocator Allocator, class Mix>
class churn_benchmark {
 public:
  explicit churn_benchmark(bytes memory) : machine_{memory} {
    machine_.workload.run(2 * machine_.slots.all().size());  // forgets how it was filled
    machine_.note_resident();
  }

  void run(benchmark::State& state) {
    const std::uint64_t failed_before = machine_.workload.failed();
    const double start = cpu_nanoseconds();
    while (state.KeepRunningBatch(batch)) machine_.workload.run(batch);
    const double pairs = static_cast<double>(state.iterations());
    machine_.report(state, (cpu_nanoseconds() - start) / pairs);
    state.counters["failed_per_million"] =
        static_cast<double>(machine_.workload.failed() - failed_before) / pairs * 1e6;
  }

 private:
  static constexpr std::uint64_t batch = 10'000;

  bench_machine<Allocator, churn<Allocator, Mix>> machine_;
};

/// An iteration is a drain; the fill before it is not in its time. A pair is the allocation of a
/// frame in the fill and its free in the drain: ns_per_pair is the sum of ns_per_alloc and
/// ns_per_free.
template <allocator Allocator>
class drain_benchmark {
 public:
  explicit drain_benchmark(bytes memory) : machine_{memory} {
    auto& workload = machine_.workload;
    workload.fill();
    workload.shuffle();
    workload.empty();
    machine_.note_resident();
    workload.fill();
    workload.shuffle();
  }

  void run(benchmark::State& state) {
    auto& workload = machine_.workload;
    double fill_ns = 0;
    double drain_ns = 0;
    double frames = 0;
    for (auto _ : state) {
      const double start = cpu_nanoseconds();
      workload.empty();
      const double drained = cpu_nanoseconds();
      state.PauseTiming();
      const double filling = cpu_nanoseconds();
      workload.fill();
      const double filled = cpu_nanoseconds();
      workload.shuffle();
      state.ResumeTiming();
      fill_ns += filled - filling;
      drain_ns += drained - start;
      frames += static_cast<double>(workload.taken());
    }
    machine_.report(state, (fill_ns + drain_ns) / frames);
    state.counters["ns_per_alloc"] = fill_ns / frames;
    state.counters["ns_per_free"] = drain_ns / frames;
  }

 private:
  bench_machine<Allocator, drain<Allocator>> machine_;
};

/// Registers a benchmark whose machine is made when it first runs, and kept.
template <class Benchmark>
void add(const std::string& name, bytes memory) {
  const auto made = std::make_shared<std::optional<Benchmark>>();
  benchmark::RegisterBenchmark(name.c_str(), [made, memory](benchmark::State& state) {
    if (!*made) made->emplace(memory);
    (*made)->run(state);
  });
}

template <allocator Allocator>
void add_all(const std::string& name) {
  add<churn_benchmark<Allocator, order0_mix>>(name + "/order0_churn/16GiB", 16_GiB);
  for (const bytes memory : {1_GiB, 16_GiB, 256_GiB, 1024_GiB}) {
    add<churn_benchmark<Allocator, mixed_mix>>(
        fmt::format("{}/mixed_churn/{}GiB", name, memory.value() >> 30), memory);
  }
  add<drain_benchmark<Allocator>>(name + "/random_drain/16GiB", 16_GiB);
}

}  // namespace
}  // namespace memsim::bench

int main(int argc, char** argv) {
  using namespace memsim::bench;
  using namespace memsim::literals;

  // Arrays of a freed machine go back to the host at once, or the next one would find its memory
  // resident already.
  mallopt(M_MMAP_THRESHOLD, 64 << 10);

  add_all<linux_like>("memsim");
  add_all<textbook>("textbook");
  add<churn_benchmark<nothing, order0_mix>>("harness/order0_churn/16GiB", 16_GiB);
  add<churn_benchmark<nothing, mixed_mix>>("harness/mixed_churn/1024GiB", 1024_GiB);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
